package owned

import (
	"context"
	"slices"

	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/session"
)

// Default returns the collector that stands behind the one that all clients of the front know. If there is
// none, make makes it on the upstream session, which the client session must hold. Calls side by side wait
// for it. front is the id by which clients know it.
func (t *Table[S]) Default(
	ctx context.Context, l *session.Live, front string, make_ func() (real string, err error),
) (*Object[S], error) {
	for {
		t.mu.Lock()
		c := t.clients[l]
		switch {
		case c == nil:
			t.mu.Unlock()
			return nil, ErrGone
		case c.collector != nil:
			defer t.mu.Unlock()
			return c.collector, nil
		case c.making == nil:
			done := make(chan struct{})
			c.making = done
			t.mu.Unlock()
			defer func() { // also if make_ panics
				t.mu.Lock()
				c.making = nil
				t.mu.Unlock()
				close(done)
			}()
			return t.makeDefault(l, front, make_)
		}
		wait := c.making
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *Table[S]) makeDefault(l *session.Live, front string, make_ func() (string, error)) (*Object[S], error) {
	real, err := make_()
	if err != nil {
		return nil, err
	}
	o := &Object[S]{Type: method.Collector, ID: front, Real: real}
	return t.add(l, o, func(c *Client[S]) { c.collector = o })
}

// HasDefault returns the collector that Default has made, or nil.
func (t *Table[S]) HasDefault(l *session.Live) *Object[S] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[l]; c != nil {
		return c.collector
	}
	return nil
}

// AddToken registers the rest of a retrieval, of which Real, Via and Parent are given. If the client session has
// too many, the oldest is removed and returned: the caller has to end it at the upstream.
func (t *Table[S]) AddToken(l *session.Live, s S, o Object[S]) (added, removed *Object[S], err error) {
	o.Type = method.Token
	added, err = t.adopt(l, s, &o, func(c *Client[S]) {
		if c.tokens = append(c.tokens, &o); len(c.tokens) > maxTokens {
			removed = c.tokens[0]
		}
	})
	if removed != nil {
		t.Remove(removed)
	}
	return added, removed, err
}

// Wait is a call that waits for updates of a collector.
type Wait[S Upstream] struct {
	table *Table[S]
	on    *Object[S]
	stop  func(cause error)
}

// BeginWait notes a wait on a collector. stop is called with the wait if the client session ends meanwhile, or
// if all waits are stopped. It must return quickly.
func (t *Table[S]) BeginWait(on *Object[S], stop func(w *Wait[S], cause error)) (*Wait[S], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on.gone {
		return nil, ErrGone
	}
	w := &Wait[S]{table: t, on: on}
	w.stop = func(cause error) { stop(w, cause) }
	on.client.waits = append(on.client.waits, w)
	return w, nil
}

// End ends the wait.
func (w *Wait[S]) End() {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	c := w.on.client
	c.waits = slices.DeleteFunc(c.waits, func(x *Wait[S]) bool { return x == w })
}

// Latest reports whether the wait is the latest on its collector, and the client session still owns the
// collector: CancelWaitForUpdates reaches only the latest one.
func (w *Wait[S]) Latest() bool {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	if w.on.gone {
		return false
	}
	for _, x := range slices.Backward(w.on.client.waits) {
		if x.on == w.on {
			return x == w
		}
	}
	return false
}
