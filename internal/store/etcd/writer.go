package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/fence"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// Commit implements store.Store. It refuses a commit that does not fit into one transaction. By
// default, about a hundred changes with conditions fit, or some thousands without.
func (s *Store) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	r := &request{ctx: ctx, changes: changes, until: time.Now().Add(s.opts.Timeout), done: make(chan result, 1)}
	if !s.queue.add(r) {
		return 0, store.ErrClosed
	}
	s.push()
	select {
	case got := <-r.done:
		return got.rev, got.err
	case <-ctx.Done():
	}
	if s.queue.withdraw(r) {
		return 0, ctx.Err()
	}
	// The writer has it, so only its outcome says whether it was written.
	got := <-r.done
	return got.rev, got.err
}

// push makes sure that the queue is written. The caller writes itself if nobody else does and no
// more requests are expected: that is faster than to wake the goroutine.
func (s *Store) push() {
	if s.queue.patience(time.Now()) == 0 && s.writing.TryLock() {
		s.writer.step()
		s.writing.Unlock()
		if s.queue.empty() {
			return
		}
	}
	signal(s.queue.wake)
}

// write writes the queue until the store closes. It also takes over what came while a caller of
// Commit wrote, so that no caller writes for others for long.
func (s *Store) write() {
	for {
		select {
		case <-s.queue.wake:
		case <-s.ctx.Done():
		}
		_ = s.writing.Lock(context.Background()) // nobody holds it for longer than one step
		for !s.closing.Load() && !s.queue.empty() {
			s.queue.gather()
			s.writer.step()
		}
		s.writing.Unlock()
		if s.closing.Load() {
			for _, r := range s.queue.drain() {
				r.answer(0, store.ErrClosed)
			}
			return
		}
	}
}

// ids makes the IDs of appended records. No other process makes the same. Those of one process
// ascend, so the records of a commit are in the order of its changes.
type ids struct {
	process string // random
	n       uint64
}

// idRandom is how many characters of rand.Text an ID contains: 80 bits.
const idRandom = 16

func newIDs() ids { return ids{process: rand.Text()[:idRandom]} }

func (i *ids) next() string {
	i.n++
	return fmt.Sprintf("%s-%010x", i.process, i.n)
}

// writer writes batches. Only the goroutine that holds Store.writing may use it.
type writer struct {
	s     *Store
	fence *fence.Fence
	ids   ids
	again int // how many requests of the last batch went back to the queue
}

// step tries to write the next batch, if there is one.
func (w *writer) step() {
	b := w.s.queue.take(w.s.keys, w.s.now())
	if len(b.requests) == 0 {
		return
	}
	began := time.Now()
	w.again = 0
	w.run(b)
	w.s.queue.expect(len(b.requests)-w.again, time.Since(began))
}

// run sends the batch once. Each request is then answered, or back in the queue.
func (w *writer) run(b *batch) {
	if len(b.compares) > flatOps && len(b.requests[0].found) == 0 {
		// There are too many conditions. When the records have been read, one condition each is
		// enough: that they are still at the same revision.
		w.checkConditions(b)
		return
	}
	t, err := b.build(w.ids.next)
	if err != nil {
		w.refuse(b, err)
		return
	}
	var o fence.Outcome
	if b.onlyChecks() {
		o, err = w.sendChecks(t)
	} else {
		o, err = w.fence.Send(w.s.ctx, t)
	}
	switch {
	case err != nil:
		w.failed(b, err)
	case o.Applied:
		for _, r := range b.requests {
			r.answer(o.Rev, nil)
		}
	default:
		w.checkConditions(b)
	}
}

// sendChecks sends a transaction that writes nothing. It needs no fence.
func (w *writer) sendChecks(t fence.Txn) (fence.Outcome, error) {
	resp, err := w.s.etcd.Do(w.s.ctx, clientv3.OpTxn(t.When, []clientv3.Op{clientv3.OpGet(w.s.keys.Head())}, nil))
	if err != nil {
		return fence.Outcome{}, &fence.NotWrittenError{Cause: err}
	}
	o := fence.Outcome{Applied: resp.Txn().Succeeded}
	if o.Applied {
		if kv := members.FirstKey(resp.Txn().Responses[0]); kv != nil {
			o.Rev = store.Revision(kv.ModRevision)
		}
	}
	return o, nil
}

// checkConditions reads the records that the batch has conditions on. It answers the requests whose
// conditions don't hold; the others are tried again.
//
// After a transaction whose conditions did not hold, the records are read as they are now, which
// may be later. That is correct: a condition that fails now has failed after its call began. If all
// hold again, the next try succeeds or brings the writer here again.
func (w *writer) checkConditions(b *batch) {
	records := map[string]*mvccpb.KeyValue{}
	for keys := range slices.Chunk(b.conditions(), flatOps) {
		ops := make([]clientv3.Op, len(keys))
		for i, key := range keys {
			ops[i] = clientv3.OpGet(key)
		}
		resp, err := w.s.etcd.Do(w.s.ctx, clientv3.OpTxn(nil, ops, nil))
		if err != nil {
			w.failed(b, &fence.NotWrittenError{Cause: err})
			return
		}
		maps.Copy(records, members.Found(keys, resp.Txn().Responses))
	}
	var again []*request
	for _, r := range b.requests {
		if err := b.check(r, records); err != nil {
			r.answer(0, err)
			continue
		}
		again = append(again, r)
	}
	w.retry(again, errContended)
}

// failed handles an error of the whole batch.
func (w *writer) failed(b *batch, err error) {
	not, notWritten := errors.AsType[*fence.NotWrittenError](err)
	switch {
	case notWritten && !members.Final(not.Cause):
		// Requests in the queue wait too: they would use the same fence.
		members.Pause(w.s.ctx, b.requests[0].tries)
		w.retry(b.requests, not.Cause)
	case !notWritten && members.Classify(err) == members.Refuse && !errors.Is(w.s.explain(err), ErrAccess):
		w.refuse(b, err)
	default:
		for _, r := range b.requests {
			r.answer(0, w.s.failed(context.Background(), "commit", err))
		}
	}
}

// refuse answers a request that etcd refuses as it is. If the batch has several, each is tried
// alone, because one is to blame and the others are not.
func (w *writer) refuse(b *batch, err error) {
	if len(b.requests) == 1 {
		b.requests[0].answer(0, fmt.Errorf("commit %d changes: %w", len(b.requests[0].changes), err))
		return
	}
	for _, r := range b.requests {
		r.alone = true
	}
	w.retry(b.requests, err)
}

// retry puts requests that were not written back into the queue. It answers those that have no
// time left.
func (w *writer) retry(rs []*request, cause error) {
	var again []*request
	now := time.Now()
	for _, r := range rs {
		switch r.tries++; {
		case r.ctx.Err() != nil:
			r.answer(0, r.ctx.Err())
		case w.s.closing.Load():
			r.answer(0, store.ErrClosed)
		case now.After(r.until):
			r.answer(0, fmt.Errorf("commit: %w: %w", store.ErrUnavailable, cause))
		default:
			again = append(again, r)
		}
	}
	w.again = len(again)
	w.s.queue.back(again)
}
