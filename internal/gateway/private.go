package gateway

import (
	"context"
	"sync"

	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
)

// privates are the client sessions that have an upstream session of their own, in mode private.
type privates struct {
	mu  sync.Mutex // guards all
	all map[*session.Live]*private
}

// private ends the upstream session of a client session when the client session has ended.
type private struct {
	of   *privates
	live *session.Live
	pool *upstream.Pool
}

// Close is called by the API when the client session has ended.
func (x *private) Close() {
	x.of.mu.Lock()
	delete(x.of.all, x.live)
	x.of.mu.Unlock()
	x.pool.End(x.live.Key().String())
}

// acquire returns the upstream session with the fewest calls in flight or, in mode private, the client's own.
func (p *passage) acquire(ctx context.Context) (*upstream.Use, error) {
	if !p.Upstream.Private() {
		return p.pool.Acquire(ctx)
	}
	if err := p.privates.note(p); err != nil {
		return nil, err
	}
	return p.pool.Private(ctx, p.live.Key().String())
}

// note registers the client session, so that its upstream session ends with it.
func (x *privates) note(p *passage) error {
	x.mu.Lock()
	if _, known := x.all[p.live]; known {
		x.mu.Unlock()
		return nil
	}
	if x.all == nil {
		x.all = map[*session.Live]*private{}
	}
	one := &private{x, p.live, p.pool}
	x.all[p.live] = one
	x.mu.Unlock()
	if _, err := p.API.NewInstance(p.live, "UpstreamSession", one, weightOfPrivate); err != nil {
		x.mu.Lock()
		delete(x.all, p.live)
		x.mu.Unlock()
		return err
	}
	return nil
}

// weightOfPrivate is about how many bytes an entry takes.
const weightOfPrivate = 256
