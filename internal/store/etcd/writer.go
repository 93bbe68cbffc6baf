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

// run does the group as far as it can be done in one try: each request is
// answered, or back in the queue.
func (w *writer) run(g *group) {
	g.now = w.s.now()
	if r := g.requests[0]; g.when > flatOps && len(r.seen) == 0 {
		// So many conditions that each may take one of etcd's only.
		if err := w.look(g, r); err != nil {
			w.failed(g, err)
			return
		}
	}
	if g.writesNothing() {
		w.check(g)
		return
	}
	t, reread, err := g.build(w.ids.next)
	if err != nil {
		w.refuse(g, err)
		return
	}
	o, err := w.lane.send(w.s.ctx, t)
	switch {
	case err != nil:
		w.failed(g, err)
	case o.done:
		for _, r := range g.requests {
			r.answer(o.rev, nil)
		}
	default:
		w.lost(g, found(reread, o.responses))
	}
}

// check does a group of checks, which writes nothing and so may be asked again.
func (w *writer) check(g *group) {
	t, reread, err := g.build(w.ids.next)
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

// lost goes on after a transaction whose conditions did not hold: the requests
// to blame are answered, the others tried again. found is what the records were
// at that instant.
func (w *writer) lost(g *group, found map[string]*mvccpb.KeyValue) {
	var again []*request
	for _, r := range g.requests {
		if err := g.judge(r, found); err != nil {
			r.answer(0, err)
			continue
		}
		again = append(again, r)
	}
	w.retry(again, errContend)
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
