package command

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/client/sessionfile"
)

// settingsOf returns the settings for an environment and a command line.
func settingsOf(t *testing.T, env map[string]string, args ...string) (settings, error) {
	t.Helper()
	set := New(&cobra.Command{Use: "vigate"}, Host{LookupEnv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}})
	if err := set.flags.set.Parse(args); err != nil {
		t.Fatal(err)
	}
	if env["XDG_STATE_HOME"] == "" {
		env["HOME"] = "/home/x"
	}
	return set.settings()
}

func TestAPasswordStaysWithItsServerAndUser(t *testing.T) {
	const none = "<none>"
	for name, tc := range map[string]struct {
		env                 map[string]string
		args                string
		url, user, password string
	}{
		"vigate's variables": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"}, "",
			"https://h", "u", "p"},
		"govc's variables": {map[string]string{"GOVC_URL": "h", "GOVC_USERNAME": "u", "GOVC_PASSWORD": "p"}, "",
			"https://h", "u", "p"},
		"govc's URL": {map[string]string{"GOVC_URL": "u:p@h/sdk"}, "", "https://h", "u", "p"},
		"govc's user wins": {map[string]string{"GOVC_URL": "u:p@h/sdk", "GOVC_USERNAME": "v", "GOVC_PASSWORD": "q"}, "",
			"https://h", "v", "q"},
		"not mixed": {map[string]string{"VIGATE_URL": "h", "GOVC_USERNAME": "u", "GOVC_PASSWORD": "p"}, "",
			"https://h", "", none},
		"flags win": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"},
			"--url i --username v", "https://i", "v", none},
		"another server": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"},
			"--url i", "https://i", "", none},
		"the same server": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"},
			"--url https://H:443/sdk", "https://h", "u", "p"},
		"another user": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"},
			"--username v", "https://h", "v", none},
		"the same user": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u@d.e", "VIGATE_PASSWORD": "p"},
			`--username D.E\U`, "https://h", `D.E\U`, "p"},
		"a user in --url": {map[string]string{"VIGATE_URL": "h", "VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"},
			"--url v@h", "https://h", "v", none},
		"for any user": {map[string]string{"VIGATE_PASSWORD": "p"}, "--url h --username v", "https://h", "v", "p"},
		"for any server": {map[string]string{"VIGATE_USERNAME": "u", "VIGATE_PASSWORD": "p"}, "--url h", "https://h",
			"u", "p"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := settingsOf(t, tc.env, strings.Fields(tc.args)...)
			if err != nil {
				t.Fatal(err)
			}
			password := none
			if s.password != nil {
				password = *s.password
			}
			if s.url != tc.url || s.user != tc.user || password != tc.password {
				t.Errorf("server %s, user %s, password %s; want %s, %s, %s", s.url, s.user, password, tc.url, tc.user,
					tc.password)
			}
		})
	}
}

func TestFlagsOverrideVariablesForTrust(t *testing.T) {
	env := func(more ...string) map[string]string {
		m := map[string]string{"VIGATE_URL": "h"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	s, err := settingsOf(t, env("VIGATE_INSECURE", "true"))
	if err != nil || !s.tls.Insecure {
		t.Errorf("VIGATE_INSECURE: %v, %v", s.tls.Insecure, err)
	}
	s, err = settingsOf(t, env("VIGATE_INSECURE", "true"), "--thumbprint", "aa")
	if err != nil || s.tls.Insecure || s.tls.Thumbprint != "aa" {
		t.Errorf("--thumbprint over VIGATE_INSECURE: %+v, %v", s.tls, err)
	}
	s, err = settingsOf(t, env("VIGATE_CA", "/missing"), "-k")
	if err != nil || !s.tls.Insecure {
		t.Errorf("-k over VIGATE_CA: %+v, %v", s.tls, err)
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		args string
	}{
		"not a truth value":         {env("VIGATE_INSECURE", "perhaps"), ""},
		"any server, one authority": {env(), "-k --ca /missing"},
		"a certificate, no key":     {env(), "-k --cert /missing"},
		"clear text to elsewhere":   {env(), "--url http://host.example"},
		"TLS without TLS":           {env(), "--url http://localhost --thumbprint aa"},
		"no server":                 {map[string]string{}, ""},
	} {
		if _, err := settingsOf(t, tc.env, strings.Fields(tc.args)...); err == nil {
			t.Errorf("%s: no error", name)
		} else if _, code := Explain(err); code != exitUsage {
			t.Errorf("%s: exit code %d: %v", name, code, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1", "http://[::1]", "http://localhost", "unix:///run/s"} {
		if s, err := settingsOf(t, env("VIGATE_INSECURE", "true"), "--url", url); err != nil || s.tls.Insecure {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestSessionsAreSavedAsTheXDGSpecificationSays(t *testing.T) {
	s, err := settingsOf(t, map[string]string{"VIGATE_URL": "h", "XDG_STATE_HOME": "/state"})
	if err != nil || s.files != sessionfile.In("/state/vigate/sessions") {
		t.Errorf("%v, %v", s.files, err)
	}
	if s, err = settingsOf(t, map[string]string{"VIGATE_URL": "h"}); err != nil ||
		s.files != sessionfile.In("/home/x/.local/state/vigate/sessions") {
		t.Errorf("%v, %v", s.files, err)
	}
	if s.timeout != 30*time.Second {
		t.Errorf("timeout %s", s.timeout)
	}
}
