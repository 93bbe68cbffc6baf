package gateway

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// Access says what a request does that is no call at /sdk.
type Access struct {
	// Prefix is that of the path's service, for the methods of the account, and Path the whole path.
	Prefix, Path string
	// Changes means that the request may change something, and Waits that it stays open for long.
	Changes, Waits bool
}

// Visit is a request to another path of the upstream that the front has admitted. It uses the session of the
// upstream on which the client owns something, if there is one.
type Visit struct{ p *passage }

// Begin admits a request to another path. The call has the token, and a name for the log. The caller must call
// Done.
func (f *Front) Begin(ctx context.Context, c *vim.Call, a Access) (*Visit, *vim.Fault) {
	p := &passage{Front: f, call: &Call{VIM: c, Path: a.Prefix}, method: method.Method{Quiet: true}}
	ad, fault := f.API.Admit(ctx, c, vim.Foreign{
		Privilege: vim.View, OwnSession: true, Audited: a.Changes, Waits: a.Waits, Measured: "upstream path",
	})
	if fault != nil {
		return nil, fault
	}
	p.admission, p.live = ad, c.Session
	v := &Visit{p: p}
	if a.Waits {
		done, err := f.Upstream.BeginWait(ctx)
		if err != nil {
			return nil, ad.Done(p.faultOf(err))
		}
		p.endWait = done
	}
	if fault := p.allowedAs(a.Prefix, a.Path); fault != nil {
		p.leave()
		return nil, ad.Done(fault)
	}
	if err := p.attach(ctx, false); err != nil {
		fault := p.faultOf(err)
		if errors.Is(err, errLost) {
			fault = v.Renew(ctx)
		}
		if fault != nil {
			p.leave()
			return nil, ad.Done(fault)
		}
	}
	return v, nil
}

// Session returns the session of the upstream that serves the request.
func (v *Visit) Session() *upstream.Session { return v.p.session }

// Renew takes another session, because the one before has ended. It fails if the client owned something there.
func (v *Visit) Renew(ctx context.Context) *vim.Fault {
	v.p.detach()
	err := v.p.attach(ctx, false)
	for try := 1; errors.Is(err, errLost) && try < attempts; try++ {
		err = v.p.attach(ctx, false)
	}
	if err != nil {
		return v.p.faultOf(err)
	}
	return nil
}

// Ask translates the ids of a request. ok is false if one is not the client's.
//
// The key of the client's session stays: a body or a path may be stored, and others could read the upstream's key
// in its place.
func (v *Visit) Ask(text string) (_ string, ok bool) { return message.Translate(text, v.p.realOf) }

// AskQuery does the same for the query of a URL. A value that is the key of the client's session becomes the
// upstream's: so guest operations pass their token.
func (v *Visit) AskQuery(query string) (_ string, ok bool) {
	if query, ok = v.Ask(query); !ok {
		return "", false
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, value, _ := strings.Cut(part, "="); value == v.p.live.Key().String() {
			parts[i] = name + "=" + v.p.session.Key().Reveal()
		}
	}
	return strings.Join(parts, "&"), true
}

// AskBody does the same for a body. In a message of SOAP, the header vcSessionCookie becomes the cookie of the
// upstream's session: services beside the SDK know the session by it.
func (v *Visit) AskBody(text string) (_ string, ok bool) {
	m, err := message.Parse([]byte(text), nil)
	if err == nil && m.Cookie.Text != "" { // any other body passes as it is
		text = string(m.Append(nil, []message.Edit{{Place: m.Cookie, With: v.p.session.Cookie().Reveal()}}))
	}
	return v.Ask(text)
}

// Tell translates the ids of an answer, and removes the keys of sessions.
func (v *Visit) Tell(text string) string {
	set := v.p.patterns.of(v.p.Upstream.Secrets())
	return string(set.table.Append(nil, []byte(text), &replacer{v.p, set}))
}

// Answer does the same for a body.
func (v *Visit) Answer(source io.Reader) io.Reader {
	set := v.p.patterns.of(v.p.Upstream.Secrets())
	s := new(message.Stream)
	s.Reset(set.table, &replacer{v.p, set}, source)
	return s
}

// Release gives up the place among the requests in flight, but not that among the waits.
func (v *Visit) Release() { v.p.detach() }

// Over returns a channel that is closed when the client session ends.
func (v *Visit) Over() <-chan struct{} { return v.p.live.Done() }

// Done ends the request. It returns the fault to answer with.
func (v *Visit) Done(fault *vim.Fault) *vim.Fault {
	v.p.leave()
	return v.p.admission.Done(fault)
}

// Explain returns the fault for an error of the upstream. unsent means that it got nothing, so that the request
// can be sent once more.
func (f *Front) Explain(err error) (_ *vim.Fault, unsent bool) {
	return f.faultOf(err), errors.Is(err, upstream.ErrUnreachable)
}
