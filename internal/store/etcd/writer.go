package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// counter is a kind's last number and the revision of the key that holds it.
type counter struct {
	n   uint64
	rev int64
}

var errSequence = errors.New("the kind's sequence is behind its records")

// run does the group as far as it can be done in one try: each request is
// answered, or back in the queue.
func (w *writer) run(g *group) {
	g.now = w.s.now()
	if !w.learn(g) {
		return
	}
	if g.writesNothing() {
		w.check(g)
		return
	}
	t, reread, err := g.build(w.counters)
	if err != nil {
		w.refuse(g, err)
		return
	}
	o, err := w.lane.send(w.s.ctx, t)
	switch {
	case err != nil:
		w.failed(g, err)
	case o.done:
		w.advance(g, o.rev)
		for _, r := range g.requests {
			r.answer(o.rev, nil)
		}
	default:
		w.lost(g, found(reread, o.responses))
	}
}

// check does a group of checks, which writes nothing and so may be asked again.
func (w *writer) check(g *group) {
	t, reread, err := g.build(w.counters)
	if err == nil {
		_, err = nest(nil, len(t.when))
	}
	if err != nil {
		w.refuse(g, err)
		return
	}
	resp, err := w.s.once(w.s.ctx, clientv3.OpTxn(t.when, []clientv3.Op{clientv3.OpGet(w.s.keys.head())}, t.otws))
	if err != nil {
		w.failed(g, &notWritten{err})
		return
	}
	answer := resp.Txn()
	if !answer.Succeeded {
		w.lost(g, found(reread, answer.Responses))
		return
	}
	var rev store.Revision
	if kv := first(answer.Responses[0]); kv != nil {
		rev = store.Revision(kv.ModRevision)
	}
	for _, r := range g.requests {
		r.answer(rev, nil)
	}
}

func found(keys []string, responses []*etcdserverpb.ResponseOp) map[string]*mvccpb.KeyValue {
	found := make(map[string]*mvccpb.KeyValue, len(keys))
	for i, key := range keys {
		if kv := first(responses[i]); kv != nil {
			found[key] = kv
		}
	}
	return found
}

// advance moves the counters past the numbers that the group was given at the
// revision.
func (w *writer) advance(g *group, at store.Revision) {
	for _, r := range g.requests {
		for _, c := range r.changes {
			if c.Op == store.OpAppend {
				k := c.Record.Kind
				w.counters[k] = counter{w.counters[k].n + 1, int64(at)}
			}
		}
	}
}

// failed goes on after an error that concerns the whole group.
func (w *writer) failed(g *group, err error) {
	var not *notWritten
	switch {
	case errors.As(err, &not):
		// Not waiting while others do would be pointless: the lane is one.
		pause(w.s.ctx, g.requests[0].tries)
		w.retry(g.requests, not.cause)
	case rejected(err):
		w.refuse(g, err)
	default:
		// What was appended is not known either.
		clear(w.counters)
		for _, r := range g.requests {
			r.answer(0, w.s.failed(context.Background(), "commit", err))
		}
	}
}

// refuse says that the request can't be done as it is, if it is the only one:
// others must not suffer from it.
func (w *writer) refuse(g *group, err error) {
	if len(g.requests) == 1 {
		g.requests[0].answer(0, fmt.Errorf("commit %d changes: %w", len(g.requests[0].changes), err))
		return
	}
	for _, r := range g.requests {
		r.alone = true
	}
	w.retry(g.requests, err)
}

// lost goes on after a transaction whose conditions did not hold: the requests
// to blame are answered, the others tried again. found is what the records and
// counters were at that instant.
func (w *writer) lost(g *group, found map[string]*mvccpb.KeyValue) {
	moved := false
	var again []*request
	for _, r := range g.requests {
		was := r.seen
		if err := g.judge(r, found); err != nil {
			r.answer(0, err)
			moved = true
			continue
		}
		moved = moved || !slices.Equal(was, r.seen)
		again = append(again, r)
	}
	for k, old := range w.counters {
		key := w.s.keys.counter(k)
		if !g.appends(k) {
			continue
		}
		c, err := w.s.keys.counterOf(k, found[key])
		if err != nil {
			again = w.damaged(again, k, err)
			moved = true
			continue
		}
		moved = moved || c != old
		w.counters[k] = c
	}
	if !moved {
		// Only one condition is left that can have failed.
		for k := range w.counters {
			if g.appends(k) {
				again = w.damaged(again, k, damaged([]byte(w.s.keys.counter(k)), errSequence))
			}
		}
	}
	w.retry(again, errContend)
}

