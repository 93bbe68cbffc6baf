package etcd

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

const (
	// maxOps is etcd's --max-txn-ops: of a transaction's conditions, of what it
	// does if they hold, and of what it does if not, the longest counts, with
	// the longest within it added.
	maxOps = 128
	// spareOps are for what the lane adds to each.
	spareOps = 4
	// flatOps of any are not nested, and as much as several commits may share.
	flatOps = maxOps - spareOps
	// maxBytes of values in one transaction, where commits share it: etcd's
	// --max-request-bytes is 1.5 MiB.
	maxBytes = 1 << 20
)

var errTooMany = errors.New("more changes at once than etcd takes")

// use is what a group does with a record.
type use uint8

const (
	read use = iota + 1
	written
)

// group is the requests that share a transaction. None of them names a record
// that another writes, so that any order of them is as good as all at once.
type group struct {
	keys     keys
	now      time.Time
	requests []*request
	uses     map[string]use
	compares []compare // the conditions, each once however many requests have it
	has      map[compare]bool
	writes   int
	bytes    int
}

func newGroup(k keys, now time.Time) *group {
	return &group{keys: k, now: now, uses: map[string]use{}, has: map[compare]bool{}}
}

// compare is one of etcd's conditions: that the key has the revision, 0 for no
// such key, or if alive is set, that the record exists and has not expired.
type compare struct {
	key   string
	rev   int64
	alive bool
}

// join adds the request if it can share the transaction.
func (g *group) join(r *request) bool {
	first := len(g.requests) == 0
	if !first && (r.alone || g.requests[0].alone || g.full()) {
		return false
	}
	var compares []compare
	writes, bytes := 0, 0
	for i, c := range r.changes {
		bytes += len(c.Record.Value) + 2*len(c.Record.ID) + 128
		if c.Op != store.OpCheck {
			writes++
		}
		if c.Op == store.OpAppend {
			continue
		}
		used := g.uses[g.keys.record(c.Record.Kind, c.Record.ID)]
		if used == written || used == read && c.Op != store.OpCheck {
			return false
		}
		for _, x := range g.condition(r, i) {
			if !g.has[x] {
				compares = append(compares, x)
			}
		}
	}
	if !first && (len(g.compares)+len(compares) > flatOps || g.writes+writes > flatOps || g.bytes+bytes > maxBytes) {
		return false
	}
	for _, c := range r.changes {
		switch key := g.keys.record(c.Record.Kind, c.Record.ID); c.Op {
		case store.OpAppend:
		case store.OpCheck:
			g.uses[key] = read
		default:
			g.uses[key] = written
		}
	}
	for _, x := range compares {
		g.has[x] = true
	}
	g.requests = append(g.requests, r)
	g.compares = append(g.compares, compares...)
	g.writes, g.bytes = g.writes+writes, g.bytes+bytes
	return true
}

// full reports whether no further request with a condition or a write fits.
func (g *group) full() bool { return len(g.compares) >= flatOps || g.writes >= flatOps }

// conditional reports whether the change has a condition at all.
func conditional(c store.Change) bool {
	_, at := c.If.At()
	return c.Op != store.OpAppend && (at || c.If.Absent() || c.If.Present())
}

// onlyChecks reports whether the group writes nothing.
func (g *group) onlyChecks() bool { return g.writes == 0 }

// build makes the group's transaction, with appended records under ids that
// newID makes.
func (g *group) build(newID func() string) (t txn, err error) {
	living := alive(g.now)
	for _, x := range g.compares {
		if x.alive {
			t.when = append(t.when, clientv3.Compare(clientv3.Value(x.key), ">", living))
		} else {
			t.when = append(t.when, clientv3.Compare(clientv3.ModRevision(x.key), "=", x.rev))
		}
	}
	for _, r := range g.requests {
		for _, c := range r.changes {
			if op, ok := g.op(c, newID); ok {
				t.then = append(t.then, op)
			}
		}
	}
	t.then, err = nest(t.then, len(t.when))
	return t, err
}

// condition says in etcd's terms what change i of the request needs.
func (g *group) condition(r *request, i int) []compare {
	c := r.changes[i]
	if !conditional(c) {
		return nil
	}
	key := g.keys.record(c.Record.Kind, c.Record.ID)
	at, isAt := c.If.At()
	switch {
	case len(r.seen) > 0:
		return []compare{{key: key, rev: r.seen[i]}}
	case isAt:
		return []compare{{key: key, rev: int64(at)}, {key: key, alive: true}}
	case c.If.Present():
		return []compare{{key: key, alive: true}}
	}
	// At the first try a record that has expired is not found to be absent.
	return []compare{{key: key}}
}

// op is what the change does.
func (g *group) op(c store.Change, newID func() string) (clientv3.Op, bool) {
	r := c.Record
	switch c.Op {
	case store.OpAppend:
		r.ID = newID()
		return clientv3.OpPut(g.keys.record(r.Kind, r.ID), encode(r)), true
	case store.OpPut:
		return clientv3.OpPut(g.keys.record(r.Kind, r.ID), encode(r)), true
	case store.OpDelete:
		return clientv3.OpDelete(g.keys.record(r.Kind, r.ID)), true
	}
	return clientv3.Op{}, false
}

// nest packs operations into inner transactions without conditions where they
// are too many beside a list of the given length.
func nest(ops []clientv3.Op, beside int) ([]clientv3.Op, error) {
	if beside <= flatOps && len(ops) <= flatOps {
		return ops, nil
	}
	// The outer list is as long as the one beside it, or than the packs.
	for size := 1; size < flatOps; size++ {
		packs := (len(ops) + size - 1) / size
		if max(packs, beside)+size > flatOps {
			continue
		}
		var nested []clientv3.Op
		for len(ops) > 0 {
			n := min(size, len(ops))
			nested = append(nested, clientv3.OpTxn(nil, ops[:n:n], nil))
			ops = ops[n:]
		}
		return nested, nil
	}
	return nil, errTooMany
}

// conditions returns the keys of the records that the requests have conditions on.
func (g *group) conditions() []string {
	var all []string
	named := map[string]bool{}
	for _, r := range g.requests {
		for _, c := range r.changes {
			if key := g.keys.record(c.Record.Kind, c.Record.ID); conditional(c) && !named[key] {
				named[key] = true
				all = append(all, key)
			}
		}
	}
	return all
}

// judge finds out from what the records are whether the request's conditions
// hold: *store.ConflictError or *store.DamagedError if not.
func (g *group) judge(r *request, found map[string]*mvccpb.KeyValue) error {
	seen := make([]int64, len(r.changes))
	for i, c := range r.changes {
		if !conditional(c) {
			continue
		}
		var old store.Record
		kv := found[g.keys.record(c.Record.Kind, c.Record.ID)]
		if kv != nil {
			var err error
			if old, err = g.keys.decode(kv); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			seen[i] = kv.ModRevision
		}
		if !c.If.Holds(kv != nil && !old.Expired(g.now), old.Revision) {
			return &store.ConflictError{Index: i}
		}
	}
	r.seen = seen
	return nil
}
