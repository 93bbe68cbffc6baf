package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/vigate/vigate/internal/store"
)

// commit is one acknowledged commit.
type commit struct {
	rev     store.Revision
	changes []store.Change
}

// history collects acknowledged commits and reads.
type history struct {
	mu      sync.Mutex // guards the fields below
	commits []commit
	reads   []store.Record
}

func (h *history) wrote(rev store.Revision, changes ...store.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits = append(h.commits, commit{rev, changes})
}

func (h *history) read(r store.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, r)
}

// randomOperations lets several goroutines work on few records. Afterwards it puts the commits in
// the order of their revisions. The conditions of each commit must have held after the commits
// before it. All of them together must lead to the state that the store, a stream from the start
// and a stream from the end have. So the store was serializable.
func randomOperations(f *fixture) {
	const workers, steps = 6, 120
	early := f.ledger(f.data.Second(f.T, f.Store))
	early.upTo(0)
	var h history
	seed := rand.Uint64()
	f.Logf("seed %d", seed)
	race(workers, func(w int) {
		o := operator{f: f, h: &h, rng: rand.New(rand.NewPCG(seed, uint64(w))), known: map[name]store.Record{}}
		for i := range steps {
			if err := o.step(fmt.Sprintf("%d.%d", w, i)); err != nil {
				f.Errorf("worker %d step %d: %v", w, i, err)
				return
			}
		}
	})
	newest := f.last()
	slices.SortFunc(h.commits, func(a, b commit) int { return cmp.Compare(a.rev, b.rev) })
	m := model{state: map[name]store.Record{}, written: map[string]bool{}}
	seen := early.upTo(newest)
	for _, c := range h.commits {
		if err := m.replay(c, seen.log); err != nil {
			f.Fatalf("commit at revision %d: %v", c.rev, err)
		}
	}
	for _, r := range h.reads {
		if !m.written[describe(r)] {
			f.Errorf("read %s, which no commit wrote", describe(r))
		}
	}
	m.compare(f, "the stream from the start", seen.state)
	m.compare(f, "the stream from the end", f.follow(f.Store).upTo(newest).state)
	stored := map[name]store.Record{}
	for n := range m.state {
		r, err := f.Get(f.ctx, n.kind, n.id)
		if stored[n] = r; err != nil {
			f.Errorf("Get of kind %d %q: %v", n.kind, n.id, err)
		}
	}
	m.compare(f, "the store", stored)
	deltas := 0
	for _, c := range h.commits {
		deltas += len(c.changes)
	}
	m.numbers(f, early.ledgerNow())
	m.numbers(f, f.ledger(f.Store).numbersUpTo(newest))
	if len(seen.log) != deltas {
		f.Errorf("the stream had %d changes, the commits %d", len(seen.log), deltas)
	}
}

// describe names a record at one revision.
func describe(r store.Record) string {
	return fmt.Sprintf("kind %d %q at %d: %q", r.Kind, r.ID, r.Revision, r.Value)
}

// operator performs random operations.
type operator struct {
	f     *fixture
	h     *history
	rng   *rand.Rand
	known map[name]store.Record // as last read
}

func (o *operator) pick() store.Record {
	kinds := []store.Kind{store.Session, store.Ticket, store.Role}
	n := name{kinds[o.rng.IntN(len(kinds))], fmt.Sprint("id", o.rng.IntN(6))}
	if r, ok := o.known[n]; ok {
		return r
	}
	return store.Record{Kind: n.kind, ID: n.id}
}

func (o *operator) step(value string) error {
	r := o.pick()
	switch o.rng.IntN(4) {
	case 0:
		got, err := o.f.Get(o.f.ctx, r.Kind, r.ID)
		if errors.Is(err, store.ErrNotFound) {
			delete(o.known, name{r.Kind, r.ID})
			return nil
		}
		o.known[name{r.Kind, r.ID}] = got
		o.h.read(got)
		return err
	case 1:
		return o.touch(r, value)
	}
	changes := []store.Change{o.change(r, value)}
	if other := o.pick(); other.ID != r.ID {
		changes = append(changes, o.change(other, value+"+"))
	}
	rev, err := o.f.Commit(o.f.ctx, changes...)
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	if err == nil {
		o.h.wrote(rev, changes...)
	}
	return err
}