// damaged answers those that append to the kind, and returns the others.
func (w *writer) damaged(rs []*request, k store.Kind, err error) []*request {
	delete(w.counters, k)
	return slices.DeleteFunc(rs, func(r *request) bool {
		hit := appends(r, k)
		if hit {
			r.answer(0, fmt.Errorf("commit: %w", err))
		}
		return hit
	})
}

func appends(r *request, k store.Kind) bool {
	return slices.ContainsFunc(r.changes, func(c store.Change) bool { return c.Op == store.OpAppend && c.Record.Kind == k })
}

func (g *group) appends(k store.Kind) bool {
	return slices.ContainsFunc(g.requests, func(r *request) bool { return appends(r, k) })
}

func (k keys) counterOf(kind store.Kind, kv *mvccpb.KeyValue) (counter, error) {
	if kv == nil {
		return counter{}, nil
	}
	n, err := decodeCounter(kind, kv.Value)
	if err != nil {
		return counter{}, damaged(kv.Key, err)
	}
	return counter{n, kv.ModRevision}, nil
}

// learn finds out what must be known before the group's transaction can be built:
// counters not known yet, and the records of a commit of so many conditions that
// each may take one only. It returns false if the group has been dealt with.
func (w *writer) learn(g *group) bool {
	for _, r := range g.requests {
		for _, c := range r.changes {
			k := c.Record.Kind
			if c.Op != store.OpAppend {
				continue
			}
			if seen, ok := w.s.sightings.take(k); ok && seen.rev > w.counters[k].rev {
				w.counters[k] = seen
			}
			if _, ok := w.counters[k]; ok {
				continue
			}
			if err := w.count(k); err != nil {
				w.unlearned(g, k, err)
				return false
			}
		}
	}
	if r := g.requests[0]; g.when > flatOps && len(r.seen) == 0 {
		if err := w.look(g, r); err != nil {
			w.failed(g, err)
			return false
		}
	}
	return true
}

// count reads the kind's counter.
func (w *writer) count(k store.Kind) error {
	resp, err := w.s.once(w.s.ctx, clientv3.OpGet(w.s.keys.counter(k)))
	if err != nil {
		return &notWritten{err}
	}
	var kv *mvccpb.KeyValue
	if kvs := resp.Get().Kvs; len(kvs) > 0 {
		kv = kvs[0]
	}
	c, err := w.s.keys.counterOf(k, kv)
	if err == nil {
		w.counters[k] = c
	}
	return err
}

// unlearned goes on after the kind's counter could not be read: a damaged one
// concerns only those who append to the kind.
func (w *writer) unlearned(g *group, k store.Kind, err error) {
	var damage *store.DamagedError
	if !errors.As(err, &damage) {
		w.failed(g, err)
		return
	}
	w.retry(w.damaged(g.requests, k, err), err)
}

// look judges a request before its transaction is tried.
func (w *writer) look(g *group, r *request) error {
	var names []string
	for _, c := range r.changes {
		if conditional(c) {
			names = append(names, w.s.keys.record(c.Record.Kind, c.Record.ID))
		}
	}
	all := map[string]*mvccpb.KeyValue{}
	for names := range slices.Chunk(names, flatOps) {
		ops := make([]clientv3.Op, len(names))
		for i, key := range names {
			ops[i] = clientv3.OpGet(key)
		}
		resp, err := w.s.once(w.s.ctx, clientv3.OpTxn(nil, ops, nil))
		if err != nil {
			return &notWritten{err}
		}
		for key, kv := range found(names, resp.Txn().Responses) {
			all[key] = kv
		}
	}
	return g.judge(r, all)
}
