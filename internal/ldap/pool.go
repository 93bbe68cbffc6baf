package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/directory"
)

// pool holds connections of one kind. It has at most one connection for each operation in progress:
// see Source.turns.
type pool struct {
	servers *servers
	prepare func(*connection) error // makes a new connection ready for use; may be nil

	mu     sync.Mutex // guards what follows
	idle   []*connection
	closed bool
}

func newPool(s *servers, prepare func(*connection) error) *pool {
	return &pool{servers: s, prepare: prepare}
}

var errSlow = errors.New("the directory took too long")

// do calls f with a connection. If the connection is lost, it calls f again with another one, if need
// be to another server. An error of f that is not errLost is returned unchanged. The error is
// directory.ErrUnavailable, with the causes, if no server gives an answer.
func (p *pool) do(ctx context.Context, f func(*connection) error) error {
	work, cancel := context.WithTimeoutCause(ctx, workTimeout, errSlow)
	defer cancel()
	var causes []error
	for range len(p.servers.all) + 2 {
		c, err := p.get(work)
		if err != nil {
			causes = append(causes, err)
			break
		}
		began := time.Now()
		if err = c.run(work, func() error { return f(c) }); !errors.Is(err, errLost) {
			p.put(c)
			return err
		}
		causes = append(causes, fmt.Errorf("%s: %w", c.server.url, err))
		p.discard(c, err, time.Since(began) >= c.request)
		if work.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ask directory: %w", ctx.Err())
	}
	return fmt.Errorf("%w: %w", directory.ErrUnavailable, errors.Join(causes...))
}

// get returns an idle connection, or connects.
func (p *pool) get(ctx context.Context) (*connection, error) {
	if c := p.take(); c != nil {
		return c, nil
	}
	return p.servers.connect(ctx, p.prepare)
}

// take returns the idle connection that was used last, or nil. It closes those that are too old.
func (p *pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.servers.now()
	p.idle = slices.DeleteFunc(p.idle, func(c *connection) bool {
		old := c.conn.IsClosing() || now.Sub(c.idle) >= idleTime || now.Sub(c.born) >= connectionLife
		if old {
			c.close()
		}
		return old
	})
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	c := p.idle[n]
	p.idle = p.idle[:n]
	return c
}

func (p *pool) put(c *connection) {
	c.used, c.idle = true, p.servers.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxTurns {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
}

// discard closes a connection that was lost, and the idle ones to the same server. The server counts
// as failed if it was too slow, or has never answered on this connection. Otherwise it may only have
// closed an idle connection, and is tried again.
func (p *pool) discard(c *connection, err error, slow bool) {
	c.close()
	p.mu.Lock()
	p.idle = slices.DeleteFunc(p.idle, func(other *connection) bool {
		if other.server == c.server {
			other.close()
		}
		return other.server == c.server
	})
	p.mu.Unlock()
	if !c.used || slow {
		p.servers.failed(c.server, err)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}
