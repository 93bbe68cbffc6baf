//go:build linux

package site

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// BuildEtcd compiles etcd into dir, in the version that the module requires.
func BuildEtcd(module, dir string) (string, error) {
	out := filepath.Join(dir, "etcd")
	return out, compile(module, "-o", out, "go.etcd.io/etcd/server/v3")
}

// Member is one etcd process. It syncs to disk as in production.
type Member struct {
	Addr string // host:port for clients
	process
}

// NewMembers prepares a cluster of n members with their data under dir, and the network between
// them. It does not start them.
func NewMembers(program, dir string, n int) ([]*Member, *Peers, error) {
	listen, urls, all := make([]string, n), make([]string, n), make([]*Member, n)
	for i := range all {
		listen[i] = address()
		_, port, _ := strings.Cut(listen[i], ":")
		urls[i] = fmt.Sprintf("m%d=http://%s:%s", i, peerName(i), port)
		all[i] = &Member{Addr: address()}
	}
	peers, err := newPeers(listen)
	if err != nil {
		return nil, peers, err
	}
	for i, m := range all {
		name, peer, _ := strings.Cut(urls[i], "=")
		m.process = process{
			program: program, log: filepath.Join(dir, name+".log"),
			env: []string{"HTTP_PROXY=socks5://" + peers.boards[i].addr, "NO_PROXY=", "no_proxy="},
			args: []string{
				"--name", name, "--data-dir", filepath.Join(dir, name), "--log-level", "warn",
				"--listen-client-urls", "http://" + m.Addr, "--advertise-client-urls", "http://" + m.Addr,
				"--listen-peer-urls", "http://" + listen[i], "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(urls, ","), "--initial-cluster-token", filepath.Base(dir),
			},
		}
	}
	return all, peers, os.MkdirAll(dir, 0o700)
}

// Launch starts the member without waiting for it.
func (m *Member) Launch() error { return m.start() }

// Ready returns when the member answers, and so is part of a quorum.
func (m *Member) Ready(ctx context.Context) error {
	return m.await(ctx, func(ctx context.Context) error {
		_, err := m.ask(ctx, "kv/range", map[string]any{"key": "AA=="}) // any key
		return err
	})
}

// Kill kills the member with SIGKILL, as in a crash.
func (m *Member) Kill() error { return m.kill() }

// status is what the member reports about itself.
type status struct {
	Header struct {
		Member   string `json:"member_id"`
		Revision int64  `json:"revision,string"`
	}
	Leader string
}

// ask makes a call to etcd's JSON gateway.
func (m *Member) ask(ctx context.Context, method string, arguments map[string]any) ([]byte, error) {
	body, err := json.Marshal(arguments)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.Addr+"/v3/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %.200s", method, resp.StatusCode, b)
	}
	return b, err
}

func (m *Member) status(ctx context.Context) (status, error) {
	b, err := m.ask(ctx, "maintenance/status", map[string]any{})
	if err != nil {
		return status{}, err
	}
	var s status
	return s, json.Unmarshal(b, &s)
}

// Leader returns the index of the member that leads.
func Leader(ctx context.Context, all []*Member) (int, error) {
	var errs []error
	for i, m := range all {
		s, err := m.status(ctx)
		if err == nil && s.Leader == s.Header.Member {
			return i, nil
		}
		errs = append(errs, err)
	}
	return 0, errors.Join(append(errs, errors.New("no member leads"))...)
}

// Compact removes the history up to now.
func (m *Member) Compact(ctx context.Context) error {
	s, err := m.status(ctx)
	if err != nil {
		return err
	}
	_, err = m.ask(ctx, "kv/compaction", map[string]any{"revision": fmt.Sprint(s.Header.Revision), "physical": true})
	if err != nil && strings.Contains(err.Error(), "has been compacted") {
		return nil
	}
	return err
}

// Defragment makes the member rewrite its file. The member answers nothing during that time.
func (m *Member) Defragment(ctx context.Context) error {
	_, err := m.ask(ctx, "maintenance/defragment", map[string]any{})
	return err
}
