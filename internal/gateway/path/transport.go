package path

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
)

// errAnswered ends an exchange whose fault is known.
var errAnswered = errors.New("the upstream was not asked")

// RoundTrip implements http.RoundTripper: it sends the request with the credentials of the session, and once
// more if that is lost.
func (x *exchange) RoundTrip(out *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		res, err := x.send(out)
		again, fault := x.judge(out.Context(), res, err, attempt)
		if !again {
			if fault != nil {
				x.fault, err = fault, errAnswered
			}
			if err != nil && res != nil {
				discard(res)
				res = nil
			}
			return res, err
		}
		if res != nil {
			discard(res)
		}
	}
}

// discard ends an answer that nobody wants.
func discard(res *http.Response) {
	// A short rest is read, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	_ = res.Body.Close()
}

// send sends the request on the present session.
func (x *exchange) send(out *http.Request) (*http.Response, error) {
	req := out.Clone(plain{out.Context()})
	if err := x.authorize(req); err != nil {
		return nil, err
	}
	if err := x.translate(req); err != nil {
		return nil, err
	}
	res, err := x.h.Upstream.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("pass on %s: %w", x.service.prefix, err)
	}
	// The transport sets the trailers of its own answer: those of the copy stay empty.
	kept := *res
	kept.Trailer = nil
	return &kept, nil
}

// plain is a context without values. The proxy sends what it hears through a value: answers that come before the
// answer, with headers that nobody has cleaned.
type plain struct{ context.Context }

// Value implements context.Context.
func (plain) Value(any) any { return nil }

// authorize adds the credentials of the present session.
func (x *exchange) authorize(req *http.Request) error {
	if x.passage == nil {
		return nil
	}
	s := x.passage.Session()
	s.Authorize(req.Header)
	if !x.usesREST() {
		return nil
	}
	id, err := s.REST(req.Context())
	if err != nil {
		return err
	}
	x.rest = id
	if !id.IsZero() {
		req.Header.Set(httptoken.Header, id.Reveal())
	}
	return nil
}

// usesREST reports whether the request needs the session of the Automation API. Transfers of the content
// library are authorised by either.
func (x *exchange) usesREST() bool {
	return x.service.way == automation || below(x.service.prefix, "/rest")
}

