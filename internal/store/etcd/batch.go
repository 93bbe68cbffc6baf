package etcd

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/fence"
	"github.com/vigate/vigate/internal/store/etcd/layout"
)

const (
	// maxOps is etcd's default of --max-txn-ops. It bounds the longest of three lists of a
	// transaction: conditions, operations if they hold, operations if they don't. If the list
	// contains transactions, the longest list in them is added.
	maxOps = 128
	// spareOps are the operations that the fence adds to each list.
	spareOps = 4
	// flatOps is the length up to which a list contains no transactions. Commits share a
	// transaction only up to this length.
	flatOps = maxOps - spareOps
	// maxBytes bounds the values of a transaction that commits share. Etcd's default of
	// --max-request-bytes is 1.5 MiB.
	maxBytes = 1 << 20
)

var (
	errContended = errors.New("other writers were faster each time")
	errTooMany   = errors.New("the commit has more changes than etcd allows in one transaction")
)

// use is what a batch does with a record.
type use uint8

const (
	read use = iota + 1
	written
)

// batch is the requests that share a transaction. None of them names a record that another one
// writes.
type batch struct {
	keys     layout.Keys
	now      time.Time
	requests []*request
	uses     map[string]use
	compares []compare // the conditions of all requests, without duplicates
	has      map[compare]bool
	writes   int
	bytes    int
}

func newBatch(k layout.Keys, now time.Time) *batch {
	return &batch{keys: k, now: now, uses: map[string]use{}, has: map[compare]bool{}}
}

// compare is one condition of a transaction: the key has the revision, where 0 means that there is
// no such key. If alive is set, it is instead: the record exists and has not expired.
type compare struct {
	key   string
	rev   int64
	alive bool
}

// join adds the request if it can share the transaction.
func (b *batch) join(r *request) bool {
	first := len(b.requests) == 0
	if !first && (r.alone || b.requests[0].alone || b.full()) {
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
		used := b.uses[b.keys.Record(c.Record.Kind, c.Record.ID)]
		if used == written || used == read && c.Op != store.OpCheck {
			return false
		}
		for _, x := range b.condition(r, i) {
			if !b.has[x] {
				compares = append(compares, x)
			}
		}
	}
	if !first && (len(b.compares)+len(compares) > flatOps || b.writes+writes > flatOps || b.bytes+bytes > maxBytes) {
		return false
	}
	for _, c := range r.changes {
		switch key := b.keys.Record(c.Record.Kind, c.Record.ID); c.Op {
		case store.OpAppend:
		case store.OpCheck:
			b.uses[key] = read
		default:
			b.uses[key] = written
		}
	}
	for _, x := range compares {
		b.has[x] = true
	}
	b.requests = append(b.requests, r)
	b.compares = append(b.compares, compares...)
	b.writes, b.bytes = b.writes+writes, b.bytes+bytes
	return true
}

// full reports whether no further request with a condition or a write fits.
func (b *batch) full() bool { return len(b.compares) >= flatOps || b.writes >= flatOps }

// onlyChecks reports whether the batch writes nothing.
func (b *batch) onlyChecks() bool { return b.writes == 0 }

// conditional reports whether the change has a condition.
func conditional(c store.Change) bool {
	_, at := c.If.At()
	return c.Op != store.OpAppend && (at || c.If.Absent() || c.If.Present())
}

// condition returns the condition of change i of the request in etcd's terms.
func (b *batch) condition(r *request, i int) []compare {
	c := r.changes[i]
	if !conditional(c) {
		return nil
	}
	key := b.keys.Record(c.Record.Kind, c.Record.ID)
	at, isAt := c.If.At()
	switch {
	case len(r.found) > 0:
		return []compare{{key: key, rev: r.found[i]}}
	case isAt:
		return []compare{{key: key, rev: int64(at)}, {key: key, alive: true}}
	case c.If.Present():
		return []compare{{key: key, alive: true}}
	}
	// This also fails for a record that has expired but exists. The second try handles that.
	return []compare{{key: key}}
}

// build returns the transaction. newID makes the IDs of appended records.
func (b *batch) build(newID func() string) (t fence.Txn, err error) {
	alive := layout.Alive(b.now)
	for _, x := range b.compares {
		if x.alive {
			t.When = append(t.When, clientv3.Compare(clientv3.Value(x.key), ">", alive))
		} else {
			t.When = append(t.When, clientv3.Compare(clientv3.ModRevision(x.key), "=", x.rev))
		}
	}
	for _, r := range b.requests {
		for _, c := range r.changes {
			record := c.Record
			switch c.Op {
			case store.OpCheck:
				continue
			case store.OpDelete:
				t.Then = append(t.Then, clientv3.OpDelete(b.keys.Record(record.Kind, record.ID)))
				continue
			case store.OpAppend:
				record.ID = newID()
			}
			t.Then = append(t.Then, clientv3.OpPut(b.keys.Record(record.Kind, record.ID), layout.Encode(record)))
		}
	}
	t.Then, err = nest(t.Then, len(t.When))
	return t, err
}

// nest packs operations into inner transactions if there are too many for one list. beside is the
// length of the list of conditions.
func nest(ops []clientv3.Op, beside int) ([]clientv3.Op, error) {
	if beside <= flatOps && len(ops) <= flatOps {
		return ops, nil
	}
	// The longest outer list and one inner list together are at most flatOps long.
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
func (b *batch) conditions() []string {
	var all []string
	named := map[string]bool{}
	for _, r := range b.requests {
		for _, c := range r.changes {
			if key := b.keys.Record(c.Record.Kind, c.Record.ID); conditional(c) && !named[key] {
				named[key] = true
				all = append(all, key)
			}
		}
	}
	return all
}

// check judges the conditions of a request by the records that were found. If they hold, the next
// transaction requires that the records are still at the same revisions. Otherwise the error is a
// *store.ConflictError or *store.DamagedError.
func (b *batch) check(r *request, records map[string]*mvccpb.KeyValue) error {
	found := make([]int64, len(r.changes))
	for i, c := range r.changes {
		if !conditional(c) {
			continue
		}
		var old store.Record
		kv := records[b.keys.Record(c.Record.Kind, c.Record.ID)]
		if kv != nil {
			var err error
			if old, err = b.keys.Decode(kv); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
			found[i] = kv.ModRevision
		}
		if !c.If.Holds(kv != nil && !old.Expired(b.now), old.Revision) {
			return &store.ConflictError{Index: i}
		}
	}
	r.found = found
	return nil
}
