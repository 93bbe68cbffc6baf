package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// minLeaseTTL is the least lifetime of the lease. It decides how long after a node's
// death its keys go, and another may sweep.
const minLeaseTTL = 30 * time.Second

// leaseTTL is longer than anything waits for the outcome of a write, see lane: a
// request and the question what became of it take a Timeout each at the most.
func (o Options) leaseTTL() time.Duration { return max(minLeaseTTL, 4*o.Timeout) }

// keepsPerTTL is how often in that time the lease is prolonged.
const keepsPerTTL = 3

// tenure is a time in which the node holds one lease. What it learned about its
// keys is only true in it.
type tenure struct {
	lease clientv3.LeaseID
	let   context.CancelFunc // ends keeping it
	slots uint64             // given out so far. Guarded by leases.mu
}

// leases holds the node's lease, which is taken with the first write.
type leases struct {
	turn turn // taken by who asks etcd for one

	mu      sync.Mutex // guards what follows
	current *tenure
}

func (l *leases) init() { l.turn = make(turn, 1) }

func (l *leases) get() *tenure {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

// drop forgets the tenure, so that the next write begins another. Its lease, if
// it still is one, ends by itself.
func (l *leases) drop(t *tenure) {
	t.let()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == t {
		l.current = nil
	}
}

func (l *leases) slot(t *tenure) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.slots++
	return t.slots
}

// tenure returns the node's lease, taken anew where there is none.
func (s *Store) tenure(ctx context.Context) (*tenure, error) {
	l := &s.leases
	if t := l.get(); t != nil {
		return t, nil
	}
	if err := l.turn.take(ctx); err != nil {
		return nil, err
	}
	defer l.turn.give()
	if t := l.get(); t != nil {
		return t, nil
	}
	var id clientv3.LeaseID
	err := s.with(ctx, func(ctx context.Context, c *clientv3.Client) error {
		ctx = clientv3.WithRequireLeader(ctx)
		granted, err := c.Grant(ctx, int64(s.opts.leaseTTL()/time.Second))
		if err != nil {
			return err
		}
		id = granted.ID
		_, err = c.Put(ctx, s.keys.lease(int64(id)), s.opts.NodeName, clientv3.WithLease(id))
		return err // what was granted ends by itself
	})
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err)
	}
	keep, let := context.WithCancel(s.ctx)
	t := &tenure{lease: id, let: let}
	l.mu.Lock()
	l.current = t
	l.mu.Unlock()
	s.running.Go(func() { s.keep(keep, t) })
	return t, nil
}

// keep keeps the lease until ctx ends, by whichever member is in use.
func (s *Store) keep(ctx context.Context, t *tenure) {
	every := s.opts.leaseTTL() / keepsPerTTL
	for wait := every; ; {
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		err := s.with(ctx, func(ctx context.Context, c *clientv3.Client) error {
			_, err := c.KeepAliveOnce(ctx, t.lease)
			return err
		})
		switch {
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			s.leases.drop(t)
			s.log.Warn("the node's lease in etcd ended; another is taken with the next write")
			return
		case err != nil:
			wait = maxPause
		default:
			wait = every
		}
	}
}

// revoke gives the lease up, so that its keys go at once.
func (l *leases) revoke(s *Store) {
	t := l.get()
	if t == nil {
		return
	}
	t.let()
	ctx, cancel := context.WithTimeout(context.Background(), s.attempt())
	defer cancel()
	err := s.with(ctx, func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Revoke(ctx, t.lease)
		return err
	})
	if err != nil {
		s.log.Warn("the node's lease in etcd could not be given up and ends by itself", "error", err)
	}
}
