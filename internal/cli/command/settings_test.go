package command

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestURLsAreParsedInAllForms(t *testing.T) {
	for raw, want := range map[string]address{
		"host":                     {url: "https://host"},
		"Host:443/sdk":             {url: "https://host"},
		"localhost:8989":           {url: "https://localhost:8989"},
		"https://host/":            {url: "https://host"},
		"http://127.0.0.1:80/sdk/": {url: "http://127.0.0.1"},
		"[::1]:8989":               {url: "https://[::1]:8989"},
		" host ":                   {url: "https://host"},
		"bob@host":                 {url: "https://host", user: "bob"},
		"bob@vsphere.local:p@ss@host/sdk": {url: "https://host", user: "bob@vsphere.local", password: "p@ss",
			hasPassword: true},
		"https://bob:p%2Fss@host/sdk": {url: "https://host", user: "bob", password: "p/ss", hasPassword: true},
		"unix:///run/vigate/socket":   {url: "unix:///run/vigate/socket", socket: "/run/vigate/socket"},
		"https://VSPHERE.LOCAL%5Cbob:x@host": {url: "https://host", user: `VSPHERE.LOCAL\bob`, password: "x",
			hasPassword: true},
	} {
		got, err := parseAddress(raw)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "ftp://host", "https://", "host/ui", "host?x=1", "host#x",
		"https://a:secret-word@ho st", "unix:relative", "unix://host/path", "https://bob:secret-word@host:port"} {
		if got, err := parseAddress(raw); err == nil {
			t.Errorf("%q was parsed as %+v", raw, got)
		} else if strings.Contains(err.Error(), "secret-word") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"host", "bob:x@host:1/sdk", "unix:///x", "http://[::1]", "https://a%zz@b", ":",
		"//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAddress(raw)
		if err != nil {
			return
		}
		again, err := parseAddress(a.url)
		if err != nil || again.url != a.url || again.user != "" || again.hasPassword {
			t.Errorf("%q became %q, which is read as %+v, %v", raw, a.url, again, err)
		}
	})
}

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
	if err != nil || s.files.dir != "/state/vigate/sessions" {
		t.Errorf("%s, %v", s.files.dir, err)
	}
	if s, err = settingsOf(t, map[string]string{"VIGATE_URL": "h"}); err != nil ||
		s.files.dir != "/home/x/.local/state/vigate/sessions" {
		t.Errorf("%s, %v", s.files.dir, err)
	}
	if s.timeout != 30*time.Second {
		t.Errorf("timeout %s", s.timeout)
	}
}
