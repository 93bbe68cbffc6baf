package fence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store/etcd/layout"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

const (
	// minLeaseTTL is the least lifetime of the lease. When a node has died, its keys are removed
	// after the lifetime, and another node can become the leader.
	minLeaseTTL = 30 * time.Second
	// keepsPerTTL is how many times the lease is renewed within its lifetime.
	keepsPerTTL = 3
	// renewAgain is the wait before the lease is renewed again after a failure.
	renewAgain = 300 * time.Millisecond
)

// Epoch is the time in which the process holds one lease. Its fences exist only in it.
type Epoch struct {
	Lease clientv3.LeaseID

	end    context.CancelFunc // ends the renewal
	fences uint64             // created so far; guarded by Epochs.mu
}

// Epochs holds the lease of the process. An epoch begins when it is first needed.
type Epochs struct {
	etcd    *members.Members
	keys    layout.Keys
	name    string
	timeout time.Duration
	ttl     time.Duration
	logger  *slog.Logger

	begin    members.Mutex // held by the goroutine that asks etcd for a lease
	ctx      context.Context
	stop     context.CancelFunc // ends all renewals
	renewing sync.WaitGroup     // the goroutines that renew leases

	mu      sync.Mutex // guards the following
	current *Epoch
}

// NewEpochs returns an Epochs without a lease. name is the value of the lease's key. A write may take as long as the
// timeout, and so may the request that finds out its outcome. The lease lives longer than both together.
func NewEpochs(etcd *members.Members, keys layout.Keys, name string, timeout time.Duration,
	logger *slog.Logger) *Epochs {
	e := &Epochs{etcd: etcd, keys: keys, name: name, timeout: timeout, logger: logger,
		ttl: max(minLeaseTTL, 4*timeout), begin: members.NewMutex()}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

// Close revokes the lease, so that its keys are removed at once. Nobody may write any more.
func (e *Epochs) Close() {
	e.stop()
	e.renewing.Wait()
	now := e.get()
	if now == nil {
		return
	}
	err := e.etcd.Call(context.Background(), func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Revoke(ctx, now.Lease)
		return err
	})
	if err != nil {
		e.logger.Warn("the node's lease in etcd could not be revoked; it will expire", "err", err)
	}
}

func (e *Epochs) get() *Epoch {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current
}

// Drop ends an epoch, so that Current begins another one. Its lease expires, if it has not.
func (e *Epochs) Drop(old *Epoch) {
	old.end()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == old {
		e.current = nil
	}
}

// number returns the number of a new fence of the epoch.
func (e *Epochs) number(of *Epoch) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	of.fences++
	return of.fences
}

// Current returns the current epoch, or begins one.
func (e *Epochs) Current(ctx context.Context) (*Epoch, error) {
	if now := e.get(); now != nil {
		return now, nil
	}
	if err := e.begin.Lock(ctx); err != nil {
		return nil, err
	}
	defer e.begin.Unlock()
	if now := e.get(); now != nil {
		return now, nil
	}
	var id clientv3.LeaseID
	err := e.etcd.Call(ctx, func(ctx context.Context, c *clientv3.Client) error {
		granted, err := c.Grant(ctx, int64(e.ttl/time.Second))
		if err != nil {
			return err
		}
		id = granted.ID
		// If this fails, the lease expires by itself.
		_, err = c.Put(ctx, e.keys.Lease(int64(id)), e.name, clientv3.WithLease(id))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err)
	}
	renewal, end := context.WithCancel(e.ctx)
	begun := &Epoch{Lease: id, end: end}
	e.mu.Lock()
	e.current = begun
	e.mu.Unlock()
	e.renewing.Go(func() { e.renew(renewal, begun) })
	return begun, nil
}

// renew renews the lease until ctx ends.
func (e *Epochs) renew(ctx context.Context, of *Epoch) {
	every := e.ttl / keepsPerTTL
	for wait := every; ; {
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		err := e.etcd.Call(ctx, func(ctx context.Context, c *clientv3.Client) error {
			_, err := c.KeepAliveOnce(ctx, of.Lease)
			return err
		})
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			e.Drop(of)
			e.logger.Warn("the node's lease in etcd has expired; the next write takes a new one")
			return
		case err != nil:
			wait = renewAgain
		default:
			wait = every
		}
	}
}
