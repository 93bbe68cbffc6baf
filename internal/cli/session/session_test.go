package session_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli"
)

// shell runs commands as a user does, with its own saved sessions.
type shell struct {
	t     testing.TB
	env   map[string]string
	stdin string
	// terminals are the streams that are terminals: stdin, stdout, stderr.
	terminals string
	out, err  bytes.Buffer
}

func newShell(t testing.TB, url string) *shell {
	return &shell{t: t, env: map[string]string{
		"VIGATE_URL": url, "VIGATE_USERNAME": "administrator@vsphere.local", "VIGATE_PASSWORD": password,
		"VIGATE_INSECURE": "true", "XDG_STATE_HOME": t.TempDir(),
	}}
}

// run runs a command and returns its exit code. Blanks separate the arguments.
func (sh *shell) run(line string) int { return sh.runIn(sh.t.Context(), io.Writer(&sh.out), line) }

func (sh *shell) runIn(ctx context.Context, out io.Writer, line string) int {
	sh.out.Reset()
	sh.err.Reset()
	in := io.Reader(strings.NewReader(sh.stdin))
	root := &cobra.Command{Use: "vigate", Short: "A session manager"}
	cli.AddTo(root, cli.Host{
		LookupEnv: func(name string) (string, bool) { v, ok := sh.env[name]; return v, ok },
		IsTerminal: func(stream any) bool {
			return strings.Contains(sh.terminals, map[any]string{in: "stdin", out: "stdout", &sh.err: "stderr"}[stream])
		},
		// It differs from the vCenter's: that must not matter.
		Now: func() time.Time { return began.Add(100 * time.Hour) },
	})
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(&sh.err)
	return cli.Execute(ctx, root, strings.Fields(line))
}

// must runs a command that must succeed, and returns its output.
func (sh *shell) must(line string) string {
	sh.t.Helper()
	if code := sh.run(line); code != 0 {
		sh.t.Fatalf("vigate %s: exit code %d: %s", line, code, sh.err.String())
	}
	return sh.out.String()
}

// fails runs a command that must fail with the exit code, and with a text in its error output.
func (sh *shell) fails(code int, text, line string) {
	sh.t.Helper()
	if got := sh.run(line); got != code || !strings.Contains(sh.err.String(), text) {
		sh.t.Errorf("vigate %s: exit code %d, want %d, with %q: %s", line, got, code, text, sh.err.String())
	}
}

func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// site returns the sessions of a site: people, a service that leaks, and a service of vCenter's own.
func site() []userSession {
	const h = time.Hour
	return []userSession{
		live("ann1", `CORP\ann`, "VMware-client/8.0", "192.0.2.10", 3*h, time.Minute),
		live("ann2", `CORP\Ann`, "govc/0.55.0", "2001:db8::7", 26*h, 2*h),
		live("leak1", `VSPHERE.LOCAL\svc-leak`, "pyvmomi Python/3.11", "192.0.2.20", 9*h, 9*h),
		live("leak2", `VSPHERE.LOCAL\svc-leak`, "pyvmomi Python/3.11", "192.0.2.20", 8*h, 8*h),
		live("leak3", `VSPHERE.LOCAL\svc-leak`, "pyvmomi Python/3.11", "192.0.2.21", 30*time.Minute, 20*time.Minute),
		live("vpxd", `VSPHERE.LOCAL\vpxd-extension-1`, "", "127.0.0.1", 100*h, 0),
		live("root", "root", "=HYPERLINK(1)", "192.0.2.30", h, h),
	}
}

func TestFlagsSelectSessions(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	for flags, want := range map[string]string{
		"":                                        "vpxd ann2 leak1 leak2 ann1 root leak3 own-0",
		"--user ann":                              "ann2 ann1",
		"--user ANN --client GOVC*":               "ann2",
		"--user svc-*":                            "leak1 leak2 leak3",
		"--user svc-leak@vsphere.local":           "leak1 leak2 leak3",
		`--user vsphere.local\*`:                  "vpxd leak1 leak2 leak3 own-0",
		"--user *@corp --user root":               "ann2 ann1 root",
		"--user *.local":                          "",
		"--user corp":                             "",
		"--user sv*-le*k":                         "leak1 leak2 leak3",
		"--address 192.0.2.2*":                    "leak1 leak2 leak3 own-0",
		"--address 2001:DB8::*":                   "ann2",
		"--idle 1h":                               "ann2 leak1 leak2 root",
		"--idle 1h1s":                             "ann2 leak1 leak2",
		"--older 1d":                              "vpxd ann2",
		"--older 1d3h":                            "vpxd",
		"--idle 8h --user svc-leak":               "leak1 leak2",
		"--client *python*":                       "leak1 leak2 leak3",
		"--client *python":                        "",
		"--sort idle --limit 2":                   "leak1 leak2",
		"--sort -age --limit 2":                   "own-0 leak3",
		"--sort user,-idle --user ann --user svc": "ann1 ann2",
		"--sort client,key --limit 3":             "vpxd root ann2",
		"--sort calls --limit 1":                  "vpxd",
		"--sort address --limit 1":                "vpxd",
	} {
		got := strings.Join(strings.Fields(sh.must("session ls -o keys "+flags)), " ")
		if got != want {
			t.Errorf("%s: %s, want %s", flags, got, want)
		}
	}
}

