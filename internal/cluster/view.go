package cluster

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// view is what the stream has told of the nodes.
type view struct {
	log    *slog.Logger
	staged map[string]entry // between Reset and Whole; only the mirror's goroutine uses it
	self   string           // name of this server
	steady func() time.Duration
	others atomic.Pointer[[]heard] // for those who compare clocks; the list does not change

	mu      sync.Mutex // guards what follows
	nodes   map[string]entry
	heard   map[string]heard // by name
	changed chan struct{}    // closed at the next change; nil while nobody waits
}

type entry struct {
	Node
	expires time.Time
}

// newView makes the view of the server with the name, whose steady clock began at
// zero.
func newView(self string, steady func() time.Duration, log *slog.Logger) *view {
	return &view{self: self, steady: steady, log: log, nodes: map[string]entry{}, heard: map[string]heard{}}
}

// Kinds is store.View's.
func (v *view) Kinds() []store.Kind { return []store.Kind{store.Node} }

// Reset is store.View's.
func (v *view) Reset() { v.staged = map[string]entry{} }

// Put is store.View's. A record that can't be read is that of another version's
// server, or of none: it is left out.
func (v *view) Put(r store.Record) {
	n, err := decode(r)
	if err != nil {
		v.log.Warn("a node's record can't be read", "node", r.ID, "err", err)
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

// Delete is store.View's.
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

// Whole is store.View's.
func (v *view) Whole() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes, v.staged = v.staged, nil
	v.tell()
}

// tell wakes who waits for a change. Callers hold mu.
func (v *view) tell() {
	if v.changed != nil {
		close(v.changed)
		v.changed = nil
	}
}

// Changed is closed at the next change of what Nodes returns, but for nodes that
// expire: those are told of when they are swept.
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
