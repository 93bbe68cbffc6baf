// Package member runs etcd members for tests: real processes on loopback that can be killed and
// started again. [Started] makes a cluster that ends with the test; [New] makes one for a whole
// test program.
//
// It builds etcd from the version in go.mod, so the machine needs no etcd.
package member

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// patience is how long a member may take until it serves.
const patience = 5 * time.Minute

// Build compiles etcd, in the version that go.mod requires, into dir. It returns the program's
// path. module is the directory of this module. With the build cache, only the first build is slow.
func Build(module, dir string) (string, error) {
	path := filepath.Join(dir, "etcd")
	cmd := exec.Command("go", "build", "-o", path, "go.etcd.io/etcd/server/v3")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build etcd: %w\n%s", err, out)
	}
	return path, nil
}

// Member is one etcd of a cluster.
type Member struct {
	Endpoint string // HOST:PORT for clients

	program, dir, name, peer string
	cluster                  string // NAME=URL of all members
	opts                     Options
	cmd                      *exec.Cmd
	ended                    chan error
}

// Options say how members run. They never sync to disk.
type Options struct {
	Args []string // further arguments of etcd
	// CertFile and KeyFile are the certificate of the members. TLS is the configuration of their
	// clients. If TLS is nil, connections of clients are not encrypted.
	CertFile, KeyFile string
	TLS               *tls.Config
}

// New makes a cluster of n members with their data under dir, and starts it. After an error it
// returns the members that it has made; the caller must kill them.
func New(program, dir string, n int, opts Options) ([]*Member, error) {
	free, err := ports(2 * n)
	if err != nil {
		return nil, err
	}
	var members []*Member
	var cluster []string
	for i := range n {
		m := &Member{Endpoint: free[2*i], peer: free[2*i+1], name: fmt.Sprint("m", i), program: program, opts: opts}
		m.dir = filepath.Join(dir, m.name)
		members = append(members, m)
		cluster = append(cluster, m.name+"=http://"+m.peer)
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			return nil, err
		}
	}
	for _, m := range members {
		m.cluster = strings.Join(cluster, ",")
		if err := m.launch(); err != nil {
			return members, err
		}
	}
	for _, m := range members {
		if err := m.serves(); err != nil {
			return members, err
		}
	}
	return members, nil
}

// ports returns n addresses that are free now.
func ports(n int) ([]string, error) {
	var found []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		found = append(found, l.Addr().String())
	}
	return found, nil
}

// Start starts a member that is not running, and returns once it serves.
func (m *Member) Start() error {
	if err := m.launch(); err != nil {
		return err
	}
	return m.serves()
}

func (m *Member) launch() error {
	log, err := os.OpenFile(filepath.Join(m.dir, "etcd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	scheme := "http://"
	var secure []string
	if m.opts.TLS != nil {
		scheme = "https://"
		secure = []string{"--cert-file", m.opts.CertFile, "--key-file", m.opts.KeyFile}
	}
	m.cmd = exec.Command(m.program, slices.Concat([]string{
		"--name", m.name, "--data-dir", filepath.Join(m.dir, "data"), "--log-level", "warn", "--unsafe-no-fsync",
		"--listen-client-urls", scheme + m.Endpoint, "--advertise-client-urls", scheme + m.Endpoint,
		"--listen-peer-urls", "http://" + m.peer, "--initial-advertise-peer-urls", "http://" + m.peer,
		"--initial-cluster", m.cluster,
	}, secure, m.opts.Args)...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return err
	}
	m.ended = make(chan error, 1)
	ended, cmd := m.ended, m.cmd
	go func() { ended <- cmd.Wait() }()
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
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := c.Get(attempt, "x")
		cancel()
		if err == nil || errors.Is(err, rpctypes.ErrUserEmpty) { // with authentication etcd asks for a user
			return nil
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(filepath.Join(m.dir, "etcd.log"))
			return fmt.Errorf("etcd does not serve: %w\n%s", err, text)
		}
	}
}

// Client returns a client of this member.
func (m *Member) Client() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{m.Endpoint}, TLS: m.opts.TLS, Logger: zap.NewNop()})
}

// Kill kills the member's process and returns once the process has ended.
func (m *Member) Kill() error {
	if m.cmd == nil {
		return nil
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-m.ended
	m.cmd = nil
	return nil
}

// Started makes a cluster that ends with the test.
func Started(t testing.TB, program string, n int, opts Options) []*Member {
	t.Helper()
	members, err := New(program, t.TempDir(), n, opts)
	t.Cleanup(func() {
		for _, m := range members {
			if err := m.Kill(); err != nil {
				t.Errorf("end etcd: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return members
}
