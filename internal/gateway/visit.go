package gateway

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// Access is the effect of a request that is not a call at /sdk.
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
	p := &passage{
		Front: f, call: &Call{VIM: c, Path: a.Prefix}, method: method.Method{Quiet: true}, audited: a.Changes,
	}
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

// guestFiles is the prefix of the transfers of guest operations, and guestToken what authorises one: the key of
// the session.
const guestFiles, guestToken = "/guestFile", "token"

// AskQuery does the same for the query of a URL. The token of a guest operation becomes the key of the upstream's
// session if it is that of the client's.
func (v *Visit) AskQuery(query string) (_ string, ok bool) {
	if query, ok = v.Ask(query); !ok || v.p.call.Path != guestFiles {
		return query, ok
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, value, _ := strings.Cut(part, "="); name == guestToken && value == v.p.live.Key().String() {
			parts[i] = name + "=" + v.p.session.Key().Reveal()
		}
	}
	return strings.Join(parts, "&"), true
}

// AskBody does the same for a body. In a message of SOAP, the header vcSessionCookie becomes the cookie of the
// upstream's session: services beside the SDK know the session by it. A body with the client's token elsewhere is
// refused. If strict is set, XML that is not a message is refused as well, because the token could be hidden in it.
func (v *Visit) AskBody(text string, strict bool) (string, *vim.Fault) {
	c := v.p.call.VIM
	m, err := message.Parse([]byte(text), message.Watch{Object: v.p.table.Odd()})
	switch {
	case err == nil && v.p.foreign(m):
		return "", vim.ObjectNotFound(c.Object)
	case err == nil && m.Cookie.Text != "":
		text = string(m.Append(nil, []message.Edit{{Place: m.Cookie, With: v.p.session.Cookie().Reveal()}}))
	case err != nil && strict && !isJSON(text):
		return "", vim.InvalidRequest(err.Error())
	}
	if hop.Carries(text, c.Token.Reveal()) {
		return "", vim.InvalidRequest("the token of a session is for the front alone")
	}
	text, ok := v.Ask(text)
	if !ok {
		return "", vim.ObjectNotFound(c.Object)
	}
	return text, nil
}

// isJSON reports whether a text begins as an object or a list of JSON does, which no XML does.
func isJSON(text string) bool {
	text = strings.TrimLeft(text, " \t\r\n")
	return text == "" || text[0] == '{' || text[0] == '['
}

// Tell translates the ids of an answer, and removes the keys of sessions.
func (v *Visit) Tell(text string) string {
	return v.p.set().Value(v.p, text)
}

// Answer does the same for a body.
func (v *Visit) Answer(source io.Reader) io.Reader {
	s := new(message.Stream)
	v.p.set().Begin(s, v.p, source)
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
