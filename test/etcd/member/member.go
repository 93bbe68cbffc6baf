// Package member runs etcd members for tests: real processes on loopback that
// can be killed and started again.
package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// patience is how long a member may take to serve.
const patience = time.Minute

// Build compiles etcd as this module's go.mod has it, into dir, and returns the
// program's path. The build cache makes all but the first quick.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "etcd")
	_, self, _, _ := runtime.Caller(0)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "go.etcd.io/etcd/server/v3")
	cmd.Dir = filepath.Dir(self)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build etcd: %w\n%s", err, out)
	}
	return path, nil
}

// Member is one etcd, a cluster of its own.
type Member struct {
	Endpoint string // HOST:PORT for clients

	program, dir, peer string
	args               []string
	cmd                *exec.Cmd
	ended              chan error
}

// New makes a member with its data in dir and starts it. It does not sync to
// disk. Further arguments are etcd's.
func New(program, dir string, args ...string) (*Member, error) {
	client, peer, err := ports()
	if err != nil {
		return nil, err
	}
	m := &Member{Endpoint: client, program: program, dir: dir, peer: peer, args: args}
	return m, m.Start()
}

// ports finds two that are free now.
func ports() (string, string, error) {
	var found [2]string
	for i := range found {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		found[i] = l.Addr().String()
	}
	return found[0], found[1], nil
}

// Start starts a member that does not run, and returns once it serves.
func (m *Member) Start() error {
	log, err := os.OpenFile(filepath.Join(m.dir, "etcd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	m.cmd = exec.Command(m.program, append([]string{
		"--name", "m", "--data-dir", filepath.Join(m.dir, "data"), "--log-level", "warn", "--unsafe-no-fsync",
		"--listen-client-urls", "http://" + m.Endpoint, "--advertise-client-urls", "http://" + m.Endpoint,
		"--listen-peer-urls", "http://" + m.peer, "--initial-advertise-peer-urls", "http://" + m.peer,
		"--initial-cluster", "m=http://" + m.peer,
	}, m.args...)...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return err
	}
	m.ended = make(chan error, 1)
	go func() { m.ended <- m.cmd.Wait() }()
	if err := m.serves(); err != nil {
		return errors.Join(err, m.Kill())
	}
	return nil
}

func (m *Member) serves() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ended := m.ended
	go func() {
		select {
		case err := <-ended:
			ended <- err
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := m.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err := c.Get(attempt, "x")
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(filepath.Join(m.dir, "etcd.log"))
			return fmt.Errorf("etcd does not serve: %w\n%s", err, text)
		}
	}
}

// Client connects to the member.
func (m *Member) Client() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{m.Endpoint}, Logger: zap.NewNop()})
}

// Kill ends the member's process at once and returns when it is gone.
func (m *Member) Kill() error {
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-m.ended
	return nil
}

// Started makes a member that the test ends.
func Started(t testing.TB, program string, args ...string) *Member {
	t.Helper()
	m, err := New(program, t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Errorf("end etcd: %v", err)
		}
	})
	return m
}
