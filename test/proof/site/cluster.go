//go:build linux

package site

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// Cluster is etcd members and the vigate nodes that share them. Each node
// reaches each member by a link of its own.
type Cluster struct {
	Members []*Member
	Nodes   []*Node
	links   [][]*Link // by node, then member
	founded bool      // a node has set the instance up
}

// size is how many members and how many nodes there are.
const size = 3

// NewCluster starts three members and three nodes with their data under dir.
// Close ends it, after an error too.
func NewCluster(ctx context.Context, vigate, etcd, dir string, args ...string) (c *Cluster, err error) {
	c = &Cluster{}
	if c.Members, err = NewMembers(etcd, filepath.Join(dir, "etcd"), size); err != nil {
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
			"--store", "etcd://" + strings.Join(addrs, ",") + "/proof", "--node-name", name,
		}, args...)...)
		if err != nil {
			return c, err
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c, c.Start(ctx)
}

// Start runs everything that is not there, and returns once all of it serves.
func (c *Cluster) Start(ctx context.Context) error {
	if err := c.StartMembers(ctx); err != nil {
		return err
	}
	return c.StartNodes(ctx)
}

// StartMembers runs all of etcd.
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

// StartNodes runs all nodes, all at once but for the first time: then the first
// sets the instance up.
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

// Kill ends all processes as a loss of power does, but for the page cache.
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

// Links are those of the i-th node to the members.
func (c *Cluster) Links(i int) []*Link { return c.links[i] }

// Close ends the processes and the links.
func (c *Cluster) Close() error {
	err := c.Kill()
	for _, links := range c.links {
		for _, k := range links {
			err = errors.Join(err, k.Close())
		}
	}
	return err
}
