package client

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lookupIn returns a function that looks variables up in a map.
func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

func TestTheEnvironmentNamesServerUserAndTrust(t *testing.T) {
	t.Parallel()
	f := newFake()
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "https://")
	for name, env := range map[string]map[string]string{
		"vigate's": {"VIGATE_URL": host, "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": fakePassword, "VIGATE_CA": ca},
		"govc's": {"GOVC_URL": "u:pass%20word-Secret@" + host + "/sdk", "GOVC_INSECURE": "true",
			"GOVC_PASSWORD": ""},
	} {
		c, err := newFromEnv(t.Context(), Config{}, lookupIn(env))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		before := f.liveSessions()
		if _, err := c.SessionList(t.Context()); err != nil || f.liveSessions() != before+1 {
			t.Errorf("%s: %v, %d sessions", name, err, f.liveSessions()-before)
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
	}
	// Without a user the client is anonymous.
	c, err := newFromEnv(t.Context(), Config{}, lookupIn(map[string]string{"VIGATE_URL": host, "VIGATE_INSECURE": "1"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.SessionList(t.Context()); !isNotAuthenticated(err) {
		t.Errorf("without a user: %v", err)
	}
}

func TestTheEnvironmentMayNameASocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "vigate") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: newFake()}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	c, err := newFromEnv(t.Context(), Config{}, lookupIn(map[string]string{
		"VIGATE_URL": "unix://" + socket, "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": fakePassword,
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.SessionList(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnEnvironmentThatIsWrongIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	const secret = "secret-word"
	for name, env := range map[string]map[string]string{
		"no server": {},
		"not a URL": {"VIGATE_URL": "https://u:" + secret + "@ho st"},
		"clear text to elsewhere": {"VIGATE_URL": "http://vc.example", "VIGATE_USERNAME": "u",
			"VIGATE_PASSWORD": secret},
		"not a truth value":     {"VIGATE_URL": "vc.example", "VIGATE_INSECURE": "perhaps"},
		"no such file":          {"VIGATE_URL": "vc.example", "VIGATE_CA": "/missing"},
		"a certificate, no key": {"VIGATE_URL": "vc.example", "VIGATE_CERTIFICATE": "/missing"},
		"a server, and CA and no check": {"VIGATE_URL": "vc.example", "VIGATE_INSECURE": "true",
			"VIGATE_CA": "/missing"},
	} {
		c, err := newFromEnv(t.Context(), Config{}, lookupIn(env))
		if err == nil {
			c.Close()
			t.Errorf("%s was accepted", name)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error has the password: %v", name, err)
		}
	}
	if _, err := newFromEnv(t.Context(), Config{URL: "https://a"}, lookupIn(nil)); err == nil {
		t.Error("a URL beside the environment was accepted")
	}
}