// change returns a change that changes the record if its condition holds.
func (o *operator) change(r store.Record, value string) store.Change {
	switch o.rng.IntN(6) {
	case 0:
		return store.Create(r.Kind, r.ID, []byte(value), never)
	case 1:
		return store.Update(r.Kind, r.ID, r.Revision, []byte(value), never)
	case 2:
		return store.Delete(r.Kind, r.ID)
	case 3:
		return store.DeleteAt(r.Kind, r.ID, r.Revision)
	case 4:
		return store.Append(store.Event, []byte(value), never)
	}
	return store.Put(r.Kind, r.ID, []byte(value), never)
}

func (o *operator) touch(r store.Record, value string) error {
	records := []store.Record{r, o.pick()}
	if records[0].ID == records[1].ID {
		records = records[:1]
	}
	for i := range records {
		records[i].Value = []byte(value)
	}
	revs, err := o.f.Touch(o.f.ctx, records...)
	if err != nil {
		return err
	}
	for i, rev := range revs {
		if r := records[i]; rev != 0 {
			o.h.wrote(rev, store.Update(r.Kind, r.ID, r.Revision, r.Value, r.Expires))
		}
	}
	return nil
}

// model is the state that the acknowledged commits lead to.
type model struct {
	state    map[name]store.Record
	written  map[string]bool // every record at every revision, as describe names it
	appended []store.Record  // in their order
}

// replay applies a commit. It takes the ids of appended records from the stream.
func (m *model) replay(c commit, log []store.Delta) error {
	for i, change := range c.changes {
		if change.Op == store.OpAppend {
			continue
		}
		old, ok := m.state[name{change.Record.Kind, change.Record.ID}]
		if !change.If.Holds(ok, old.Revision) {
			return fmt.Errorf("condition %d did not hold", i)
		}
	}
	for _, change := range c.changes {
		r := change.Record
		r.Revision = c.rev
		if change.Op == store.OpAppend {
			var err error
			if r.ID, err = m.idOf(r, log); err != nil {
				return err
			}
			m.appended = append(m.appended, r)
		}
		if change.Op == store.OpDelete {
			delete(m.state, name{r.Kind, r.ID})
		} else {
			m.state[name{r.Kind, r.ID}] = r
			m.written[describe(r)] = true
		}
	}
	return nil
}

// idOf finds the id of an appended record in the stream.
func (m *model) idOf(r store.Record, log []store.Delta) (string, error) {
	for _, d := range log {
		if d.Record.Kind != r.Kind || d.Record.Revision != r.Revision || string(d.Record.Value) != string(r.Value) {
			continue
		}
		if _, is := m.state[name{r.Kind, d.Record.ID}]; is {
			return "", fmt.Errorf("%q names two appended records", d.Record.ID)
		}
		return d.Record.ID, nil
	}
	return "", fmt.Errorf("the stream lacks a record that it appended")
}

// numbers fails the test unless the appended records are numbered in the order of commits. Several
// commits may share a revision; their order is then the order of their records.
func (m *model) numbers(f *fixture, l ledger) {
	f.Helper()
	slices.SortStableFunc(m.appended, func(a, b store.Record) int { return cmp.Compare(a.Revision, b.Revision) })
	if len(m.appended) != len(l.events) {
		f.Fatalf("%d records have numbers, %d were appended", len(l.events), len(m.appended))
	}
	revisions := map[string]store.Revision{}
	for _, r := range m.appended {
		revisions[r.ID] = r.Revision
	}
	for i, e := range l.events {
		if e.number != uint64(i+1) || e.Revision != m.appended[i].Revision || revisions[e.ID] != e.Revision {
			f.Errorf("%s has number %d, want %d", describe(e.Record), e.number, i+1)
		}
	}
}

func (m *model) compare(f *fixture, what string, got map[name]store.Record) {
	f.Helper()
	for n, r := range m.state {
		if describe(got[n]) != describe(r) {
			f.Errorf("%s has %s, want %s", what, describe(got[n]), describe(r))
		}
	}
	if len(got) != len(m.state) {
		f.Errorf("%s has %d records, want %d", what, len(got), len(m.state))
	}
}
