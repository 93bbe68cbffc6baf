package members

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// Watch watches the keys with the prefix by the current member, and calls handle for each message.
// It returns handle's error, ErrMoved, ErrEnded, the cause of ctx's end, or etcd's error. It does
// not continue at another member by itself: only the caller knows the revision from which a new
// watch must continue.
func (m *Members) Watch(ctx context.Context, prefix string, from int64,
	handle func(clientv3.WatchResponse) error) error {
	x, err := m.choice(ctx)
	if err != nil {
		return err
	}
	c, err := m.dial(ctx, x)
	if err != nil {
		m.failed(x)
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	w := &watch{x, end}
	if !m.add(w) {
		end(nil)
		return ErrMoved
	}
	// The client would wait for the connection to come back.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if c.ActiveConnection().WaitForStateChange(ctx, connectivity.Ready) {
			m.failed(x)
			end(ErrEnded)
		}
	}()
	defer func() { m.remove(w); end(nil); <-gone }()
	for resp := range c.Watch(clientv3.WithRequireLeader(ctx), prefix,
		clientv3.WithPrefix(), clientv3.WithRev(from), clientv3.WithProgressNotify()) {
		if err := resp.Err(); err != nil {
			if Classify(err) != Refuse {
				m.failed(x)
			}
			return err
		}
		if err := handle(resp); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return ErrEnded
}

// add records a watch. It returns false if its member is not current any more.
func (m *Members) add(w *watch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current != w.from {
		return false
	}
	m.watches[w] = true
	return true
}

func (m *Members) remove(w *watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watches, w)
}

// RequestProgress asks the current member to send the revision that its watches have reached. So an
// interrupted watch continues from a later revision, which is less likely to be compacted. It is
// not an error if nothing is sent.
func (m *Members) RequestProgress(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, minPause)
	defer cancel()
	m.mu.Lock()
	c := m.current.client.Load()
	if len(m.watches) == 0 {
		c = nil
	}
	m.mu.Unlock()
	if c != nil {
		_ = c.RequestProgress(clientv3.WithRequireLeader(ctx))
	}
}
