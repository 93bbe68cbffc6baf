package gateway

import (
	"context"

	"github.com/vigate/vigate/internal/gateway/owned"
	"github.com/vigate/vigate/internal/upstream"
)

// wait makes a call that may wait for a long time. It counts against the budget of waits, and not as a call in
// flight. When the client goes or its session ends, the wait ends at the upstream as well: closing the
// connection would not do.
func (p *passage) wait(ctx context.Context) (*Answer, error) {
	if p.on == nil {
		return p.send(ctx) // it is a collector that does not exist, or not one of a session
	}
	done, err := p.Upstream.BeginWait(ctx)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	on, session := p.on, p.session
	end := func(w *owned.Wait[*upstream.Session], cause error) {
		if w.Latest() {
			p.cleaner.cancelWait(session, on)
		}
		cancel(cause)
	}
	wait, err := p.table.BeginWait(on, end)
	if err != nil {
		cancel(err)
		done()
		return nil, p.orphaned(err)
	}
	stop := context.AfterFunc(ctx, func() { end(wait, context.Cause(ctx)) })
	p.endWait = func() {
		stop()
		wait.End()
		cancel(nil)
		done()
	}
	p.detach() // the wait itself is no call in flight, and the collector keeps the session
	return p.send(waiting)
}