func TestFlagsThatMakeNoSenseAreRefusedBeforeAnyCall(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	sh.fails(2, "--sort", "session ls --sort size")
	sh.fails(2, "must not be negative", "session ls --limit -1")
	sh.fails(2, "is not a time", "session ls --idle tomorrow")
	sh.fails(2, "is not a time", "session ls --idle=")
	sh.fails(2, "is not a number of days", "session ls --older 1.5d")
	sh.fails(2, "is not a number of days", "session ls --older 99999999d")
	sh.fails(2, "is negative", "session ls --idle -5m")
	sh.fails(2, "--user is empty", "session ls --user=")
	sh.fails(2, "--client is empty", "session rm --yes --client= --user ann")
	sh.fails(2, "unknown command", "session ls ann")
	sh.fails(2, "--by", "session top --by size")
	sh.fails(2, "--every", "session top --every 1ms")
	sh.fails(2, "must not be negative", "session top --limit -1")
	sh.fails(2, "table or json", "session top -o csv")
	sh.fails(2, "give keys, or flags", "session rm --yes")
	sh.fails(2, "exclude each other", "session rm ann1 --user ann")
	sh.fails(2, "exclude each other", "session rm ann1 --all")
	sh.fails(2, "no terminal to ask on", "session rm --user ann")
	for _, flags := range []string{"--user *", "--idle 0s", "--address ** --client *",
		"--older 0d --user ann --user *"} {
		sh.fails(2, "add --all", "session rm --yes "+flags)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.calls) > 0 {
		t.Errorf("calls: %v", v.calls)
	}
}

func TestSessionsAreShownInEachFormat(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	table := sh.must("session ls --user ann --user Administrator")
	contains(t, table, "KEY", "*  own-0", "   ann2   CORP\\Ann                     2001:db8::7  2023-04-17T10:00:00Z"+
		"  2h0m  11     govc/0.55.0")
	contains(t, sh.must("session ls -o wide --user ann"), "METHOD", "FULL NAME", "-       en      CORP\\ann")

	var list []struct {
		TypeName    string    `json:"_typeName"`
		Key         string    `json:"key"`
		LoginTime   time.Time `json:"loginTime"`
		IdleSeconds int64     `json:"idleSeconds"`
		Current     bool      `json:"current"`
	}
	if err := json.Unmarshal([]byte(sh.must("session ls -o json --user ann --user administrator")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0].Key != "ann2" || list[0].IdleSeconds != 7200 || list[0].Current ||
		list[0].TypeName != "UserSession" || !list[0].LoginTime.Equal(began.Add(-26*time.Hour)) ||
		list[2].Key != "own-0" || !list[2].Current || list[2].IdleSeconds != 0 {
		t.Errorf("%+v", list)
	}
	if out := sh.must("session ls -o json --user nobody"); out != "[]\n" {
		t.Errorf("no session: %s", out)
	}

	rows, err := csv.NewReader(strings.NewReader(sh.must("session ls -o csv --user root"))).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		got[name] = rows[1][i]
	}
	if got["key"] != "root" || got["idleSeconds"] != "3600" || got["current"] != "false" ||
		got["userAgent"] != "'=HYPERLINK(1)" || got["loginTime"] != "2023-04-18T11:00:00Z" {
		t.Errorf("%v", got)
	}
}

func TestOnlyVigateTellsLoginMethods(t *testing.T) {
	sh := newShell(t, startVCenter(t, site()...).URL)
	for _, line := range []string{"session ls --method password", "session ls --sort method", "session top --by method",
		"session rm --yes --method password"} {
		sh.fails(1, "does not say how sessions logged in: only vigate does", line)
	}
}

func TestAServerWithoutVIJSONIsExplained(t *testing.T) {
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `<Envelope/>`)
	}))
	defer old.Close()
	sh := newShell(t, old.URL)
	for _, line := range []string{"session ls", "session top", "session rm --yes --user ann", "session rm ann1"} {
		sh.fails(1, "has no VI JSON API", line)
		sh.fails(1, "a front of vigate", line)
	}
}
