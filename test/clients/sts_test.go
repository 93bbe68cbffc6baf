package clients

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rsaCertificate creates a self-signed client certificate with an RSA key, as govmomi needs it for
// signatures, and returns its files.
func rsaCertificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der},
		key: {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// keyed returns a govc with a key and without a session. govc uses a stored session before it logs in.
func (s *server) keyed(t *testing.T, cert, key string) *govc {
	return s.govc(t, "", "", false).with("GOVC_CERTIFICATE="+cert, "GOVC_PRIVATE_KEY="+key)
}

// registered registers an extension with a certificate, and returns a function that returns a new govc with
// the key.
func (s *server) registered(t *testing.T, name string) func() *govc {
	t.Helper()
	cert, key := s.extension(t, name)
	return func() *govc { return s.keyed(t, cert, key) }
}

// extension registers an extension with a certificate, and returns the files of the certificate and its key.
func (s *server) extension(t *testing.T, name string) (cert, key string) {
	t.Helper()
	admin := s.govc(t, adminUser, adminPassword, false)
	cert, key = rsaCertificate(t, name)
	admin.okStdin(`{"key":"`+name+`","version":"1.0","description":{"label":"CSI","summary":"Storage"},`+
		`"lastHeartbeatTime":"2026-01-01T00:00:00Z"}`, "extension.register")
	admin.ok("extension.setcert", "-cert-pem", readFile(t, cert), name)
	return cert, key
}

// own returns who govc is logged in as.
func (g *govc) own() string {
	g.t.Helper()
	return g.ok("session.ls", "-S")
}

func TestGovcLogsInWithTokensOfTheServer(t *testing.T) {
	s := newServer(t)
	admin := s.govc(t, adminUser, adminPassword, false)

	bearer := admin.ok("session.login", "-issue")
	has(t, "a bearer token", bearer, "<saml2:Assertion", "cm:bearer", "Administrator@VSPHERE.LOCAL")
	user := s.govc(t, "", "", false)
	user.ok("session.login", "-l", "-token", bearer)
	has(t, "the session of a bearer token", user.own(), `VSPHERE.LOCAL\Administrator`)
	s.govc(t, "", "", false).fails("incorrect user name or password", "session.login", "-l", "-token", bearer)

	cert, key := rsaCertificate(t, "administrator's own")
	withKey := admin.with("GOVC_CERTIFICATE="+cert, "GOVC_PRIVATE_KEY="+key)
	hok := withKey.ok("session.login", "-issue")
	has(t, "a holder-of-key token", hok, "holder-of-key", "Administrator@VSPHERE.LOCAL")
	for range 2 { // it can be used until it expires
		again := s.keyed(t, cert, key)
		again.ok("session.login", "-l", "-token", hok)
		has(t, "the session of a holder-of-key token", again.own(), `VSPHERE.LOCAL\Administrator`)
	}
	s.keyed(t, cert, key).ok("session.login", "-r", "-l", "-token", hok)
	renewed := s.keyed(t, cert, key).ok("session.login", "-renew", "-lifetime", "24h", "-token", hok)
	s.keyed(t, cert, key).ok("session.login", "-l", "-token", renewed)

	const refused = "incorrect user name or password"
	otherCert, otherKey := rsaCertificate(t, "another")
	s.keyed(t, otherCert, otherKey).fails(refused, "session.login", "-l", "-token", hok)
	s.govc(t, "", "", false).fails(refused, "session.login", "-l", "-token", hok)
	s.keyed(t, cert, key).fails(refused, "session.login", "-l", "-token",
		strings.Replace(hok, "Administrator@", "administrator@", 1))
	admin.with("GOVC_PASSWORD=wrong").fails("FailedAuthentication: Invalid credentials", "session.login", "-issue")
}

func TestGovcIsASolutionUser(t *testing.T) {
	s := newServer(t)
	e := s.registered(t, "com.example.csi")
	token := e().ok("session.login", "-issue")
	has(t, "a token by certificate", token, "holder-of-key", "com.example.csi@VSPHERE.LOCAL")
	user := e()
	user.ok("session.login", "-l", "-token", token)
	has(t, "its session", user.own(), "com.example.csi")

	bearer := s.govc(t, adminUser, adminPassword, false).ok("session.login", "-issue")
	acting := e().ok("session.login", "-issue", "-lifetime", "24h", "-token", bearer)
	has(t, "a token by ActAs", acting, "holder-of-key", "Administrator@VSPHERE.LOCAL", "com.example.csi@VSPHERE.LOCAL")
	user = e()
	user.ok("session.login", "-l", "-token", acting)
	has(t, "the session of a delegated token", user.own(), `VSPHERE.LOCAL\Administrator`)
	s.govc(t, adminUser, adminPassword, false).ok("extension.unregister", "com.example.csi")
	e().fails("incorrect user name or password", "session.login", "-l", "-token", acting)
}

// try runs the vigate command with the environment and returns its output.
func (s *server) try(env []string, args ...string) (string, error) {
	cmd := exec.Command(bin.vigate, args...)
	cmd.Env = append([]string{"HOME=" + s.home, "VIGATE_URL=https://" + s.tls, "VIGATE_INSECURE=true"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestVigateIssuesRenewsAndShowsTokens(t *testing.T) {
	s := newServer(t)
	cert, key := rsaCertificate(t, "administrator's own")
	user := []string{"VIGATE_USERNAME=" + adminUser, "VIGATE_PASSWORD=" + adminPassword}
	ok := func(env []string, args ...string) string {
		t.Helper()
		out, err := s.try(env, args...)
		if err != nil {
			t.Fatalf("vigate %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	file, renewed := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "renewed")
	ok(user, "token", "issue", "--cert", cert, "--key", key, "--renewable", "--lifetime", "1h", "--out", file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the token: %v %v", info.Mode(), err)
	}
	has(t, "token show", ok(nil, "token", "show", file), "Administrator@VSPHERE.LOCAL", "holder of key", "Verified:",
		"Renewals left:")
	ok(nil, "token", "renew", file, "--cert", cert, "--key", key, "--out", renewed)
	out := ok(nil, "login", "--token-file", renewed, "--cert", cert, "--key", key)
	has(t, "login with a renewed token", out, `VSPHERE.LOCAL\Administrator`)
	has(t, "a bearer token", ok(user, "token", "issue"), "<saml2:Assertion")
	// An extension acts as the user of a delegatable token.
	delegable, acting := filepath.Join(t.TempDir(), "delegable"), filepath.Join(t.TempDir(), "acting")
	ok(user, "token", "issue", "--delegatable", "--out", delegable)
	extCert, extKey := s.extension(t, "com.example.proxy")
	ok(nil, "token", "issue", "--cert", extCert, "--key", extKey, "--act-as", delegable, "--out", acting)
	has(t, "a token by ActAs", ok(nil, "token", "show", acting), "Administrator@VSPHERE.LOCAL", "Held by:",
		"com.example.proxy@VSPHERE.LOCAL")
	has(t, "a token by ActAs, as JSON", ok(nil, "token", "show", acting, "-o", "json"), `"holder":`)
	out = ok(nil, "login", "--token-file", acting, "--cert", extCert, "--key", extKey)
	has(t, "login by ActAs", out, `VSPHERE.LOCAL\Administrator`)
	if out, err := s.try(nil, "token", "issue"); err == nil || !strings.Contains(out, "give a user") {
		t.Errorf("without a credential: %v %s", err, out)
	}
	if out, err := s.try(nil, "token", "renew", file); err == nil || !strings.Contains(out, "only with its key") {
		t.Errorf("renewal without a key: %v %s", err, out)
	}
	if out, err := s.try(nil, "token", "show", cert); err == nil || !strings.Contains(out, "not a SAML 2.0 assertion") {
		t.Errorf("show of another file: %v %s", err, out)
	}
	wrong := []string{user[0], "VIGATE_PASSWORD=wrong"}
	if out, err := s.try(wrong, "token", "issue"); err == nil || !strings.Contains(out, "Invalid credentials") {
		t.Errorf("a wrong password: %v %s", err, out)
	}
}

// The message has the form of newer pyVmomi, which Debian's release does not make. Another library signs it.
func TestPyVmomiLogsInWithAHolderOfKeyTokenAndItsSignature(t *testing.T) {
	s := newServer(t)
	cert, key := rsaCertificate(t, "administrator's own")
	_, other := rsaCertificate(t, "another")
	admin := s.govc(t, adminUser, adminPassword, false)
	token := admin.with("GOVC_CERTIFICATE="+cert, "GOVC_PRIVATE_KEY="+key).ok("session.login", "-issue")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(s.tls, ":")
	out := python(t, "testdata/holder.py", port, file, key, other)
	if n := strings.Count(out, `session of VSPHERE.LOCAL\Administrator`); n != 2 {
		t.Errorf("%d sessions:\n%s", n, out)
	}
	has(t, "what is refused", out, "refused: no signature", "refused: the signature of another key",
		"refused: a Timestamp that was changed", "refused: a message that was sent before")
}
