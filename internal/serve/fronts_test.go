package serve_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// behind is a simulator behind a server. The password of its users is "right".
type behind struct {
	*simulator.Server
	model *simulator.Model
}

func newBehind(t *testing.T, model *simulator.Model) *behind {
	t.Helper()
	must(t, model.Create())
	t.Cleanup(model.Remove)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("svc", "right")}
	model.Service.RegisterEndpoints = true
	s := model.Service.NewServer()
	t.Cleanup(s.Close)
	return &behind{s, model}
}

// sessions returns how many sessions the simulator has.
func (b *behind) sessions(t *testing.T) int {
	t.Helper()
	list := b.model.Service.Context.Map.SessionManager()
	n := 0
	res, err := methods.RetrieveProperties(t.Context(), b.model.Service, &types.RetrieveProperties{
		This: b.model.ServiceContent.PropertyCollector,
		SpecSet: []types.PropertyFilterSpec{{
			PropSet:   []types.PropertySpec{{Type: "SessionManager", PathSet: []string{"sessionList"}}},
			ObjectSet: []types.ObjectSpec{{Obj: list.Self}},
		}},
	})
	must(t, err)
	for _, o := range res.Returnval {
		for _, p := range o.PropSet {
			n += len(p.Val.(types.ArrayOfUserSession).UserSession)
		}
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// running is a server with fronts. Its log is safe for concurrent use.
type running struct {
	*serve.Node
	t    *testing.T
	stop func() error

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *running) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// password is that of the administrator of the server.
const password = "administrator's password"

// configured returns a configuration with the section "upstreams". dir is a directory for its files.
func configured(t *testing.T, dir, section string) (config.Config, []upstream.Config) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "password"), []byte("right\n"), 0o600))
	var all []upstream.Config
	file := filepath.Join(dir, "vigate.yaml")
	cfg, err := config.Load(file, []byte("data: "+filepath.Join(dir, "data")+"\nlisten: \"\"\n"+
		"plain-http: 127.0.0.1:0\nupstreams:\n"+section), nil, settings.Section(file, &all))
	must(t, err)
	return cfg, all
}

// run runs a server with the section "upstreams". edit may change the options.
func run(t *testing.T, section string, edit ...func(*serve.Options)) *running {
	t.Helper()
	r := &running{t: t}
	cfg, all := configured(t, t.TempDir(), section)
	o := serve.Options{
		Upstreams: all, Logger: slog.New(slog.NewTextHandler(r, nil)), Guest: true, Patience: time.Minute,
	}
	for _, e := range edit {
		e(&o)
	}
	var err error
	r.Node, err = serve.Open(t.Context(), cfg, o)
	must(t, err)
	_, err = r.Bootstrap(t.Context(), cfg, serve.Terminal{
		Out: io.Discard, Err: io.Discard, IsTerminal: func(io.Writer) bool { return false },
		Getenv: func(name string) string { return map[string]string{"VIGATE_ADMIN_PASSWORD": password}[name] },
	})
	must(t, err)
	must(t, r.Listen(t.Context(), cfg))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		must(t, r.Close())
	})
	return r
}

