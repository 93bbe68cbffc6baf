// Package cluster knows the servers that share a store: each writes a record of
// itself time and again, which expires when it has not done so for a while. Who
// runs alone is a cluster of one.
//
// One thing is decided by these records: whether this server's clock can be right.
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
	// lifetime of a record: some reports may be late before a server is taken for
	// dead.
	lifetime = 4 * ReportEvery
)

// Node is what a server says of itself.
type Node struct {
	// Key is made up at each start, so that two servers of one name are two.
	Key       string
	Name      string
	Addresses []string // that it listens on, as URLs
	Version   string
	Started   time.Time
	Reported  time.Time // when it said so
	Sessions  int       // that it holds for live, of the whole cluster
	// Lag is how long ago it was certain that it knew all that is in the store;
	// nil: it does not know all yet.
	Lag *time.Duration
}

// document is a record's value.
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

// Options of a Cluster. Name and Version may be any text.
type Options struct {
	Name     string // of this server
	Version  string
	Sessions func() int // how many are live; nil: not told
	// Lag is how long ago it was certain that this server knew all that is in the
	// store, false while it does not; nil: it always does.
	Lag func() (time.Duration, bool)

	Now    func() time.Time     // nil: time.Now
	Steady func() time.Duration // of a clock that nobody sets; nil: since New
	Random io.Reader            // nil: crypto/rand
	Logger *slog.Logger         // nil: slog.Default
}

// Cluster is what this server knows of store.Node, and its own part in it.
type Cluster struct {
	view    *view
	opts    Options
	self    Node // what stays the same of it
	mirror  *store.Mirror
	listens atomic.Pointer[[]string]
}

// New makes a cluster that knows no node yet.
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

// View is what the mirror feeds it by.
func (c *Cluster) View() store.View { return c.view }

// Changed is closed at the next change of the nodes.
func (c *Cluster) Changed() <-chan struct{} { return c.view.Changed() }

// Attach gives it the mirror that feeds it, before the first Report.
func (c *Cluster) Attach(m *store.Mirror) { c.mirror = m }

// Listens says where the server listens, as URLs.
func (c *Cluster) Listens(addresses ...string) { c.listens.Store(&addresses) }

// Report writes this server's record.
func (c *Cluster) Report(ctx context.Context) error {
	if err := c.Clock(); err != nil {
		c.opts.Logger.Warn("this node serves nobody", "err", err)
	} else if all, off, by := c.clocks(); off > 0 {
		c.opts.Logger.Warn("the clocks of nodes disagree", "nodes", all, "off", off, "by", by.Round(time.Second).String())
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

// Leave removes this server's record. No Report may be under way.
func (c *Cluster) Leave(ctx context.Context) error {
	if _, err := c.mirror.Commit(ctx, store.Clear(store.Node, c.self.Key)); err != nil {
		return fmt.Errorf("remove node: %w", err)
	}
	return nil
}

// Nodes are the servers that run, or did until moments ago, in the order of their
// names.
func (c *Cluster) Nodes() []Node { return c.view.live(c.opts.Now()) }

// Live reads from the store which servers use it.
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