// translate sets the path, the query and the body, with the ids of the upstream.
func (x *exchange) translate(req *http.Request) error {
	path, query, ok := x.path, hop.Query(x.r.URL.RawQuery, x.call.Token.Reveal()), true
	if x.passage != nil {
		var okQuery bool
		path, ok = x.passage.Ask(path)
		query, okQuery = x.passage.AskQuery(query)
		ok = ok && okQuery
	}
	if !ok {
		x.fault = vim.ObjectNotFound(x.call.Object)
		return errAnswered
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return fmt.Errorf("read path: %w", err)
	}
	if hop.Carries(decoded, x.call.Token.Reveal()) {
		x.fault = vim.InvalidRequest(forFront)
		return errAnswered
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = decoded, path, query
	if !x.whole {
		return nil
	}
	b := x.body.Bytes
	if x.credential != nil {
		b = x.credential.replace(b, x.rest)
	}
	if len(b) > 0 && x.asksMessage() {
		text := x.toUpstream.Text(string(b))
		if text, x.fault = x.askBody(text); x.fault != nil {
			return errAnswered
		}
		b = []byte(text)
	}
	req.ContentLength = int64(len(b))
	req.Header.Del("Content-Length")
	req.TransferEncoding = nil
	if len(b) == 0 {
		req.Body = http.NoBody
		return nil
	}
	req.Body = bodyOf(b)
	req.GetBody = func() (io.ReadCloser, error) { return bodyOf(b), nil }
	return nil
}

// askBody returns a message as the upstream gets it.
func (x *exchange) askBody(text string) (string, *vim.Fault) {
	if x.passage != nil {
		return x.passage.AskBody(text, x.service.soap)
	}
	if hop.Carries(text, x.call.Token.Reveal()) {
		return "", vim.InvalidRequest(forFront)
	}
	return text, nil
}

// forFront is the reason for refusing a request that has the token in a place where a front does not look for it.
const forFront = "the token of a session is for the front alone"

// judge decides whether the request is sent once more. If not, the fault is the reason why there is
// no answer.
func (x *exchange) judge(
	ctx context.Context, res *http.Response, err error, attempt int,
) (again bool, _ *vim.Fault) {
	switch {
	case errors.Is(err, errAnswered):
		return false, x.fault
	case err != nil:
		fault, unsent := x.h.Explain(err)
		switch {
		case !unsent || x.unsent || !x.whole || ctx.Err() != nil:
			return false, x.outcome(ctx, fault)
		case x.passage != nil && isClosed(x.passage.Session().Gone()):
			return x.renew(ctx)
		}
		x.unsent = true
		return true, nil
	case res.StatusCode != http.StatusUnauthorized || x.passage == nil:
		return false, nil
	}
	s := x.passage.Session()
	lost := !s.Probe(ctx)
	switch {
	case !lost && (!x.usesREST() || s.ProbeREST(ctx, x.rest)):
		return false, nil // the upstream means something else
	case attempt == attempts || !x.whole:
		// Nothing was done, but the body is gone.
		return false, vim.Unavailable(errLost)
	case lost:
		return x.renew(ctx)
	}
	return true, nil
}

// attempts is how often a request is sent, if each time its session turns out to be lost. If an upstream ends all its
// sessions, the next session that is tried has ended as well, and so have the sessions of the Automation API.
const attempts = 8

var errLost = errors.New("the session at the upstream was lost")

// renew takes another session.
func (x *exchange) renew(ctx context.Context) (again bool, _ *vim.Fault) {
	if fault := x.passage.Renew(ctx); fault != nil {
		return false, fault
	}
	return true, nil
}

// outcome returns the fault of a request that got no answer: the given one, or that the client session has
// ended, which cancels its requests.
func (x *exchange) outcome(ctx context.Context, fault *vim.Fault) *vim.Fault {
	if ctx.Err() != nil && x.passage != nil && isClosed(x.passage.Over()) {
		return vim.NotAuthenticated(x.call.Object, vim.View)
	}
	return fault
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// modify changes the answer before it is passed on.
func (x *exchange) modify(res *http.Response) error {
	switching := res.StatusCode == http.StatusSwitchingProtocols
	for name, values := range res.Header {
		if hop.Kept(name) && !(switching && (name == "Connection" || name == "Upgrade")) && name != "Content-Length" {
			delete(res.Header, name)
			continue
		}
		for i, v := range values {
			res.Header[name][i] = x.tell(v)
		}
	}
	if switching {
		x.passage.Release()
		return nil
	}
	sandbox(res.Header)
	if !x.isMessage(res.Header) {
		return nil
	}
	if hop.Encoded(res.Header) {
		return fmt.Errorf("pass on %s: the answer has an encoding that was not asked for", x.service.prefix)
	}
	res.Header.Del("Content-Length")
	res.ContentLength = -1
	if x.r.Method == http.MethodHead {
		return nil
	}
	body := x.toFront.Reader(res.Body)
	if x.passage != nil {
		body = x.passage.Answer(body)
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{body, res.Body}
	return nil
}

// sandbox keeps a browser from running what the upstream has sent, such as a file of a datastore, as a page of the
// front, which has a console.
func sandbox(h http.Header) { h.Add("Content-Security-Policy", "sandbox allow-downloads") }

// tell translates the value of a header for the client.
func (x *exchange) tell(v string) string {
	if x.service.sealed {
		return v
	}
	v = x.toFront.Text(v)
	if x.passage != nil {
		v = x.passage.Tell(v)
	}
	return v
}

// failed answers a request that got no answer of the upstream.
func (x *exchange) failed(_ http.ResponseWriter, r *http.Request, err error) {
	fault := x.fault
	if fault == nil {
		fault, _ = x.h.Explain(err)
		fault = x.outcome(r.Context(), fault)
	}
	x.refuseLate(fault)
}
