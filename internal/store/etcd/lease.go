package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaseTTL is how long after a node's death its keys go, and another may sweep.
// It is longer than anything waits for the outcome of a write, see lane.
const leaseTTL = 30 * time.Second

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
	attempt, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), s.attempt())
	defer cancel()
	granted, err := s.client.Grant(attempt, int64(leaseTTL/time.Second))
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err)
	}
	_, err = s.client.Put(attempt, s.keys.lease(int64(granted.ID)), s.opts.NodeName, clientv3.WithLease(granted.ID))
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err) // it ends by itself
	}
	// Not under a leader's condition: the stream is to outlast elections.
	keep, let := context.WithCancel(s.ctx)
	alive, err := s.client.KeepAlive(keep, granted.ID)
	if err != nil {
		let()
		return nil, fmt.Errorf("keep lease: %w", err)
	}
	t := &tenure{lease: granted.ID, let: let}
	l.mu.Lock()
	l.current = t
	l.mu.Unlock()
	s.running.Go(func() {
		for range alive {
		}
		if keep.Err() == nil {
			l.drop(t)
			s.log.Warn("the node's lease in etcd ended; another is taken with the next write")
		}
	})
	return t, nil
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
	if _, err := s.client.Revoke(ctx, t.lease); err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("the node's lease in etcd could not be given up and ends by itself", "error", err)
	}
}
