//go:build linux

package site

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// AdminPassword is the password of the first administrator on every node.
const AdminPassword = "correct horse battery staple 7"

// Admin is the name of the first administrator.
const Admin = "administrator@vsphere.local"

// Node is one vigate process.
type Node struct {
	Name string
	Addr string // host:port of its plain-text listener
	Data string // its data directory
	process
	clock string // the file that says how far its clock is off
}

// SetClock sets how far the clock of the node is off. The node's program must come from
// BuildClocked.
func (n *Node) SetClock(off time.Duration) error {
	temp := n.clock + ".new"
	if err := os.WriteFile(temp, []byte(off.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, n.clock)
}

// NewNode prepares a node with its data in dir/data. It does not start the node. Limits that a load
// from one address would reach are off.
func NewNode(name, program, dir string, args ...string) (*Node, error) {
	addr := address()
	n := &Node{Name: name, Addr: addr, Data: filepath.Join(dir, "data")}
	n.clock = filepath.Join(dir, "clock")
	n.process = process{
		program: program, log: filepath.Join(dir, name+".log"),
		env: []string{"VIGATE_ADMIN_PASSWORD=" + AdminPassword, "VIGATE_PROOF_CLOCK=" + n.clock},
		args: append([]string{
			"serve", "--data", n.Data, "--listen", "", "--plain-http", addr, "--local-tickets", "off",
			"--idle-timeout", "24h", "--ticket-lifetime", "1h", "--drain-timeout", "2s", "--log-level", "warn",
			"--lockout-failures", "1000000", "--lockout-user-failures", "1000000",
			"--lockout-address-failures", "1000000",
		}, args...),
	}
	return n, os.MkdirAll(n.Data, 0o700)
}

// Start starts the node, and returns how long it took until it served.
func (n *Node) Start(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := n.Launch(); err != nil {
		return 0, err
	}
	return time.Since(began), n.Ready(ctx)
}

// Launch starts the node without waiting for it.
func (n *Node) Launch() error { return n.start() }

// Ready returns when the node serves.
func (n *Node) Ready(ctx context.Context) error {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return n.await(ctx, func(ctx context.Context) error { return n.serves(ctx, &c) })
}

func (n *Node) serves(ctx context.Context, c *http.Client) error {
	url := "http://" + n.Addr + "/sdk/vim25/9.1.0.0/ServiceInstance/ServiceInstance/content"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// Kill kills the node with SIGKILL, as in a crash.
func (n *Node) Kill() error { return n.kill() }

// Stop ends the node with SIGTERM. It returns an error unless the node ends successfully.
func (n *Node) Stop() error { return n.stop() }
