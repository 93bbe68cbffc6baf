// Package storetest tests that a store keeps the contract of package store, see [Run].
//
// It also has a store in memory, see [NewMemory]. That one is simple enough to be checked by
// reading it. The suite uses it as its model, and the tests of other packages use it if they need
// any store. The package is for tests only.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// NewMemory returns an empty store in memory. If now is nil, it uses the real clock.
func NewMemory(now func() time.Time) store.Store { return newBacking(now).open() }

// NewReopened returns a function that opens the same store in memory each time, see NewMemory.
func NewReopened(now func() time.Time) func() store.Store {
	b := newBacking(now)
	return func() store.Store { return b.open() }
}

// name is a record's identity.
type name struct {
	kind store.Kind
	id   string
}

// backing is the data that any number of handles share.
type backing struct {
	now func() time.Time

	mu       sync.Mutex // guards the fields below
	records  map[name]store.Record
	revision store.Revision
	watches  map[*watch]bool
}

func newBacking(now func() time.Time) *backing {
	if now == nil {
		now = time.Now
	}
	return &backing{
		now:     now,
		records: map[name]store.Record{},
		watches: map[*watch]bool{},
	}
}

func (b *backing) open() *memory { return &memory{b: b, done: make(chan struct{})} }

// get reads a record at the time now. The caller holds mu.
func (b *backing) get(k store.Kind, id string, now time.Time) (store.Record, bool) {
	r, ok := b.records[name{k, id}]
	return r, ok && !r.Expired(now)
}

// put writes one record as part of the commit at the revision. The caller holds mu.
func (b *backing) put(r store.Record, at store.Revision) store.Delta {
	r.Revision = at
	r.Value = bytes.Clone(r.Value)
	b.records[name{r.Kind, r.ID}] = r
	return store.Delta{Record: r}
}

// remove removes one record as part of the commit at the revision. The caller holds mu.
func (b *backing) remove(k store.Kind, id string, at store.Revision) store.Delta {
	delete(b.records, name{k, id})
	return store.Delta{Record: store.Record{Kind: k, ID: id, Revision: at}, Deleted: true}
}

// finish ends a commit. If the commit changed anything, it gets a revision, and finish queues it
// for all watches. The caller holds mu.
func (b *backing) finish(deltas []store.Delta) store.Revision {
	if len(deltas) == 0 {
		return b.revision
	}
	b.revision++
	for w := range b.watches {
		w.queue = append(w.queue, store.Batch{Revision: b.revision, Deltas: clone(deltas)})
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return b.revision
}

func clone(deltas []store.Delta) []store.Delta {
	deltas = slices.Clone(deltas)
	for i := range deltas {
		deltas[i].Record.Value = bytes.Clone(deltas[i].Record.Value)
	}
	return deltas
}

// watch is one running Watch.
type watch struct {
	queue []store.Batch // guarded by the backing's mu
	wake  chan struct{}
}

// memory is one handle. It implements store.Store.
type memory struct {
	b     *backing
	close sync.Once
	done  chan struct{}
}

// ready returns why a call can't begin.
func (m *memory) ready(ctx context.Context) error {
	select {
	case <-m.done:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

func (m *memory) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	b := m.b
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for i, c := range changes {
		if r, ok := b.get(c.Record.Kind, c.Record.ID, now); !c.If.Holds(ok, r.Revision) {
			return 0, &store.ConflictError{Index: i}
		}
	}
	var deltas []store.Delta
	for i, c := range changes {
		switch r := c.Record; c.Op {
		case store.OpAppend:
			r.ID = appendedID(b.revision+1, i)
			deltas = append(deltas, b.put(r, b.revision+1))
		case store.OpPut:
			deltas = append(deltas, b.put(r, b.revision+1))
		case store.OpDelete:
			if _, ok := b.records[name{r.Kind, r.ID}]; ok {
				deltas = append(deltas, b.remove(r.Kind, r.ID, b.revision+1))
			}
		}
	}
	return b.finish(deltas), nil
}

// appendedID returns an id that does not depend on the order of commits. The ids of a shared store
// don't, either.
func appendedID(at store.Revision, index int) string {
	return fmt.Sprintf("%016x-%06x", bits.Reverse64(uint64(at)), index)
}

func (m *memory) Touch(ctx context.Context, records ...store.Record) ([]store.Revision, error) {
	if err := m.ready(ctx); err != nil {
		return nil, err
	}
	b := m.b
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	revisions := make([]store.Revision, len(records))
	var deltas []store.Delta
	for i, r := range records {
		if old, ok := b.get(r.Kind, r.ID, now); ok && old.Revision == r.Revision {
			revisions[i] = b.revision + 1
			deltas = append(deltas, b.put(r, b.revision+1))
		}
	}
	b.finish(deltas)
	return revisions, nil
}

func (m *memory) Get(ctx context.Context, k store.Kind, id string) (store.Record, error) {
	if err := m.ready(ctx); err != nil {
		return store.Record{}, err
	}
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	r, ok := m.b.get(k, id, m.b.now())
	if !ok {
		return store.Record{}, fmt.Errorf("get record of kind %d: %w", k, store.ErrNotFound)
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

func (m *memory) Watch(ctx context.Context, apply func(store.Batch) error) error {
	if err := m.ready(ctx); err != nil {
		return err
	}
	w := &watch{wake: make(chan struct{}, 1)}
	batch := m.b.watch(w)
	defer m.b.unwatch(w)
	if err := apply(batch); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.done:
			return store.ErrClosed
		case <-w.wake:
		}
		m.b.mu.Lock()
		queue := w.queue
		w.queue = nil
		m.b.mu.Unlock()
		for _, batch := range queue {
			if err := m.ready(ctx); err != nil {
				return err
			}
			if err := apply(batch); err != nil {
				return err
			}
		}
	}
}

// watch begins a watch and returns the whole state at its beginning.
func (b *backing) watch(w *watch) store.Batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watches[w] = true
	batch := store.Batch{Revision: b.revision, Reset: true, Whole: true}
	for _, r := range b.records {
		batch.Deltas = append(batch.Deltas, store.Delta{Record: r})
	}
	// In the order in which other stores read them: by kind and id.
	slices.SortFunc(batch.Deltas, func(x, y store.Delta) int {
		return cmp.Or(cmp.Compare(x.Record.Kind, y.Record.Kind), cmp.Compare(x.Record.ID, y.Record.ID))
	})
	batch.Deltas = clone(batch.Deltas)
	return batch
}

func (b *backing) unwatch(w *watch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watches, w)
}

func (m *memory) Newest(ctx context.Context) (store.Revision, error) {
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	return m.b.revision, nil
}

func (m *memory) Sweep(ctx context.Context, limit int, kinds ...store.Kind) (int, error) {
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	if err := store.ValidateSweep(kinds); err != nil {
		return 0, err
	}
	b := m.b
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	var deltas []store.Delta
	for n, r := range b.records {
		if len(deltas) >= limit {
			break
		}
		if r.Expired(now) && slices.Contains(kinds, n.kind) {
			deltas = append(deltas, b.remove(n.kind, n.id, b.revision+1))
		}
	}
	b.finish(deltas)
	return len(deltas), nil
}

func (m *memory) Close() error {
	m.close.Do(func() { close(m.done) })
	return nil
}
