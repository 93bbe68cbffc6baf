package upstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/upstream/wire"
)

const (
	contentTime  = 10 * time.Second // of one retrieval
	contentRetry = time.Second      // after a retrieval that failed
	contentAge   = 10 * time.Minute // then it is retrieved again: the server may have been upgraded
)

// about keeps what the upstream says about itself.
type about struct {
	content atomic.Pointer[Content]
	turn    chan struct{} // full while somebody asks

	mu   sync.Mutex // guards the fields below
	at   time.Time  // of the last retrieval
	fail error      // of the last retrieval
}

func newAbout() about { return about{turn: make(chan struct{}, 1)} }

// known returns the content, or nil if it is not known yet.
func (a *about) known() *Content { return a.content.Load() }

func (a *about) last() (time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at, a.fail
}

func (a *about) note(c *Content, err error, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.fail = now, err
	if err == nil {
		a.content.Store(c)
	}
}

// Content returns what the upstream says about itself. It asks the upstream only if it never answered,
// once at a time and at most once a second, whoever calls how often. An error wraps ErrUnreachable.
func (u *Upstream) Content(ctx context.Context) (*Content, error) {
	if c := u.about.known(); c != nil {
		return c, nil
	}
	select {
	case u.about.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("retrieve service content: %w", ctx.Err())
	}
	defer func() { <-u.about.turn }()
	if c := u.about.known(); c != nil {
		return c, nil
	}
	if at, err := u.about.last(); err != nil && u.opts.Now().Sub(at) < contentRetry {
		return nil, err
	}
	return u.retrieve()
}

// retrieve asks the upstream. The caller has the turn. Its own context does not count: others need the
// answer as well.
func (u *Upstream) retrieve() (*Content, error) {
	ctx, cancel := context.WithTimeout(context.Background(), contentTime)
	defer cancel()
	c, err := wire.RetrieveContent(ctx, u.transport, u.agent)
	if err != nil && !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err) // whoever it is, it is no upstream
	}
	if old := u.about.known(); err == nil && old != nil && old.About != c.About {
		u.api.set(wire.Automation{}, false) // another version of the server may have another
	}
	u.about.note(c, err, u.opts.Now())
	u.seen(err)
	return c, err
}

// refresh retrieves the content again if it is time to.
func (u *Upstream) refresh() {
	select {
	case u.about.turn <- struct{}{}:
		defer func() { <-u.about.turn }()
	default:
		return
	}
	at, err := u.about.last()
	wait := contentAge
	if err != nil || u.Ready() != nil {
		wait = contentRetry
	}
	if now := u.opts.Now(); at.IsZero() || now.Sub(at) >= wait {
		_, _ = u.retrieve() // the state of the upstream says what went wrong
	}
}

// health is whether the upstream can be reached.
type health struct {
	mu    sync.Mutex // guards known, cause and since
	known bool
	cause error
	since time.Time

	good atomic.Bool // known and without a cause, for a cheap check
}

// seen notes whether the upstream could be reached: err is nil if it answered. A change is logged.
func (u *Upstream) seen(err error) {
	h := &u.health
	if err == nil && h.good.Load() {
		return
	}
	h.mu.Lock()
	changed := !h.known || (err == nil) != (h.cause == nil)
	lost := h.known && h.cause == nil
	h.known, h.cause = true, err
	if changed {
		h.since = u.opts.Now()
	}
	h.good.Store(err == nil)
	h.mu.Unlock()
	if errors.Is(err, wire.ErrRefused) {
		u.restarted()
	}
	switch {
	case !changed:
	case err == nil:
		u.opts.Logger.Info("the upstream can be reached", "url", u.URL().String())
	case lost:
		u.opts.Logger.Warn("the upstream can't be reached any more", "url", u.URL().String(), "err", err)
	default:
		u.opts.Logger.Warn("the upstream can't be reached", "url", u.URL().String(), "err", err)
	}
}

// Ready returns an error that wraps ErrUnreachable while the upstream can't be reached, or has not been
// tried yet.
func (u *Upstream) Ready() error {
	u.health.mu.Lock()
	defer u.health.mu.Unlock()
	switch {
	case !u.health.known:
		return fmt.Errorf("%w: it was not tried yet", ErrUnreachable)
	case u.health.cause != nil:
		return u.health.cause
	}
	return nil
}
