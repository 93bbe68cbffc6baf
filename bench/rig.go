//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/process"
)

// rig holds the built programs and the running servers.
type rig struct {
	options
	dir     string // directory for all files; removed at the end
	running map[*server]bool

	// The following fields are set by the first sections and used by later ones.
	floor, peer, vigate *server
	token               string // token of a session of vigate
	soap                bool   // vigate serves SOAP
}

// server is a running server with its addresses.
type server struct {
	*process.Process
	name                 string
	plain, secure, admin string
	data                 string // data directory; only for vigate
}

func (s *server) target() load.Target    { return load.Target{Address: s.plain} }
func (s *server) tlsTarget() load.Target { return load.Target{Address: s.secure, TLS: true} }

const (
	adminUser     = "administrator@vsphere.local"
	adminPassword = "correct horse battery staple 7"
	startLimit    = 5 * time.Minute
)

// program is a program to build: its name, the directory of its module, and its package in the
// module.
type program struct{ name, module, path string }

var (
	vigateProgram = program{"vigate", "..", "./cmd/vigate"}
	fillProgram   = program{"fill", ".", "./fill"}
	// The server behind the gateway, and the proxy that it is compared with.
	upstreamProgram = program{"upstream", ".", "./upstream"}
	proxyProgram    = program{"proxy", ".", "./proxy"}
	beside          = []program{{"floor", ".", "./floor"}, {"peer", ".", "./peer"},
		upstreamProgram, proxyProgram, {"etcd", etcdModule, "go.etcd.io/etcd/server/v3"}}
)

// newRig builds the programs.
func newRig(ctx context.Context, o options, dir string, programs ...program) (*rig, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if fileSystem(dir) == "tmpfs" {
		return nil, errors.New("the data must be on a disk: see -dir")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = os.MkdirTemp(dir, "run-"); err != nil {
		return nil, err
	}
	r := &rig{options: o, dir: dir, running: map[*server]bool{}}
	for _, p := range programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", r.program(p.name), p.path)
		cmd.Dir, cmd.Stderr = p.module, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, errors.Join(fmt.Errorf("build %s: %w", p.name, err), r.close())
		}
	}
	return r, nil
}

func (r *rig) program(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) close() error {
	var errs []error
	for s := range r.running {
		errs = append(errs, r.stop(s))
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}

func (r *rig) stop(s *server) error {
	delete(r.running, s)
	if err := s.Stop(); err != nil {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	return nil
}

// launch starts a server on free addresses.
func (r *rig) launch(name, data string, args func(*server) []string) (*server, error) {
	s := &server{name: name, data: data}
	for _, a := range []*string{&s.plain, &s.secure, &s.admin} {
		var err error
		if *a, err = process.FreeAddress(); err != nil {
			return nil, err
		}
	}
	p, err := process.Start(filepath.Join(r.dir, name+".log"), []string{"VIGATE_ADMIN_PASSWORD=" + adminPassword},
		r.program(name), args(s)...)
	if err != nil {
		return nil, err
	}
	s.Process = p
	r.running[s] = true
	return s, nil
}

func (r *rig) startFloor(ctx context.Context, size int) (*server, error) {
	s, err := r.launch("floor", "", func(s *server) []string {
		return []string{"-plain", s.plain, "-tls", s.secure, "-size", strconv.Itoa(size)}
	})
	if err != nil {
		return nil, err
	}
	return s, s.connects(ctx, s.secure)
}

func (r *rig) startPeer(ctx context.Context) (*server, error) {
	s, err := r.launch("peer", "", func(s *server) []string { return []string{"-plain", s.plain} })
	if err != nil {
		return nil, err
	}
	return s, s.connects(ctx, s.plain)
}

// connects waits until a server listens on the address.
func (s *server) connects(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return s.Poll(ctx, func() error {
		c, err := load.Dial(ctx, load.Target{Address: address})
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// startVigate starts vigate with a data directory, which is created if necessary.
func (r *rig) startVigate(ctx context.Context, data string) (*server, error) {
	s, err := r.launchVigate(data)
	if err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

func (r *rig) launchVigate(data string, more ...string) (*server, error) {
	return r.launch("vigate", r.data(data), func(s *server) []string {
		return append([]string{
			"serve", "--data", s.data, "--plain-http", s.plain, "--listen", s.secure, "--admin-listen", s.admin,
			"--max-sessions", "10000000", "--max-sessions-per-user", "10000000", "--idle-timeout", "24h",
		}, more...)
	})
}

func (r *rig) data(name string) string { return filepath.Join(r.dir, "data-"+name) }

func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return s.Ready(ctx, "http://"+s.plain+"/readyz")
}

// fill generates sessions in a data directory that no server has open.
func (r *rig) fill(ctx context.Context, data string, sessions int) error {
	cmd := exec.CommandContext(ctx, r.program("fill"), "--data", r.data(data), "--sessions", strconv.Itoa(sessions))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("fill store: %w", err)
	}
	return nil
}

// transactions returns the number of transactions that the embedded store has ever committed. Each
// is synced to the disk once. The number is in the two meta pages of the file, which are written
// alternately; the larger number is the current one.
func (s *server) transactions() (uint64, error) {
	f, err := os.Open(filepath.Join(s.data, "vigate.db"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// A meta page has a header of 16 bytes, then magic, version, page size and flags (4 bytes
	// each), root (16), free list (8), end (8) and transaction (8).
	const at = 16 + 16 + 16 + 8 + 8
	var n uint64
	for page := range int64(2) {
		var b [8]byte
		if _, err := f.ReadAt(b[:], page*int64(os.Getpagesize())+at); err != nil {
			return 0, fmt.Errorf("read the store's meta page: %w", err)
		}
		n = max(n, binary.NativeEndian.Uint64(b[:]))
	}
	return n, nil
}

// profile writes a processor profile of vigate while f runs.
func (r *rig) profile(ctx context.Context, s *server, name string, f func() error) error {
	seconds := max(1, int(r.Duration/time.Second))
	done := make(chan error, 1)
	go func() {
		done <- download(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.admin, seconds),
			filepath.Join(r.Profile, name+".pprof"))
	}()
	return errors.Join(f(), <-done)
}

// heap writes a memory profile of vigate if profiles are requested.
func (r *rig) heap(ctx context.Context, s *server, name string) error {
	if r.Profile == "" {
		return nil
	}
	return download(ctx, "http://"+s.admin+"/debug/pprof/heap?gc=1", filepath.Join(r.Profile, name+"-heap.pprof"))
}

// live returns the live heap of vigate in bytes.
func (s *server) live(ctx context.Context) (float64, error) {
	var text string
	for range 2 { // what is kept for reuse goes with the second collection
		b, err := fetch(ctx, "http://"+s.admin+"/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			return 0, err
		}
		text = string(b)
	}
	_, rest, _ := strings.Cut(text, "\n# HeapAlloc = ")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseFloat(line, 64)
	if err != nil {
		return 0, fmt.Errorf("read live heap: %w", err)
	}
	return n, nil
}

func download(ctx context.Context, url, path string) error {
	b, err := fetch(ctx, url)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// fetch returns what is at a URL of a server that runs.
func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: status %d", req.URL.Path, resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 64<<20))
}
