package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/view"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// simulated returns the URL of a simulator with the user svc, whose password is "right".
func simulated(t *testing.T) string {
	t.Helper()
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	s := model.Service.NewServer()
	t.Cleanup(s.Close)
	u := *s.URL
	u.User = nil
	return u.String()
}

// behind runs a server in front of a simulator. Its account ops is for the administrator, and the account spare
// has another password.
func behind(t *testing.T, password string) *running {
	t.Helper()
	return behindWith(t, password, serve.Options{Patience: patience}, nil)
}

// behindWith does the same as behind with other options.
func behindWith(t *testing.T, password string, o serve.Options, change func(*config.Config)) *running {
	t.Helper()
	var lines strings.Builder
	fmt.Fprintf(&lines, "dev: true\nupstreams:\n  - name: lab\n    url: %s\n    listen: 127.0.0.1:0\n"+
		"    accounts:\n", simulated(t))
	dir := t.TempDir()
	for name, secret := range map[string]string{"ops": "right", "spare": password} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "      - {name: %s, username: svc, password-file: %s, for: [%s]}\n", name, file,
			map[string]string{"ops": adminUser}[name])
	}
	var all []settings.Config
	if _, err := config.Load("", []byte(lines.String()), nil, settings.Section("", &all)); err != nil {
		t.Fatal(err)
	}
	o.Upstreams = all
	r := startWith(t, t.TempDir(), o, change)
	eventually(t, "the front serves", func() bool { return r.FrontReady("lab") == nil })
	return r
}

func TestOperatorsSeeTheUpstreamsOfAServer(t *testing.T) {
	r := behind(t, "right")
	t.Setenv("VIGATE_PASSWORD", adminPassword)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	at := func(url string, args ...string) (string, int) {
		return vigate(t, append(args, "--url", url, "--username", adminUser, "--insecure")...)
	}
	if out, code := at(r.plain, "upstream", "ls"); code != 0 || !strings.Contains(out, "lab   ok     VirtualCenter ") {
		t.Errorf("%d\n%s", code, out)
	}
	front := "https://" + r.FrontAddr("lab", "tls").String()
	u, err := url.Parse(front + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(adminUser, adminPassword)
	c, err := govmomi.NewClient(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Logout(t.Context()) }()
	if _, err := view.NewManager(c.Client).CreateContainerView(t.Context(), c.ServiceContent.RootFolder, nil,
		true); err != nil {
		t.Fatal(err)
	}
	out, code := at(r.plain, "upstream", "show", "lab")
	for _, want := range []string{"State:            ok\n", "Mode:             shared\n", "Sessions:         1/10\n",
		"ops      svc", "ops/1    ops"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%d, no %q in\n%s", code, want, out)
		}
	}
	out, code = at(front, "session", "ls")
	if code != 0 || !strings.Contains(out, "UPSTREAM SESSION") || !strings.Contains(out, " ops      ops/1 ") {
		t.Errorf("%d\n%s", code, out)
	}
	if out, code := at(front, "upstream", "ls"); code != 0 || !strings.Contains(out, "lab   ok") {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestATestOfAnUpstreamTriesEachAccount(t *testing.T) {
	t.Setenv("VIGATE_PASSWORD", adminPassword)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for password, want := range map[string]int{"right": 0, "wrong": 1} {
		r := behind(t, password)
		out, code := vigate(t, "upstream", "test", "lab", "--url", r.plain, "--username", adminUser)
		failed := strings.Contains(out, "account spare:") && strings.Contains(out, "FAILED: ")
		if code != want || failed != (want == 1) || !strings.Contains(out, "account ops:") {
			t.Errorf("%s: %d\n%s", password, code, out)
		}
	}
}
