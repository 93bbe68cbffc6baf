// Package cluster tracks the servers that share a store. Each server, called a node, regularly
// writes a record of itself. The record expires if the node does not renew it. A server that runs
// alone is a cluster of one node.
//
// The nodes are shown to clients. A node compares its clock with the clocks of the others, see
// [Cluster.Clock]. The processes divide the limits of an upstream among themselves, see
// [Cluster.Share]. Commands for a store find out who uses it, see [Live]. Package cluster elects no
// leader and moves no data; package etcd does that.
package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
)

const (
	// ReportEvery is how often a server should call Cluster.Report.
	ReportEvery = 5 * time.Second
	// lifetime is how long a record lives. A few reports may be late before the node counts as
	// dead.
	lifetime = 4 * ReportEvery
)

// Node is what a node reports about itself.
type Node struct {
	// Key is random and made at each start. So two nodes with the same name are two nodes.
	Key       string
	Name      string
	Addresses []string // on which it listens, as URLs
	Version   string
	Started   time.Time
	Reported  time.Time // when it made the report
	Sessions  int       // number of live sessions in the whole cluster, as this node knows them
	// Lag is how long ago the node certainly knew every change in the store. nil: it does not know
	// all of them yet.
	Lag *time.Duration
}

// document is the value of a node's record.
type document struct {
	Name      string    `json:"name"`
	Addresses []string  `json:"addresses,omitempty"`
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Reported  time.Time `json:"reported"`
	Sessions  int       `json:"sessions"`
	LagMillis *int64    `json:"lagMillis,omitempty"`
}

const format = 1

func decode(r store.Record) (Node, error) {
	var d document
	if _, err := record.Decode(r.Value, format, &d); err != nil {
		return Node{}, err
	}
	n := Node{
		Key: r.ID, Name: d.Name, Addresses: d.Addresses, Version: d.Version,
		Started: d.Started, Reported: d.Reported, Sessions: d.Sessions,
	}
	if d.LagMillis != nil {
		lag := time.Duration(*d.LagMillis) * time.Millisecond
		n.Lag = &lag
	}
	return n, nil
}

func encode(n Node) ([]byte, error) {
	d := document{
		Name: n.Name, Addresses: n.Addresses, Version: n.Version,
		Started: n.Started, Reported: n.Reported, Sessions: n.Sessions,
	}
	if n.Lag != nil {
		d.LagMillis = new(n.Lag.Milliseconds())
	}
	return record.Encode(format, d, nil)
}

// Options are the options of a Cluster. Name and Version may be any text.
type Options struct {
	Name     string // of this server
	Version  string
	Sessions func() int // number of live sessions; nil: 0 is reported
	// Lag returns how long ago this node certainly knew every change in the store, and false as
	// long as it does not know all of them. nil: it always knows them.
	Lag func() (time.Duration, bool)

	Now    func() time.Time     // nil: time.Now
	Steady func() time.Duration // a clock that nobody sets; nil: the time since New
	Random io.Reader            // nil: crypto/rand
	Logger *slog.Logger         // nil: slog.Default
}

// Cluster is this node's knowledge of the nodes, and its own membership. It is safe for concurrent
// use after Attach.
type Cluster struct {
	view    *view
	opts    Options
	self    Node // the fields that don't change
	mirror  *store.Mirror
	listens atomic.Pointer[[]string]
}

// New returns a cluster that knows no node yet.
func New(o Options) (*Cluster, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Steady == nil {
		began := time.Now()
		o.Steady = func() time.Duration { return time.Since(began) }
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	var key [16]byte
	if _, err := io.ReadFull(o.Random, key[:]); err != nil {
		return nil, fmt.Errorf("make key of node: %w", err)
	}
	return &Cluster{
		view: newView(o.Name, o.Steady, o.Logger), opts: o,
		self: Node{Key: hex.EncodeToString(key[:]), Name: o.Name, Version: o.Version, Started: o.Now().UTC()},
	}, nil
}

// View returns the view of the nodes' records, for the mirror.
func (c *Cluster) View() store.View { return c.view }

// Changed returns a channel that is closed at the next change of the nodes.
func (c *Cluster) Changed() <-chan struct{} { return c.view.Changed() }

// Attach sets the mirror that feeds the view. Call it before the first Report.
func (c *Cluster) Attach(m *store.Mirror) { c.mirror = m }

// Listens sets the addresses on which the node listens, as URLs.
func (c *Cluster) Listens(addresses ...string) { c.listens.Store(&addresses) }

// Report writes this node's record. It also logs a warning if the clocks of the nodes disagree.
func (c *Cluster) Report(ctx context.Context) error {
	if err := c.Clock(); err != nil {
		c.opts.Logger.Warn("this node refuses all calls", "err", err)
	} else if all, off, by := c.clocks(); off > 0 {
		c.opts.Logger.Warn("the clocks of nodes disagree",
			"nodes", all, "off", off, "by", by.Round(time.Second).String())
	}
	n := c.self
	n.Reported = c.opts.Now().UTC()
	if a := c.listens.Load(); a != nil {
		n.Addresses = *a
	}
	if c.opts.Sessions != nil {
		n.Sessions = c.opts.Sessions()
	}
	lag, known := time.Duration(0), true
	if c.opts.Lag != nil {
		lag, known = c.opts.Lag()
	}
	if known {
		n.Lag = &lag
	}
	b, err := encode(n)
	if err == nil {
		_, err = c.mirror.Commit(ctx, store.Put(store.Node, n.Key, b, n.Reported.Add(lifetime)))
	}
	if err != nil {
		return fmt.Errorf("report node: %w", err)
	}
	return nil
}

// Leave removes this node's record. It must not run at the same time as Report.
func (c *Cluster) Leave(ctx context.Context) error {
	if _, err := c.mirror.Commit(ctx, store.Clear(store.Node, c.self.Key)); err != nil {
		return fmt.Errorf("remove node: %w", err)
	}
	return nil
}

// Nodes returns the nodes that are running, or were until moments ago, sorted by name.
func (c *Cluster) Nodes() []Node { return c.view.live(c.opts.Now()) }

// Key returns the key of this process among the nodes.
func (c *Cluster) Key() string { return c.self.Key }

// Alive reports whether the process with the key is running, or was until moments ago.
func (c *Cluster) Alive(key string) bool {
	return key == c.self.Key || slices.ContainsFunc(c.Nodes(), func(n Node) bool { return n.Key == key })
}

// Share returns how many processes are running, and which of them this one is, from 0. All of them agree
// on the order.
func (c *Cluster) Share() (index, processes int) {
	keys := []string{c.self.Key}
	for _, n := range c.Nodes() {
		if n.Key != c.self.Key {
			keys = append(keys, n.Key)
		}
	}
	slices.Sort(keys)
	return slices.Index(keys, c.self.Key), len(keys)
}

// Live reads from the store which nodes use it. The commands for a store use it; a server has a
// Cluster.
func Live(ctx context.Context, s store.Store, now time.Time) ([]Node, error) {
	v := newView("", func() time.Duration { return 0 }, slog.New(slog.DiscardHandler))
	m := store.NewMirror(s, v)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	err := m.Wait(ctx, 0)
	cancel()
	if run := <-ended; err != nil {
		return nil, fmt.Errorf("read nodes: %w", errors.Join(err, run))
	}
	return v.live(now), nil
}

func order(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key)) }

func sorted(nodes []Node) []Node {
	slices.SortFunc(nodes, order)
	return nodes
}
