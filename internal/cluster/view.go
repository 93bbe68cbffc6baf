package cluster

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// view holds the nodes' records, as the store's stream delivers them.
type view struct {
	logger *slog.Logger
	staged map[string]entry // between Reset and Whole; only the mirror's goroutine uses it
	self   string           // name of this server
	steady func() time.Duration
	others atomic.Pointer[[]heard] // for comparing clocks; never changed once stored

	mu      sync.Mutex // guards the fields below
	nodes   map[string]entry
	heard   map[string]heard // by name
	changed chan struct{}    // closed at the next change; nil while nobody waits
}

type entry struct {
	Node
	expires time.Time
}

// newView returns the view of the node self. Its steady clock began at zero.
func newView(self string, steady func() time.Duration, logger *slog.Logger) *view {
	return &view{self: self, steady: steady, logger: logger, nodes: map[string]entry{}, heard: map[string]heard{}}
}

// Kinds implements store.View.
func (v *view) Kinds() []store.Kind { return []store.Kind{store.Node} }

// Reset implements store.View.
func (v *view) Reset() { v.staged = map[string]entry{} }

// Put implements store.View. It leaves out a record that can't be read: a node of another version
// may have written it.
func (v *view) Put(r store.Record) {
	n, err := decode(r)
	if err != nil {
		v.logger.Warn("a node's record can't be read", "node", r.ID, "err", err)
		v.Delete(r.Kind, r.ID)
		return
	}
	e := entry{n, r.Expires}
	if v.staged != nil {
		v.staged[r.ID] = e
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes[r.ID] = e
	v.hear(n)
	v.tell()
}

// Delete implements store.View.
func (v *view) Delete(_ store.Kind, id string) {
	if v.staged != nil {
		delete(v.staged, id)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.nodes, id)
	v.tell()
}

// Whole implements store.View.
func (v *view) Whole() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes, v.staged = v.staged, nil
	v.tell()
}

// tell wakes the callers that wait for a change. The caller holds mu.
func (v *view) tell() {
	if v.changed != nil {
		close(v.changed)
		v.changed = nil
	}
}

// Changed returns a channel that is closed at the next change of the nodes. A node that expires
// counts as a change only when its record is swept.
func (v *view) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.changed == nil {
		v.changed = make(chan struct{})
	}
	return v.changed
}

func (v *view) live(now time.Time) []Node {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []Node
	for _, e := range v.nodes {
		if e.expires.IsZero() || now.Before(e.expires) {
			all = append(all, e.Node)
		}
	}
	return sorted(all)
}
