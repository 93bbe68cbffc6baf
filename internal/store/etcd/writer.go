package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// run does the group as far as it can be done in one try: each request is
// answered, or back in the queue.
func (w *writer) run(g *group) {
	if len(g.compares) > flatOps && len(g.requests[0].seen) == 0 {
		// There are too many conditions. Once the records have been read each takes
		// one of etcd's only: that they are still at their revisions.
		w.look(g)
		return
	}
	t, err := g.build(w.ids.next)
	if err != nil {
		w.refuse(g, err)
		return
	}
	var o outcome
	if g.onlyChecks() {
		o, err = w.check(t)
	} else {
		o, err = w.lane.send(w.s.ctx, t)
	}
	switch {
	case err != nil:
		w.failed(g, err)
	case o.done:
		for _, r := range g.requests {
			r.answer(o.rev, nil)
		}
	default:
		w.look(g)
	}
}

// check does a transaction that writes nothing, and so may be asked again.
func (w *writer) check(t txn) (outcome, error) {
	resp, err := w.s.once(w.s.ctx, clientv3.OpTxn(t.when, []clientv3.Op{clientv3.OpGet(w.s.keys.head())}, nil))
	if err != nil {
		return outcome{}, &notWritten{err}
	}
	o := outcome{done: resp.Txn().Succeeded}
	if o.done {
		if kv := first(resp.Txn().Responses[0]); kv != nil {
			o.rev = store.Revision(kv.ModRevision)
		}
	}
	return o, nil
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

// look reads the records that the group has conditions on: the requests whose
// conditions do not hold are answered, the others are tried again.
//
// It is for a transaction whose conditions did not all hold. They are judged by
// what the records are now, which may be later: a condition that fails now has
// failed after its request was made, and if all hold again the next try says so.
func (w *writer) look(g *group) {
	all := map[string]*mvccpb.KeyValue{}
	for names := range slices.Chunk(g.conditions(), flatOps) {
		ops := make([]clientv3.Op, len(names))
		for i, key := range names {
			ops[i] = clientv3.OpGet(key)
		}
		resp, err := w.s.once(w.s.ctx, clientv3.OpTxn(nil, ops, nil))
		if err != nil {
			w.failed(g, &notWritten{err})
			return
		}
		maps.Copy(all, found(names, resp.Txn().Responses))
	}
	var again []*request
	for _, r := range g.requests {
		if err := g.judge(r, all); err != nil {
			r.answer(0, err)
			continue
		}
		again = append(again, r)
	}
	w.retry(again, errContend)
}
