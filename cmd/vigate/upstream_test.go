package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/upstream/note"
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

func TestChecksOfAConfigurationLockNobodyOut(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	var mu sync.Mutex // guards tried
	tried := map[string]int{}
	model.Service.Context.Map.SessionManager().ValidLogin = func(l *types.Login) bool {
		mu.Lock()
		defer mu.Unlock()
		tried[l.UserName]++
		return l.Password == "right"
	}
	s := model.Service.NewServer()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "vigate.yaml")
	text := "dev: true\nupstreams:\n  - name: lab\n    url: http://" + s.URL.Host + "/sdk\n" +
		"    plain-http: 127.0.0.1:0\n    accounts:\n"
	for name, account := range map[string][2]string{
		"a": {"svc", "wrong"}, "b": {"SVC", "wrong too"}, "c": {"other", "right"},
	} {
		write(t, filepath.Join(dir, name), account[1])
		text += fmt.Sprintf("      - {name: %s, username: %s, password-file: %s}\n", name, account[0], name)
	}
	write(t, file, text)
	for run := range 5 {
		out, code := vigate(t, "config", "check", file)
		if code != 1 || strings.Count(out, "FAILED: ") != 2 || !strings.Contains(out, "lock the user out") ||
			!strings.Contains(out, "account c: ok: logs in as other") {
			t.Errorf("run %d: %d\n%s", run, code, out)
		}
	}
	if wrong := tried["svc"] + tried["SVC"]; wrong != 2 || tried["other"] != 5 {
		t.Errorf("the upstream was asked %v", tried)
	}
	write(t, filepath.Join(dir, "a"), "right")
	write(t, filepath.Join(dir, "b"), "right")
	if out, code := vigate(t, "config", "check", file); code != 1 || !strings.Contains(out, "none is tried until") {
		t.Errorf("with the right password, a moment later: %d\n%s", code, out)
	}
	// The upstream has forgotten them by then.
	state := filepath.Join(os.Getenv("XDG_STATE_HOME"), "vigate", "config-check.json")
	b, err := os.ReadFile(state)
	if err != nil || strings.Contains(string(b), "svc") || strings.Contains(string(b), "wrong") {
		t.Fatalf("%s, %v", b, err)
	}
	var kept map[string][]time.Time
	if err := json.Unmarshal(b, &kept); err != nil {
		t.Fatal(err)
	}
	for _, times := range kept {
		for i := range times {
			times[i] = times[i].Add(-note.Window)
		}
	}
	b, err = json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	write(t, state, string(b))
	if out, code := vigate(t, "config", "check", file); code != 0 || strings.Contains(out, "lock") {
		t.Errorf("a quarter of an hour later: %d\n%s", code, out)
	}
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is forgotten is kept: %v", err)
	}
	for _, damaged := range []string{"{", `{"x":"y"}`, strings.Repeat(" ", 2<<20)} {
		write(t, state, damaged)
		if out, code := vigate(t, "config", "check", file); code != 0 {
			t.Errorf("with a damaged file: %d\n%s", code, out)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
