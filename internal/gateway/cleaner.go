package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/xmltoken"
)

// cleaner destroys at the upstream what clients have left there. It does so in the background, a few calls at
// a time, so that the end of a session need not wait for it.
type cleaner struct {
	front *Front

	mu      sync.Mutex // guards what follows
	queue   []func(context.Context)
	workers int
}

const (
	maxCleaners = 4
	cleanTime   = 30 * time.Second // of one call
)

// do runs f in the background. The number of objects that clients own bounds the length of the
// queue.
func (c *cleaner) do(f func(context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, f)
	if c.workers < maxCleaners {
		c.workers++
		go c.work()
	}
}

func (c *cleaner) work() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.workers--
			c.mu.Unlock()
			return
		}
		f := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
		f(ctx)
		cancel()
	}
}

// sessionEnded destroys what a client session owned when it ended.
func (c *cleaner) sessionEnded(s *upstream.Session, left []*object) {
	c.do(func(context.Context) {
		defer c.front.table.Released(left)
		for _, o := range left {
			ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
			ok := c.end(ctx, s, o)
			cancel()
			if !ok {
				return
			}
		}
	})
}

// destroy destroys one object.
func (c *cleaner) destroy(s *upstream.Session, o *object) {
	c.do(func(ctx context.Context) { c.end(ctx, s, o) })
}

// cancelWait ends the latest wait on a collector.
func (c *cleaner) cancelWait(s *upstream.Session, o *object) {
	c.do(func(ctx context.Context) {
		_, err := c.front.simple(ctx, s, "CancelWaitForUpdates", o.Type, o.Real, "")
		if err != nil && !errors.Is(err, upstream.ErrGone) {
			c.failed(s, "CancelWaitForUpdates", err)
		}
	})
}

// end destroys an object. It reports false if the upstream session is not usable any more: then everything on it
// is gone, or will be.
func (c *cleaner) end(ctx context.Context, s *upstream.Session, o *object) bool {
	name, on, more := method.Ends[o.Type], o.Real, ""
	typ := o.Type
	if o.Type == method.Token {
		typ, on = method.Collector, o.Via
		more = "<token>" + string(xmltoken.AppendText(nil, o.Real)) + "</token>"
	}
	if name == "" {
		return true
	}
	fault, err := c.front.simple(ctx, s, name, typ, on, more)
	switch {
	case errors.Is(err, upstream.ErrGone):
		return false
	case err != nil:
	case fault.Kind == "", fault.Kind == "ManagedObjectNotFound", o.Type == method.Token:
		return true
	case fault.Kind == "NotAuthenticated":
		s.Lost(fmt.Errorf("%s: %s", name, fault.Kind))
		return false
	case o.Type == "HttpNfcLease":
		return true // it has ended already, in another state
	default:
		err = fmt.Errorf("the upstream answers with %s", fault.Kind)
	}
	c.failed(s, name, err)
	return false
}

// failed notes that something may be left on an upstream session.
func (c *cleaner) failed(s *upstream.Session, name string, err error) {
	c.front.Logger.Warn("an object of a client is left at the upstream",
		slog.String("operation", name), slog.Any("err", err))
	s.Spoil(err)
}

// simple makes a call of vigate's own on an upstream session, with an argument that is XML already.
func (f *Front) simple(ctx context.Context, s *upstream.Session, name, typ, id, more string) (message.Fault, error) {
	_, fault, err := f.ask(ctx, s, name, types.ManagedObjectReference{Type: typ, Value: id}, more)
	return fault, err
}

func (f *Front) ask(
	ctx context.Context, s *upstream.Session, name string, on types.ManagedObjectReference, more string,
) ([]byte, message.Fault, error) {
	done, ok := s.Begin()
	if !ok {
		return nil, message.Fault{}, upstream.ErrGone
	}
	defer done()
	h := http.Header{
		"Content-Type": {"text/xml; charset=utf-8"}, "User-Agent": {f.Upstream.UserAgent()},
		"Soapaction": {f.action(ctx)},
	}
	response, err := f.post(ctx, s, target{path: "/sdk"}, h, answer.Call(name, on, more))
	if err != nil {
		return nil, message.Fault{}, fmt.Errorf("%s: %w", name, err)
	}
	raw, err := hop.All(response, maxFault)
	if err != nil {
		return nil, message.Fault{}, fmt.Errorf("%s: %w", name, err)
	}
	if response.StatusCode == http.StatusOK {
		return raw, message.Fault{}, nil
	}
	fault := message.ReadFault(raw)
	if fault.Kind == "" {
		return nil, fault, fmt.Errorf("%s: the upstream answers with the status %d", name, response.StatusCode)
	}
	return raw, fault, nil
}

// action returns the SOAPAction of vigate's own calls: the newest version that the upstream has.
func (f *Front) action(ctx context.Context) string {
	if content, err := f.Upstream.Content(ctx); err == nil && content.Version() != "" {
		return "urn:vim25/" + content.Version()
	}
	return "urn:vim25"
}

// makeCollector makes a collector for one client.
func (p *passage) makeCollector(ctx context.Context, parent types.ManagedObjectReference) (string, error) {
	raw, fault, err := p.ask(ctx, p.session, "CreatePropertyCollector", parent, "")
	switch {
	case err != nil:
		return "", err
	case fault.Kind == "NotAuthenticated":
		if p.session.Probe(ctx) {
			break
		}
		return "", upstream.ErrGone
	}
	if made := message.Returned(raw); fault.Kind == "" && len(made) == 1 {
		return made[0].ID, nil
	}
	return "", fmt.Errorf("make a collector: the upstream answers with %q", fault.Kind)
}
