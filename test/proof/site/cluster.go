//go:build linux

package site

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Cluster is the etcd members and the vigate nodes that share them. Each node reaches each member
// through a link of its own.
type Cluster struct {
	Members []*Member
	Nodes   []*Node
	Peers   *Peers    // the network between the members
	links   [][]*Link // by node, then member
	founded bool      // a node has created the instance
}

// prefix is the nodes' prefix in etcd.
const prefix = "/proof"

// size is the number of members, and the number of nodes.
const size = 3

// NewCluster starts three members and prepares three nodes, with their data under dir. Close ends
// the cluster; call it after an error as well.
func NewCluster(ctx context.Context, vigate, etcd, dir string, args ...string) (c *Cluster, err error) {
	c = &Cluster{}
	if c.Members, c.Peers, err = NewMembers(etcd, filepath.Join(dir, "etcd"), size); err != nil {
		return c, err
	}
	for i := range size {
		var links []*Link
		var addrs []string
		for _, m := range c.Members {
			k, err := NewLink(m.Addr)
			if err != nil {
				return c, err
			}
			links, addrs = append(links, k), append(addrs, k.Addr)
		}
		c.links = append(c.links, links)
		name := fmt.Sprintf("n%d", i)
		n, err := NewNode(name, vigate, filepath.Join(dir, name), append([]string{
			"--store", "etcd://" + strings.Join(addrs, ",") + prefix, "--node-name", name,
			"--etcd-start-timeout", "5m", // a busy machine may keep etcd from answering for long
		}, args...)...)
		if err != nil {
			return c, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c, c.StartMembers(ctx)
}

// Fill creates that many sessions before the first node runs. As on a site that moves to a cluster,
// they are copied from an embedded store. bench is the directory of the module that generates them.
func (c *Cluster) Fill(ctx context.Context, bench, dir string, sessions int) error {
	fill := filepath.Join(dir, "fill")
	if err := compile(bench, "-o", fill, "./fill"); err != nil {
		return err
	}
	var addrs []string
	for _, m := range c.Members {
		addrs = append(addrs, m.Addr)
	}
	data := filepath.Join(dir, "data")
	for _, command := range [][]string{
		{fill, "--data", data, "--sessions", fmt.Sprint(sessions)},
		{
			c.Nodes[0].program, "store", "copy", "--from", "bolt:" + data,
			"--to", "etcd://" + strings.Join(addrs, ",") + prefix,
		},
	} {
		if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
		}
	}
	return nil
}

// StartMembers starts all members of etcd, and returns when they serve.
func (c *Cluster) StartMembers(ctx context.Context) error {
	for _, m := range c.Members {
		if err := m.Launch(); err != nil {
			return err
		}
	}
	for _, m := range c.Members {
		if err := m.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// StartNodes starts all nodes at once, and returns when they serve. The first time, it starts the
// first node alone, because that one creates the instance.
func (c *Cluster) StartNodes(ctx context.Context) error {
	for _, n := range c.Nodes {
		if err := n.Launch(); err != nil {
			return err
		}
		if !c.founded {
			if err := n.Ready(ctx); err != nil {
				return err
			}
			c.founded = true
		}
	}
	for _, n := range c.Nodes {
		if err := n.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Kill kills all processes. It is like a loss of power, except that the page cache is kept.
func (c *Cluster) Kill() error {
	errs := make([]error, len(c.Nodes)+len(c.Members))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() { errs[i] = n.Kill() })
	}
	for i, m := range c.Members {
		wg.Go(func() { errs[len(c.Nodes)+i] = m.Kill() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Links returns the links of node i to the members.
func (c *Cluster) Links(i int) []*Link { return c.links[i] }

// Close kills the processes and closes the links.
func (c *Cluster) Close() error {
	err := c.Kill()
	if c.Peers != nil {
		err = errors.Join(err, c.Peers.Close())
	}
	for _, links := range c.links {
		for _, k := range links {
			err = errors.Join(err, k.Close())
		}
	}
	return err
}