// get sends a request and returns the status and the body.
func (r *running) get(url string, header ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	must(r.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(req)
	must(r.t, err)
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	must(r.t, err)
	return a.StatusCode, string(body)
}

// front returns the URL of a front.
func (r *running) front(name string) string { return "http://" + r.FrontAddr(name, "plain").String() }

// own returns the URL of the server itself.
func (r *running) own() string { return "http://" + r.Addr("plain").String() }

// ready waits until the front is ready.
func (r *running) ready(name string) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		code, body := r.get(r.front(name) + "/readyz")
		if code == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("front %s is not ready: %s\n%s", name, body, r.logged())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// client logs in at a front with govmomi.
func (r *running) client(name, user, password string) *govmomi.Client {
	r.t.Helper()
	u, err := url.Parse(r.front(name) + "/sdk")
	must(r.t, err)
	u.User = url.UserPassword(user, password)
	c, err := govmomi.NewClient(r.t.Context(), u, true)
	must(r.t, err)
	return c
}

func account(name, principal string) string {
	return fmt.Sprintf("    accounts:\n      - {name: %s, username: svc, password-file: password, for: [%s]}\n",
		name, principal)
}

func upstreamOf(name, url, rest string) string {
	return fmt.Sprintf("  - name: %s\n    url: %s\n    plain-http: 127.0.0.1:0\n%s", name, url, rest)
}

func TestClientsWorkThroughAFront(t *testing.T) {
	for _, c := range []struct {
		name, manager string
		model         *simulator.Model
		rest          string
		user, word    string
	}{
		{"vcenter", "SessionManager", simulator.VPX(), account("ci", "administrator"), "administrator", password},
		{"through", "SessionManager", simulator.VPX(), "    pass-through: true\n", "svc", "right"},
		{"esx", "ha-sessionmgr", simulator.ESX(), account("ci", "administrator"), "administrator", password},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBehind(t, c.model)
			r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", c.rest))
			r.ready("lab")
			before := b.sessions(t)
			g := r.client("lab", c.user, c.word)
			if got := g.ServiceContent.SessionManager.Value; got != c.manager {
				t.Errorf("SessionManager is %s", got)
			}
			s, err := g.SessionManager.UserSession(t.Context())
			if err != nil || s == nil || c.name != "through" && s.UserName != `VSPHERE.LOCAL\Administrator` {
				t.Fatalf("session %+v, %v", s, err)
			}
			vms, err := find.NewFinder(g.Client).VirtualMachineList(t.Context(), "/...")
			if err != nil || len(vms) == 0 {
				t.Fatalf("machines %v, %v\n%s", vms, err, r.logged())
			}
			task, err := vms[0].PowerOff(t.Context())
			must(t, err)
			must(t, task.Wait(t.Context()))
			var vm mo.VirtualMachine
			must(t, vms[0].Properties(t.Context(), vms[0].Reference(), []string{"runtime.powerState"}, &vm))
			if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
				t.Errorf("the machine is %s", vm.Runtime.PowerState)
			}
			// VI JSON, which the simulator does not have.
			token := ""
			at, err := url.Parse(r.front("lab") + "/sdk")
			must(t, err)
			for _, cookie := range g.Jar.Cookies(at) {
				token = cookie.Value
			}
			code, body := r.get(r.front("lab")+"/sdk/vim25/8.0.1.0/VirtualMachine/"+vms[0].Reference().Value+"/name",
				"vmware-api-session-id", strings.Trim(token, `"`))
			if code != http.StatusOK || !strings.Contains(body, "VM") && !strings.Contains(body, "vm") {
				t.Errorf("VI JSON: %d, %s", code, body)
			}
			// A session of the front is none of the server itself.
			code, body = r.get(r.own()+"/api/session", "vmware-api-session-id", strings.Trim(token, `"`))
			if code != http.StatusUnauthorized {
				t.Errorf("on the server itself: %d, %s", code, body)
			}
			must(t, g.Logout(t.Context()))
			must(t, r.stop())
			if after := b.sessions(t); after > before {
				t.Errorf("%d sessions are left at the upstream, and there were %d\n%s", after, before, r.logged())
			}
		})
	}
}

func TestAFrontWithoutItsUpstreamKeepsNobodyElseFromWorking(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ci", "administrator"))+
		upstreamOf("dark", "http://127.0.0.1:1/sdk", "    pass-through: true\n"))
	r.ready("lab")
	for _, path := range []string{"/readyz", "/sdk", "/api/session"} {
		if code, body := r.get(r.front("dark") + path); code != http.StatusServiceUnavailable {
			t.Errorf("%s of a front without its upstream: %d, %s", path, code, body)
		}
	}
	if code, _ := r.get(r.front("dark") + "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz of a front without its upstream: %d", code)
	}
	if code, body := r.get(r.own() + "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz of the server: %d, %s", code, body)
	}
	_ = r.client("lab", "administrator", password).Logout(t.Context())
}

