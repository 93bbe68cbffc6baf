package main

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/internal/lab"
)

// screen is what the program prints. ready is closed when it has printed all lines.
type screen struct {
	mu    sync.Mutex // guards b
	b     bytes.Buffer
	once  sync.Once
	ready chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(p)
	if bytes.Contains(s.b.Bytes(), []byte("Press Ctrl-C")) {
		s.once.Do(func() { close(s.ready) })
	}
	return len(p), nil
}

// start runs the program until the test ends, and returns what it has printed.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out := &screen{ready: make(chan struct{})}
	cmd := command()
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0", "--own-listen", "127.0.0.1:0"}, args...))
	cmd.SetOut(out)
	cmd.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	select {
	case <-out.ready:
	case err := <-ended:
		cancel()
		t.Fatalf("it ended: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return out.b.String()
}

// found returns what the expression finds in the lines.
func found(t *testing.T, printed, expression string) string {
	t.Helper()
	m := regexp.MustCompile(expression).FindStringSubmatch(printed)
	if m == nil {
		t.Fatalf("no %s in\n%s", expression, printed)
	}
	return m[1]
}

// connect logs in at the front that the lines name.
func connect(t *testing.T, printed, user, password string) (*client.Client, error) {
	t.Helper()
	c, err := client.New(t.Context(), client.Config{
		URL: found(t, printed, `(https://\S+)\s+the inventory`),
		TLS: client.TLS{Thumbprint: found(t, printed, `SHA-256\s+(\S+)`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.Login(t.Context(), user, password, "")
	return c, err
}

func TestTheServiceAccountLeaksSessionsUpToItsLimit(t *testing.T) {
	printed := start(t, "--leak", "1ms", "--max-sessions-per-user", "3")
	c, err := connect(t, printed, lab.Administrator, defaultPassword)
	if err != nil {
		t.Fatal(err)
	}
	for leaked := 0; leaked < 3; {
		all, err := c.SessionList(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leaked = 0
		for _, s := range all {
			if s.UserAgent == "leaky-service/1.0" {
				leaked++
			}
		}
		if leaked > 3 {
			t.Fatalf("%d sessions", leaked)
		}
	}
	if _, err := connect(t, printed, lab.Leaker, defaultPassword); err == nil {
		t.Error("its user has more sessions than the limit")
	}
}

func TestALabThatOthersCanReachHasAPasswordOfItsOwn(t *testing.T) {
	for _, s := range []settings{{listen: "0.0.0.0:0", own: "127.0.0.1:0"}, {listen: "127.0.0.1:0", own: ":0"}} {
		p, err := s.passwordOfAll()
		if err != nil || p.Reveal() == defaultPassword || len(p.Reveal()) < 16 {
			t.Errorf("%s, %s: %q, %v", s.listen, s.own, p.Reveal(), err)
		}
	}
	for _, s := range []settings{{listen: "127.0.0.1:1", own: "localhost:2"}, {listen: "[::1]:1", own: "[::1]:2"}} {
		if p, err := s.passwordOfAll(); err != nil || p.Reveal() != defaultPassword {
			t.Errorf("%s, %s: %q, %v", s.listen, s.own, p.Reveal(), err)
		}
	}
	s := settings{listen: "0.0.0.0:0", own: "0.0.0.0:0", password: "chosen here"}
	if p, err := s.passwordOfAll(); err != nil || p.Reveal() != "chosen here" {
		t.Error(p.Reveal(), err)
	}
}

func TestTheLabCanBeAnESXiHost(t *testing.T) {
	printed := start(t, "--model", "esxi", "--vms", "1", "--leak", "0", "--password", "a password of my own")
	if !strings.Contains(printed, "a simulated ESXi host with 1 hosts, 1 virtual machines") {
		t.Error(printed)
	}
	if strings.Contains(printed, "never logs out") {
		t.Error("it says that somebody leaks")
	}
	if _, err := connect(t, printed, lab.Reader, "a password of my own"); err != nil {
		t.Error(err)
	}
	if _, err := connect(t, printed, lab.Reader, defaultPassword); err == nil {
		t.Error("another password is accepted")
	}
}

func TestFlagsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, args := range map[string][]string{
		"hyper-v":          {"--model", "hyper-v"},
		"no clusters":      {"--model", "esxi", "--clusters", "2"},
		"from 0 to 10000":  {"--vms", "-1"},
		"unknown flag":     {"--planets", "2"},
		"host:port":        {"--listen", "nowhere"},
		"loopback address": {"--plain-http", "0.0.0.0:0", "--listen", "127.0.0.1:0", "--own-listen", "127.0.0.1:0"},
	} {
		cmd := command()
		cmd.SetArgs(args)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestTheProgramVigateDoesNotContainTheSimulator(t *testing.T) {
	deps := func(pkg string) string {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", pkg, err)
		}
		return string(out)
	}
	const simulator = "github.com/vmware/govmomi/simulator\n"
	if !strings.Contains(deps("."), simulator) {
		t.Error("the lab does not contain the simulator, so that this test finds nothing")
	}
	for pkg := range strings.Lines(deps("../vigate")) {
		if strings.Contains(pkg, "simulator") || strings.Contains(pkg, "vigate/internal/lab") {
			t.Errorf("vigate contains %s", pkg)
		}
	}
}
