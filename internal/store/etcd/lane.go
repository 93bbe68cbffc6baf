package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// lane sends transactions that write, one at a time, and knows what became of
// each, also where the answer was lost.
//
// It has a slot, a key that no one else writes and that lives by the node's
// lease. Every transaction is on the condition that the slot still has the
// revision of the lane's previous one, and writes it. So if an answer is lost,
// the lane asks for the slot to be deleted on that same condition: if that
// happens, the lost transaction was not applied and can't be any more, however
// long it stays on its way; if the condition fails, the slot's revision is that
// of the lost transaction. A deletion needs no space, so that it works also
// where etcd has none left.
type lane struct {
	s      *Store
	tenure *tenure // nil: no slot
	slot   string
	rev    int64 // of the slot
}

// txn is what to send.
type txn struct {
	when       []clientv3.Cmp
	then, otws []clientv3.Op
}

// outcome is what is known to have become of a transaction.
type outcome struct {
	done bool           // its conditions held, and then was done
	rev  store.Revision // at which then was done
	// responses of then, or of otws. Where lost there are none: then was done,
	// but the answer did not come.
	responses []*etcdserverpb.ResponseOp
	lost      bool
}

// notWritten says that a transaction was not applied, why, and that it may be
// sent again.
type notWritten struct{ cause error }

func (e *notWritten) Error() string { return "not written: " + e.cause.Error() }
func (e *notWritten) Unwrap() error { return e.cause }

var (
	errSlotGone  = errors.New("the node's lease ended")
	errSlotTaken = errors.New("another wrote the node's slot")
	errContend   = errors.New("others were faster each time")
)

// send sends the transaction once. Errors: *notWritten, one for which rejected
// holds, and store.ErrUncertain. ctx does not end a request under way.
func (l *lane) send(ctx context.Context, t txn) (outcome, error) {
	if err := l.prepare(ctx); err != nil {
		return outcome{}, &notWritten{err}
	}
	n := len(t.otws)
	op := clientv3.OpTxn(
		append(t.when[:len(t.when):len(t.when)], clientv3.Compare(clientv3.ModRevision(l.slot), "=", l.rev)),
		append(t.then[:len(t.then):len(t.then)],
			clientv3.OpPut(l.slot, "", clientv3.WithIgnoreLease()), clientv3.OpPut(l.s.keys.head(), "")),
		append(t.otws[:n:n], clientv3.OpGet(l.slot)))
	resp, err := l.s.once(context.Background(), op)
	if err != nil {
		switch {
		case rejected(err):
			return outcome{}, err
		case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, errNobody):
			// It was not sent, or to a member that has no leader, which refuses what
			// asks for one before it looks at it.
			return outcome{}, &notWritten{err}
		}
		return l.findOut(err)
	}
	answer := resp.Txn()
	rev := store.Revision(answer.Header.Revision)
	if answer.Succeeded {
		l.rev = answer.Header.Revision
		return outcome{done: true, rev: rev, responses: answer.Responses}, nil
	}
	switch kv := first(answer.Responses[n]); {
	case kv == nil:
		l.s.leases.drop(l.tenure)
		l.tenure = nil
		return outcome{}, &notWritten{errSlotGone}
	case kv.ModRevision != l.rev:
		// Who else writes the slot can't be told, nor whether this transaction did.
		l.tenure = nil
		return outcome{}, fmt.Errorf("%w: %w", store.ErrUncertain, errSlotTaken)
	}
	return outcome{rev: rev, responses: answer.Responses[:n]}, nil
}

// prepare makes the slot where there is none. A failed try leaves a key that
// goes with the lease.
func (l *lane) prepare(ctx context.Context) error {
	t, err := l.s.tenure(ctx)
	if err != nil || t == l.tenure {
		return err
	}
	slot := l.s.keys.slot(int64(t.lease), l.s.leases.slot(t))
	owner := l.s.keys.lease(int64(t.lease))
	resp, err := l.s.once(ctx, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(owner), ">", 0)},
		[]clientv3.Op{clientv3.OpPut(slot, "", clientv3.WithLease(t.lease))}, nil))
	if err == nil && !resp.Txn().Succeeded {
		err = errSlotGone
	}
	if errors.Is(err, errSlotGone) || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		l.s.leases.drop(t)
	}
	if err != nil {
		return fmt.Errorf("make slot: %w", err)
	}
	l.tenure, l.slot, l.rev = t, slot, resp.Txn().Header.Revision
	return nil
}

// findOut learns what became of the transaction whose answer was lost, and
// leaves the lane ready for the next.
func (l *lane) findOut(cause error) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), l.s.opts.Timeout)
	defer cancel()
	owner := l.s.keys.lease(int64(l.tenure.lease))
	fence := clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(l.slot), "=", l.rev)},
		[]clientv3.Op{clientv3.OpDelete(l.slot)},
		[]clientv3.Op{clientv3.OpGet(l.slot), clientv3.OpGet(owner)})
	resp, err := l.s.ask(ctx, fence)
	gone := l.tenure
	l.tenure = nil
	if err != nil {
		l.s.log.Error("it could not be found out whether a commit happened", "error", cause, "then", err)
		return outcome{}, fmt.Errorf("%w: %w: %w", store.ErrUncertain, cause, err)
	}
	answer := resp.Txn()
	if answer.Succeeded {
		return outcome{}, &notWritten{cause}
	}
	switch kv := first(answer.Responses[0]); {
	case kv != nil:
		l.tenure, l.rev = gone, kv.ModRevision
		return outcome{done: true, rev: store.Revision(kv.ModRevision), lost: true}, nil
	case first(answer.Responses[1]) != nil:
		// The lease lives, so that an earlier try of the fence took the slot.
		return outcome{}, &notWritten{cause}
	}
	l.s.leases.drop(gone)
	l.s.log.Error("it could not be found out whether a commit happened", "error", cause, "then", errSlotGone)
	return outcome{}, fmt.Errorf("%w: %w: %w", store.ErrUncertain, cause, errSlotGone)
}

// insist sends the transaction that make makes until it is applied or its
// conditions failed, for as long as a call may take.
func (l *lane) insist(ctx context.Context, make func() txn) (outcome, error) {
	until := time.Now().Add(l.s.opts.Timeout)
	for n := 0; ; n++ {
		o, err := l.send(ctx, make())
		var not *notWritten
		if !errors.As(err, &not) || futile(not.cause) || time.Now().After(until) || !pause(ctx, n) {
			return o, err
		}
	}
}

// first is the first key of an answer to a Get.
func first(r *etcdserverpb.ResponseOp) *mvccpb.KeyValue {
	if kvs := r.GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0]
	}
	return nil
}
