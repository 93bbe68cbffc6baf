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
	reads use = iota + 1
	writes
)

// group is the requests that share a transaction. None of them names a record
// that another writes, so that any order of them is as good as all at once.
type group struct {
	keys     keys
	requests []*request
	uses     map[string]use
	when     int // conditions
	then     int // writes
	bytes    int
	now      time.Time
}

func newGroup(k keys) *group { return &group{keys: k, uses: map[string]use{}} }

// join adds the request if it can share the transaction.
func (g *group) join(r *request) bool {
	if len(g.requests) > 0 && (r.alone || g.requests[0].alone || g.when >= flatOps || g.then >= flatOps) {
		return false
	}
	when, then, bytes := cost(r)
	if len(g.requests) > 0 && (g.when+when > flatOps || g.then+then > flatOps || g.bytes+bytes > maxBytes) {
		return false
	}
	for _, c := range r.changes {
		if c.Op == store.OpAppend {
			continue
		}
		used := g.uses[g.keys.record(c.Record.Kind, c.Record.ID)]
		if used == writes || used == reads && c.Op != store.OpCheck {
			return false
		}
	}
	for _, c := range r.changes {
		switch key := g.keys.record(c.Record.Kind, c.Record.ID); c.Op {
		case store.OpAppend:
		case store.OpCheck:
			g.uses[key] = reads
		default:
			g.uses[key] = writes
		}
	}
	g.requests = append(g.requests, r)
	g.when, g.then, g.bytes = g.when+when, g.then+then, g.bytes+bytes
	return true
}

// cost is what a request needs, at the most.
func cost(r *request) (when, then, bytes int) {
	for _, c := range r.changes {
		when += conditions(c, len(r.seen) > 0)
		if c.Op != store.OpCheck {
			then++
		}
		bytes += len(c.Record.Value) + 2*len(c.Record.ID) + 128
	}
	return when, then, bytes
}

// conditional reports whether the change has a condition at all.
func conditional(c store.Change) bool {
	_, at := c.If.At()
	return c.Op != store.OpAppend && (at || c.If.Absent() || c.If.Present())
}

// conditions is how many of etcd's conditions the change's one takes.
func conditions(c store.Change, seen bool) int {
	_, at := c.If.At()
	switch {
	case !conditional(c):
		return 0
	case at && !seen:
		return 2
	}
	return 1
}

// writesNothing reports whether the group consists of checks.
func (g *group) writesNothing() bool { return g.then == 0 }

// build makes the group's transaction, with appended records under ids that
// newID makes. reread are the keys that otws gets, in its order.
func (g *group) build(newID func() string) (t txn, reread []string, err error) {
	wanted := map[string]bool{}
	get := func(key string) {
		if !wanted[key] {
			wanted[key] = true
			reread = append(reread, key)
		}
	}
	for _, r := range g.requests {
		for i, c := range r.changes {
			if conditional(c) {
				key := g.keys.record(c.Record.Kind, c.Record.ID)
				t.when = append(t.when, g.condition(key, r, i)...)
				get(key)
			}
			if op, ok := g.op(c, newID); ok {
				t.then = append(t.then, op)
			}
		}
	}
	for _, key := range reread {
		t.otws = append(t.otws, clientv3.OpGet(key))
	}
	t.then, err = nest(t.then, max(len(t.when), len(t.otws)))
	return t, reread, err
}

// condition says in etcd's terms what change i of the request needs.
func (g *group) condition(key string, r *request, i int) []clientv3.Cmp {
	c := r.changes[i].If
	at, isAt := c.At()
	living := clientv3.Compare(clientv3.Value(key), ">", alive(g.now))
	switch {
	case len(r.seen) > 0:
		return []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", r.seen[i])}
	case isAt:
		return []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", int64(at)), living}
	case c.Present():
		return []clientv3.Cmp{living}
	}
	// One that has expired is not found to be absent at the first try.
	return []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", 0)}
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
