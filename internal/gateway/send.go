package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/upstream"
)

var (
	// errLost means that the upstream session was gone, so that nothing was done.
	errLost = errors.New("the session at the upstream was gone")
	// errDoubt means that the upstream refused the call as not authenticated, although the session lives.
	errDoubt = errors.New("the upstream did not know a session that lives")
	// errUnknown means that a call may have been carried out or not.
	errUnknown = errors.New("the outcome of the call is unknown")
	// errDraining ends waits when the server shuts down.
	errDraining = errors.New("the server shuts down")
)

// target is a path of the upstream, with a query.
type target struct{ path, query string }

// post sends a body to a path of the upstream with the session. The error wraps upstream.ErrUnreachable if
// nothing was sent, else errUnknown.
func (f *Front) post(
	ctx context.Context, s *upstream.Session, to target, h http.Header, body []byte,
) (*http.Response, error) {
	u := *f.Upstream.URL()
	u.Path, u.RawQuery = to.path, to.query
	var sent atomic.Bool
	r := &http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, Header: h, ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: hop.Body(body),
		GetBody: func() (io.ReadCloser, error) { return hop.Body(body), nil },
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = []string{""} // the transport would send its own
	}
	r.Header["Accept-Encoding"] = []string{"identity"} // keys are looked for in the answer
	s.Authorize(r.Header)
	response, err := f.Upstream.RoundTrip(r.WithContext(hop.Sending(ctx, &sent)))
	switch {
	case err == nil:
		return response, nil
	case errors.Is(err, upstream.ErrUnreachable):
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !sent.Load():
		return nil, fmt.Errorf("%w: %w", upstream.ErrUnreachable, err)
	}
	return nil, fmt.Errorf("%w: %w", errUnknown, err)
}

// patience is how long a call is waited for that makes something, after its client has gone: what it makes must
// not be left behind.
const patience = 5 * time.Minute

// send sends the request and judges the answer.
func (p *passage) send(ctx context.Context) (*Answer, error) {
	if p.method.Makes != "" || p.method.Destroys {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		done, ok := p.session.Begin() // its client may go, but its session stays until it is done
		if !ok {
			return nil, p.orphaned(upstream.ErrGone)
		}
		defer done()
	}
	response, err := p.round(ctx)
	if err != nil {
		return nil, err
	}
	return p.judge(ctx, response)
}

// round makes the round trip, once more if nothing was sent, or if the method only reads.
func (p *passage) round(ctx context.Context) (*http.Response, error) {
	body := p.message.Append(nil, p.edits())
	if p.Links != nil {
		body = p.Links.Request(p.call.VIM, body)
	}
	query, _ := message.Translate(p.call.Query, p.realOf) // known has found no foreign id
	to := target{p.call.Path, query}
	for try := 1; ; try++ {
		response, err := p.post(ctx, p.session, to, hop.Request(p.call.Header, p.call.VIM.Token.Reveal()), body)
		switch {
		case err == nil:
			return response, nil
		case ctx.Err() != nil, try == 2:
		case errors.Is(err, upstream.ErrUnreachable), method.OnlyReads(p.message.Method):
			continue
		}
		if errors.Is(err, errUnknown) && p.method.Makes != "" {
			p.session.Spoil(err) // it may have made something
		}
		return nil, err
	}
}

// edits returns the changes of the request: ids and keys of the client become those of the upstream.
func (p *passage) edits() []message.Edit {
	m := p.message
	var edits []message.Edit
	add := func(place message.Place, with string) {
		if with != place.Text {
			edits = append(edits, message.Edit{Place: place, With: with})
		}
	}
	if m.Cookie.Text != "" {
		add(m.Cookie, p.session.Cookie().Reveal())
	}
	switch {
	case p.reader != "":
		add(m.This, p.reader)
	case p.on != nil:
		add(m.This, p.on.Real)
	default:
		if with, ok := message.Translate(m.This.Text, p.realOf); ok {
			add(m.This, with)
		}
	}
	for _, place := range m.IDs {
		if with, ok := message.Translate(place.Text, p.realOf); ok {
			add(place, with)
		}
	}
	if p.method.Session && m.Session.Text == p.live.Key().String() {
		add(m.Session, p.session.Key().Reveal())
	}
	if p.named {
		if e, ok := m.Name(p.operation); ok {
			edits = append(edits, e)
		}
	}
	if p.retrieval != nil {
		edits = append(edits, p.retrieval.edits...)
	}
	slices.SortFunc(edits, func(a, b message.Edit) int { return cmp.Or(a.Begin-b.Begin, b.End-a.End) })
	end := 0
	return slices.DeleteFunc(edits, func(e message.Edit) bool {
		inside := e.Begin < end // of a part that is left out
		end = max(end, e.End)
		return inside
	})
}

// maxFault is the largest fault that is read as a whole, and maxMade the largest answer of a method that makes
// something, in bytes.
const (
	maxFault = 1 << 20
	maxMade  = 4 << 20
)

// judge looks for signs that the upstream session is gone, and notes what the call has made or destroyed.
func (p *passage) judge(ctx context.Context, response *http.Response) (*Answer, error) {
	switch {
	case hop.Encoded(response.Header):
		_ = response.Body.Close() // nothing is read from it
		return nil, fmt.Errorf("%w: the answer has an encoding that was not asked for", errUnknown)
	case response.StatusCode == http.StatusOK && p.method.Makes != "":
		return p.made(ctx, response)
	case response.StatusCode == http.StatusOK && p.method.Ticket:
		raw, err := hop.All(response, maxFault)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUnknown, err)
		}
		return p.whole(response, p.ticket(raw))
	case response.StatusCode == http.StatusOK:
		if p.method.Destroys && p.on != nil {
			p.table.Remove(p.on)
		}
		return p.passed(ctx, response)
	}
	raw, err := hop.All(response, maxFault)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if err := p.sign(ctx, response.StatusCode, raw); err != nil {
		return nil, err
	}
	return p.whole(response, raw)
}

// sign returns an error if a fault is a sign that the upstream session is gone.
func (p *passage) sign(ctx context.Context, status int, raw []byte) error {
	fault := message.ReadFault(raw)
	switch {
	case fault.Kind == "NotAuthenticated" || status == http.StatusUnauthorized:
		if p.session.Probe(ctx) {
			if p.doubted || fault.Kind != "NotAuthenticated" {
				return nil // it means something else
			}
			// A server that ends a session while it serves calls on it can know the session again a moment later.
			p.doubted = true
			return errDoubt
		}
	case fault.Kind == "ManagedObjectNotFound" && fault.Object != "" && fault.Object == p.reader:
		p.session.Lost(fmt.Errorf("a collector of vigate's own is gone: %s", fault.Kind))
	case fault.Kind == "ManagedObjectNotFound":
		o := p.table.FindReal(p.live, fault.Object)
		if o == nil {
			return nil
		}
		if p.session.Probe(ctx) {
			p.table.Remove(o)
			return nil
		}
	default:
		return nil
	}
	return p.orphaned(upstream.ErrGone)
}

// made registers what a call has made.
func (p *passage) made(ctx context.Context, response *http.Response) (*Answer, error) {
	raw, err := hop.All(response, maxMade)
	if err != nil {
		p.session.Spoil(err)
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	for _, ref := range message.Returned(raw) {
		o := object{Type: ref.Type, Real: ref.ID}
		if p.message.Method == "CreateFilter" {
			o.Parent = p.on
		}
		if _, err := p.table.Add(p.live, o); err != nil {
			p.cleaner.destroy(p.session, &o)
			return nil, p.orphaned(err)
		}
	}
	return p.whole(response, raw)
}
