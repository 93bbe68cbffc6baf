package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/lab"
)

// process is a server as operators run it, before a simulator. It can be killed and started again with the same data.
type process struct {
	t         *testing.T
	config    string
	inventory *lab.Inventory
	direct    *govmomi.Client // of an administrator of the simulator
	veil      *veil           // nil: the server is in front of the simulator itself

	at    string // HOST:PORT of the front
	cmd   *exec.Cmd
	log   *bytes.Buffer // complete once ended is closed
	ended chan struct{}
}

// newProcess starts a server in front of a simulator, or of a veil before it.
func newProcess(t *testing.T, kind lab.Kind, veiled bool) *process {
	t.Helper()
	m, err := model(kind)
	must(t, err)
	p := &process{t: t}
	p.inventory, err = lab.OpenInventory(m)
	must(t, err)
	t.Cleanup(p.inventory.Close)
	p.direct, err = connect(t.Context(), "https://"+p.inventory.URL.Host,
		url.UserPassword(p.inventory.User, p.inventory.Password.Reveal()), nil)
	must(t, err)
	at := p.inventory.URL.String() + "\n    thumbprint: " + p.inventory.Thumbprint
	if veiled {
		p.veil = newVeil(t, p.inventory.URL)
		at = p.veil.at
	}
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	must(t, os.WriteFile(password, []byte(p.inventory.Password.Reveal()), 0o600))
	p.config = filepath.Join(dir, "vigate.yaml")
	must(t, os.WriteFile(p.config, fmt.Appendf(nil, `data: %s
listen: ""
plain-http: 127.0.0.1:0
upstreams:
  - name: lab
    url: %s
    plain-http: 127.0.0.1:0
    max-sessions: 2
    accounts:
      - {name: ci, username: %s, password-file: %s, for: [administrator]}
`, filepath.Join(dir, "data"), at, p.inventory.User, password), 0o600))
	t.Cleanup(func() {
		if p.cmd != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			<-p.ended
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", p.log)
		}
	})
	p.start()
	return p
}

var frontListens = regexp.MustCompile(`msg=listening front=lab listener=plain address=(\S+)`)

// start starts the process, and waits until its front is ready.
func (p *process) start() {
	p.t.Helper()
	path, err := server()
	must(p.t, err)
	p.cmd = exec.Command(path, "serve", "--config", p.config)
	p.cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword)
	out, err := p.cmd.StderrPipe()
	must(p.t, err)
	must(p.t, p.cmd.Start())
	p.log, p.ended = &bytes.Buffer{}, make(chan struct{})
	found := make(chan string, 1)
	go func(cmd *exec.Cmd, log *bytes.Buffer, ended chan<- struct{}) {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			_, _ = log.WriteString(lines.Text() + "\n") // it never fails
			if m := frontListens.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
		_ = cmd.Wait() // its state tells how it ended
	}(p.cmd, p.log, p.ended)
	select {
	case p.at = <-found:
	case <-p.ended:
		p.t.Fatalf("the server ends: %s", p.log)
	case <-time.After(patience):
		p.t.Fatal("the server does not listen")
	}
	eventually(p.t, "the front is ready", func() bool {
		r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.at+"/readyz", nil)
		must(p.t, err)
		a, err := http.DefaultClient.Do(r)
		must(p.t, err)
		_, err = io.Copy(io.Discard, a.Body)
		must(p.t, err)
		_ = a.Body.Close()
		return a.StatusCode == http.StatusOK
	})
}

// end ends the process by a signal.
func (p *process) end(signal syscall.Signal) *os.ProcessState {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(signal))
	<-p.ended
	state := p.cmd.ProcessState
	p.cmd = nil
	return state
}

// upstream returns the keys of the server's sessions at the simulator.
func (p *process) upstream() []string {
	p.t.Helper()
	keys, err := othersAt(p.t.Context(), p.direct)
	must(p.t, err)
	return keys
}

// connect logs in at the front.
func (p *process) connect(ctx context.Context) *govmomi.Client {
	p.t.Helper()
	c, err := connect(ctx, "http://"+p.at, url.UserPassword(lab.Administrator, adminPassword), nil)
	must(p.t, err)
	return c
}

func TestAKilledServerLeavesNoSessionsAtTheUpstreamOnceItRunsAgain(t *testing.T) {
	t.Parallel()
	for name, veiled := range map[string]bool{"the key is the cookie": false, "the cookie is unknown": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range both {
				t.Run(string(kind), func(t *testing.T) {
					t.Parallel()
					leavesNothingWhenKilled(t, newProcess(t, kind, veiled))
				})
			}
		})
	}
}

// leavesNothingWhenKilled kills a server whose client owns something, and starts it again.
func leavesNothingWhenKilled(t *testing.T, p *process) {
	t.Helper()
	c := p.connect(t.Context())
	v, err := view.NewManager(c.Client).CreateContainerView(t.Context(), c.ServiceContent.RootFolder, nil, true)
	must(t, err)
	at := *c.URL()
	cookies := c.Jar.Cookies(&at)
	left := p.upstream()
	if len(left) == 0 {
		t.Fatal("there is no session at the upstream")
	}
	p.end(syscall.SIGKILL)
	if now := p.upstream(); strings.Join(now, " ") != strings.Join(left, " ") {
		t.Errorf("after the end: %v, before: %v", now, left)
	}
	p.start()
	eventually(t, "the sessions of the killed process end", func() bool {
		now := strings.Join(p.upstream(), " ")
		for _, key := range left {
			if strings.Contains(now, key) {
				return false
			}
		}
		return true
	})
	// The client's session goes on, without what it owned.
	again, err := connect(t.Context(), "http://"+p.at, nil, nil)
	must(t, err)
	again.Jar.SetCookies(again.URL(), cookies)
	all := machines(t, again)
	var vm mo.VirtualMachine
	must(t, all[0].Properties(t.Context(), all[0].Reference(), []string{"name"}, &vm))
	if vm.Name != all[0].Name() {
		t.Errorf("the machine %s is called %s", all[0].Name(), vm.Name)
	}
	gone := view.NewContainerView(again.Client, v.Reference())
	if err := gone.Destroy(t.Context()); !isFault[types.ManagedObjectNotFound](err) {
		t.Errorf("the view of before: %v", err)
	}
	if p.veil != nil && p.veil.sessions() < 2 {
		t.Error("no session was made to end those of the killed process")
	}
}

func TestAServerThatIsStoppedLeavesNoSessionAtTheUpstream(t *testing.T) {
	t.Parallel()
	p := newProcess(t, lab.VCenter, false)
	c := p.connect(t.Context())
	_, err := view.NewManager(c.Client).CreateContainerView(t.Context(), c.ServiceContent.RootFolder, nil, true)
	must(t, err)
	_ = machines(t, p.connect(t.Context()))
	if len(p.upstream()) == 0 {
		t.Fatal("there is no session at the upstream")
	}
	state := p.end(syscall.SIGTERM)
	if left := p.upstream(); len(left) > 0 || state.ExitCode() != 0 {
		t.Errorf("left %v, %s\n%s", left, state, p.log)
	}
}
