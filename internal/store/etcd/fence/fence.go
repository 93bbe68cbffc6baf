// Package fence sends transactions to etcd that write, and finds out what became of each.
//
// If the connection breaks, a transaction may have been applied, may be applied later, or never. The
// caller must know which. Therefore a Fence sends one transaction at a time, and each requires and
// writes the same key, the fence:
//
//	          fence at revision 7
//	send:     if fence at 7, then write …, fence        (the answer is lost)
//	resolve:  if fence at 7, then delete fence
//	            deleted      the transaction was not applied, and never can be any more
//	            not deleted  the fence has a new revision: that of the transaction
//
// A fence is attached to the lease of its process. The time under one lease is an epoch. When the
// lease ends, etcd removes its fences, so that no transaction of an earlier epoch can be applied. It
// is then not known whether the last one was: store.ErrUncertain.
package fence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// Fence sends transactions. Its methods must not be called at the same time.
type Fence struct {
	epochs *Epochs
	epoch  *Epoch // nil: there is no key
	key    string
	rev    int64 // of the key
}

// NewFence returns a fence of the current and all following epochs.
func (e *Epochs) NewFence() *Fence { return &Fence{epochs: e} }

// Txn is a transaction. A Fence adds one condition to When, and two writes to Then.
type Txn struct {
	When []clientv3.Cmp
	Then []clientv3.Op
}

// Outcome is what became of a transaction.
type Outcome struct {
	Applied bool           // its conditions held, and Then was executed
	Rev     store.Revision // of the transaction
	// Responses are those of Then. There are none if Lost is set: Then was executed, but the answer
	// did not arrive.
	Responses []*etcdserverpb.ResponseOp
	Lost      bool
}

// NotWrittenError says that a transaction was not applied and never will be. It may be sent again.
type NotWrittenError struct{ Cause error }

func (e *NotWrittenError) Error() string { return "not written: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *NotWrittenError) Unwrap() error { return e.Cause }

var (
	// ErrGone: the lease has expired, and the fences with it.
	ErrGone  = errors.New("the node's lease has expired")
	errTaken = errors.New("another process wrote this node's fence")
)

// Send sends the transaction once. Errors: *NotWrittenError, an error of class members.Refuse, or
// store.ErrUncertain. A transaction that was sent does not end with ctx.
func (f *Fence) Send(ctx context.Context, t Txn) (Outcome, error) {
	if err := f.prepare(ctx); err != nil {
		return Outcome{}, &NotWrittenError{err}
	}
	resp, err := f.epochs.etcd.Do(context.Background(), clientv3.OpTxn(
		append(t.When[:len(t.When):len(t.When)], clientv3.Compare(clientv3.ModRevision(f.key), "=", f.rev)),
		append(t.Then[:len(t.Then):len(t.Then)],
			clientv3.OpPut(f.key, "", clientv3.WithIgnoreLease()), clientv3.OpPut(f.epochs.keys.Head(), "")),
		[]clientv3.Op{clientv3.OpGet(f.key)}))
	if err != nil {
		switch members.Classify(err) {
		case members.Refuse:
			return Outcome{}, err
		case members.Retry:
			return Outcome{}, &NotWrittenError{err}
		}
		return f.resolve(err)
	}
	answer := resp.Txn()
	if answer.Succeeded {
		f.rev = answer.Header.Revision
		return Outcome{Applied: true, Rev: store.Revision(f.rev), Responses: answer.Responses}, nil
	}
	switch kv := members.FirstKey(answer.Responses[0]); {
	case kv == nil:
		f.epochs.Drop(f.epoch)
		f.epoch = nil
		return Outcome{}, &NotWrittenError{ErrGone}
	case kv.ModRevision != f.rev:
		// It is not known which process it was, nor whether this transaction was applied.
		f.epoch = nil
		return Outcome{}, fmt.Errorf("%w: %w", store.ErrUncertain, errTaken)
	}
	return Outcome{Rev: store.Revision(answer.Header.Revision)}, nil
}

// prepare creates the key if there is none. If that fails, a key may be left until the lease ends.
func (f *Fence) prepare(ctx context.Context) error {
	e, err := f.epochs.Current(ctx)
	if err != nil || e == f.epoch {
		return err
	}
	key := f.epochs.keys.Fence(int64(e.Lease), f.epochs.number(e))
	resp, err := f.epochs.etcd.Do(ctx, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(f.epochs.keys.Lease(int64(e.Lease))), ">", 0)},
		[]clientv3.Op{clientv3.OpPut(key, "", clientv3.WithLease(e.Lease))}, nil))
	if err == nil && !resp.Txn().Succeeded {
		err = ErrGone
	}
	if errors.Is(err, ErrGone) || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		f.epochs.Drop(e)
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("create fence: %w", err)
	}
	f.epoch, f.key, f.rev = e, key, resp.Txn().Header.Revision
	return nil
}

// resolve finds out what became of the transaction whose answer was lost.
func (f *Fence) resolve(cause error) (Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), f.epochs.timeout)
	defer cancel()
	resp, err := f.epochs.etcd.Retry(ctx, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(f.key), "=", f.rev)},
		[]clientv3.Op{clientv3.OpDelete(f.key)}, // works even if etcd has no space
		[]clientv3.Op{clientv3.OpGet(f.key), clientv3.OpGet(f.epochs.keys.Lease(int64(f.epoch.Lease)))}))
	e := f.epoch
	f.epoch = nil // a new key, unless this one was written
	if err != nil {
		return Outcome{}, f.uncertain(cause, err)
	}
	answer := resp.Txn()
	if answer.Succeeded {
		return Outcome{}, &NotWrittenError{cause}
	}
	switch kv := members.FirstKey(answer.Responses[0]); {
	case kv != nil:
		f.epoch, f.rev = e, kv.ModRevision
		return Outcome{Applied: true, Rev: store.Revision(kv.ModRevision), Lost: true}, nil
	case members.FirstKey(answer.Responses[1]) != nil:
		// The lease is alive, so an earlier attempt of this request has deleted the key.
		return Outcome{}, &NotWrittenError{cause}
	}
	f.epochs.Drop(e)
	return Outcome{}, f.uncertain(cause, ErrGone)
}

func (f *Fence) uncertain(cause, err error) error {
	f.epochs.logger.Error("the outcome of a commit is unknown", "err", cause, "then", err)
	return fmt.Errorf("%w: %w: %w", store.ErrUncertain, cause, err)
}

// SendAgain sends the transaction that build returns until it is applied or its conditions don't
// hold, for at most the timeout.
func (f *Fence) SendAgain(ctx context.Context, build func() Txn) (Outcome, error) {
	until := time.Now().Add(f.epochs.timeout)
	for n := 0; ; n++ {
		o, err := f.Send(ctx, build())
		not, ok := errors.AsType[*NotWrittenError](err)
		if !ok || members.Final(not.Cause) || time.Now().After(until) || !members.Pause(ctx, n) {
			return o, err
		}
	}
}