func TestAReloadChangesAccountsAndEndsNoSession(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	hangup := make(chan os.Signal)
	var mu sync.Mutex // guards next
	var next []upstream.Config
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ci", "administrator")),
		func(o *serve.Options) {
			o.Hangup = hangup
			next = append(next, o.Upstreams...)
			o.Reread = func() ([]upstream.Config, error) {
				mu.Lock()
				defer mu.Unlock()
				return next, nil
			}
		})
	r.ready("lab")
	g := r.client("lab", "administrator", password)
	change := func(edit func(*upstream.Config), want string) {
		t.Helper()
		mu.Lock()
		edit(&next[0])
		mu.Unlock()
		seen := strings.Count(r.logged(), want)
		hangup <- os.Interrupt
		for end := time.Now().Add(time.Minute); strings.Count(r.logged(), want) == seen; {
			if time.Now().After(end) {
				t.Fatalf("no line %q in the log:\n%s", want, r.logged())
			}
			<-time.After(time.Millisecond)
		}
	}
	accounts := next[0].Accounts
	change(func(c *upstream.Config) {
		c.Accounts = []upstream.AccountConfig{accounts[0]}
		c.Accounts[0].For = []string{"ann@vsphere.local"}
	}, "were read again")
	if _, err := methods.GetCurrentTime(t.Context(), g.Client); err == nil {
		t.Error("the administrator acts with an account that is not for it any more")
	}
	change(func(c *upstream.Config) { c.Accounts = accounts }, "were read again")
	if _, err := methods.GetCurrentTime(t.Context(), g.Client); err != nil {
		t.Errorf("after the change back: %v", err)
	}
	change(func(c *upstream.Config) { c.URL = "http://127.0.0.1:2/sdk" }, "a change of url needs a restart")
	if _, err := methods.GetCurrentTime(t.Context(), g.Client); err != nil {
		t.Errorf("after a change that needs a restart: %v", err)
	}
}

func TestAFrontGivesTickets(t *testing.T) {
	b := newBehind(t, simulator.VPX())
	tokens := filepath.Join(t.TempDir(), "tokens")
	sum := sha256.Sum256([]byte("a token of a program"))
	must(t, os.WriteFile(tokens, []byte("administrator "+hex.EncodeToString(sum[:])+"\n"), 0o600))
	path := func(at, target string) string {
		return fmt.Sprintf("      - {account: ci, path: %s, tokens-file: %s, per-minute: 30, target: %s}\n", at,
			tokens, target)
	}
	r := run(t, upstreamOf("lab", "http://"+b.URL.Host+"/sdk", account("ci", "administrator")+
		"    dispense:\n"+path("/session", "upstream")+path("/own", "front")))
	r.ready("lab")
	for at, where := range map[string]string{"/session": "http://" + b.URL.Host, "/own": r.front("lab")} {
		code, body := r.get(r.front("lab")+at, "Authorization", "Bearer a token of a program")
		var answer struct{ Token string }
		if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d, %s, %v\n%s", at, code, body, err, r.logged())
		}
		u, err := url.Parse(where + "/sdk")
		must(t, err)
		c, err := vim25.NewClient(t.Context(), soap.NewClient(u, true))
		must(t, err)
		if err := session.NewManager(c).CloneSession(t.Context(), answer.Token); err != nil {
			t.Errorf("%s: clone by the ticket: %v", at, err)
		}
		if code, body := r.get(r.front("lab")+at, "Authorization", "Bearer another"); code != http.StatusUnauthorized {
			t.Errorf("%s with a wrong token: %d, %s", at, code, body)
		}
	}
}
