package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// KeepAlive calls the server once in each interval, in a goroutine of its own,
// so that the session does not idle out. A client has at most one at a time. The
// interval should be no more than a third of the server's idle timeout.
//
// The channel gets the reason of its end, once, and is closed then: the error
// that told that the session has ended (and was not renewed), [ErrLoggedOut],
// [ErrClosed], or the cause of ctx's end. Errors that say nothing about the
// session, such as a broken connection, do not end it. The channel does not need
// to be read.
func (c *Client) KeepAlive(ctx context.Context, interval time.Duration) (<-chan error, error) {
	if interval <= 0 {
		return nil, errors.New("keep session alive: the interval must be positive")
	}
	ctx, stop := context.WithCancelCause(ctx)
	s := &c.session
	s.mu.Lock()
	var err error
	switch {
	case s.closed:
		err = ErrClosed
	case s.ended:
		err = ErrLoggedOut
	case s.stop != nil:
		err = errors.New("it is kept alive already")
	case s.token.IsZero():
		err = errors.New("there is none")
	default:
		s.stop = stop
		s.aliveBy++
	}
	by := s.aliveBy
	s.mu.Unlock()
	if err != nil {
		stop(err)
		return nil, fmt.Errorf("keep session alive: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		reason := c.stayAlive(ctx, interval)
		stop(reason)
		s.mu.Lock()
		// After a Logout and a login another keep-alive may have begun.
		if s.aliveBy == by {
			s.stop = nil
		}
		s.mu.Unlock()
		ended <- reason
		close(ended)
	}()
	return ended, nil
}

// stayAlive returns why the session is not kept alive any longer.
func (c *Client) stayAlive(ctx context.Context, interval time.Duration) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		err := c.touch(ctx, interval)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && (isNotAuthenticated(err) || errors.Is(err, ErrClosed)) {
			return err
		}
	}
}

// touch makes a call that counts as activity and costs next to nothing.
func (c *Client) touch(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var now time.Time
	return c.Invoke(ctx, serviceInstance(), "CurrentTime", &types.CurrentTime{}, &now)
}
