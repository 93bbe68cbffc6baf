package property

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

func (s *service) checkForUpdates(
	ctx context.Context, c *vim.Call, r *types.CheckForUpdatesRequestType,
) (*types.UpdateSet, error) {
	k, err := s.collectorOf(c)
	if err != nil {
		return nil, err
	}
	return k.updates(s.watcher(ctx, c), r.Version, 0)
}

func (s *service) waitForUpdates(
	ctx context.Context, c *vim.Call, r *types.WaitForUpdatesRequestType,
) (types.UpdateSet, error) {
	set, err := s.wait(ctx, c, r.Version, 0, -1)
	switch {
	case err != nil:
		return types.UpdateSet{}, err
	case set == nil:
		// The server shuts down, and this method has no way to return an empty result.
		return types.UpdateSet{}, vim.NewFault(&types.RequestCanceled{}, errDrain)
	}
	return *set, nil
}

var (
	errDrain  = errors.New("the server is shutting down")
	errCancel = errors.New("canceled by CancelWaitForUpdates")
)

func (s *service) waitForUpdatesEx(
	ctx context.Context, c *vim.Call, r *types.WaitForUpdatesExRequestType,
) (*types.UpdateSet, error) {
	limit, timeout := 0, time.Duration(-1)
	if o := r.Options; o != nil {
		if limit = int(o.MaxObjectUpdates); limit < 0 {
			return nil, vim.InvalidArgument("options.maxObjectUpdates", errors.New("negative"))
		}
		if o.MaxWaitSeconds != nil {
			if timeout = time.Duration(*o.MaxWaitSeconds) * time.Second; timeout < 0 {
				return nil, vim.InvalidArgument("options.maxWaitSeconds", errors.New("negative"))
			}
		}
	}
	return s.wait(ctx, c, r.Version, limit, timeout)
}

// wait returns the changes since the version as soon as there are any. It returns nil after the
// timeout, unless that is negative, and when the server shuts down: clients then ask again on a new
// connection.
func (s *service) wait(
	ctx context.Context, c *vim.Call, version string, limit int, timeout time.Duration,
) (*types.UpdateSet, error) {
	k, err := s.collectorOf(c)
	if err != nil {
		return nil, err
	}
	// The call counts as use of the session also when it begins, because the client has just been
	// active.
	s.sessions.Count(c.Session, s.api.Now())
	w := s.newWaiter(ctx, c, k, timeout)
	defer w.stop()
	for {
		r := s.watcher(ctx, c)
		changed, _ := k.signals()
		r.wakeOn(changed)
		set, err := k.updates(r, version, limit)
		switch {
		case err != nil:
			return nil, err
		case !s.sessions.Alive(c.Session):
			return nil, vim.NotAuthenticated(c.Object, vim.View)
		case set != nil || timeout == 0:
			return set, nil
		}
		if over, err := w.sleep(r.wake.all); over || err != nil {
			return nil, err
		}
	}
}

// waiter waits for a change or for one of the events that end the wait.
type waiter struct {
	*service
	call    *vim.Call
	ctx     context.Context
	expiry  *time.Timer // expiry of the session
	timeout *time.Timer // nil if there is no timeout
	cases   []reflect.SelectCase
}

// The indexes in waiter.cases of the events that end a wait. The channels of changes follow them.
const (
	endContext = iota
	endSession
	endDrain
	endCancel
	endCollector
	endExpiry
	endTimeout
	ends
)

func (s *service) newWaiter(ctx context.Context, c *vim.Call, k *collector, timeout time.Duration) *waiter {
	w := &waiter{service: s, call: c, ctx: ctx, expiry: time.NewTimer(s.sessions.Remaining(c.Session))}
	_, cancel := k.signals()
	w.cases = make([]reflect.SelectCase, ends, ends+4)
	w.on(endContext, ctx.Done())
	w.on(endSession, c.Session.Done())
	w.on(endDrain, s.api.Draining())
	w.on(endCancel, cancel)
	w.on(endCollector, k.closed)
	w.cases[endExpiry] = receive(w.expiry.C)
	w.cases[endTimeout] = reflect.SelectCase{Dir: reflect.SelectRecv}
	if timeout >= 0 {
		w.timeout = time.NewTimer(timeout)
		w.cases[endTimeout] = receive(w.timeout.C)
	}
	return w
}

func (w *waiter) on(end int, c <-chan struct{}) { w.cases[end] = receive(c) }

func receive(c any) reflect.SelectCase {
	return reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
}

func (w *waiter) stop() {
	w.expiry.Stop()
	if w.timeout != nil {
		w.timeout.Stop()
	}
}

// sleep waits for the next change. It returns an error if the wait has failed. It sets over if the
// wait ends without a change.
func (w *waiter) sleep(changes []<-chan struct{}) (over bool, _ error) {
	w.cases = w.cases[:ends]
	for _, c := range changes {
		w.cases = append(w.cases, receive(c))
	}
	for {
		which, _, _ := reflect.Select(w.cases)
		// The end of the session is checked first, because it also closes the session's collectors.
		if !w.sessions.Alive(w.call.Session) {
			return false, vim.NotAuthenticated(w.call.Object, vim.View)
		}
		switch which {
		case endContext:
			return false, w.ctx.Err()
		case endDrain, endTimeout:
			return true, nil
		case endCancel:
			return false, vim.NewFault(&types.RequestCanceled{}, errCancel)
		case endCollector:
			return false, vim.ObjectNotFound(w.call.Object)
		case endExpiry, endSession:
			// Other calls have used the session in the meantime, so it expires later.
			w.expiry.Reset(w.sessions.Remaining(w.call.Session))
		default:
			return false, nil
		}
	}
}
