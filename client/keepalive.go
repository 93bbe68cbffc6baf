package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// KeepAlive calls the server once per interval, so that the session does not reach its idle
// timeout. It does so in its own goroutine until the session, the client or ctx ends. A client has at
// most one keep-alive at a time.
//
// If the interval is zero, KeepAlive asks the server for its idle timeout, see [Client.IdleTimeout],
// and calls it three times in that time, but at least every ten minutes. If the server does not say
// it, KeepAlive assumes 30 minutes. An interval that the caller chooses should be at most a third of
// the idle timeout.
//
// When the keep-alive ends, the channel receives the reason and is closed. The reason is the error
// that showed that the session has ended and was not renewed, or [ErrLoggedOut], [ErrClosed] or the
// cause of ctx's cancellation. Other errors, such as a broken connection, do not end the
// keep-alive. The caller need not read the channel.
func (c *Client) KeepAlive(ctx context.Context, interval time.Duration) (<-chan error, error) {
	if interval < 0 {
		return nil, errors.New("keep session alive: the interval must not be negative")
	}
	if interval == 0 && !c.Token().IsZero() {
		interval = c.interval(ctx)
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
		err = errors.New("a keep-alive is already running")
	case s.token.IsZero():
		err = errors.New("there is no session")
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
		// After a Logout and a new login another keep-alive may be running.
		if s.aliveBy == by {
			s.stop = nil
		}
		s.mu.Unlock()
		ended <- reason
		close(ended)
	}()
	return ended, nil
}

// stayAlive calls the server until the keep-alive must end, and returns the reason.
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

// touch makes a cheap call that the server counts as activity.
func (c *Client) touch(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var now time.Time
	return c.Invoke(ctx, serviceInstance(), "CurrentTime", &types.CurrentTime{}, &now)
}
