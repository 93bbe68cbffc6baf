// Package gateway serves the calls of a front. It serves calls about the client's own session itself, and passes the
// others on to the upstream server, in a session that vigate has there.
//
// A [Front] reads a request once and decides who answers it. The front itself has the SessionManager. Public facts
// about the upstream are answered from memory. Every other call needs a session of the front, which decides the
// account at the upstream. The call is passed on with the ids of objects translated, and its answer is streamed back
// with the ids translated again. Package message changes the bytes, package owned knows which client owns which
// object, and package upstream holds the sessions.
//
// If an upstream session turns out to be gone, the upstream has not executed the call, so the call is repeated in
// another session. Only a client that owned objects of the lost session has to log in again.
package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/gateway/answer"
	"github.com/vigate/vigate/internal/gateway/hop"
	"github.com/vigate/vigate/internal/gateway/message"
	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/gateway/owned"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
)

// Options are the surroundings of a Front. All but Links, End and Logger are required.
type Options struct {
	// API is the API of the front. It has the SessionManager under the id that the upstream's has, and a
	// PropertyCollector, with which the properties of SessionManager are read.
	API      *vim.API
	Upstream *upstream.Upstream
	// Choose returns the account with which a session of the front acts at the upstream. Its error is a
	// *vim.Fault or one that vim.FaultOf maps.
	Choose func(*session.Live) (*upstream.Account, error)
	// Local is the SOAP binding of API, and Fault writes a fault as that does.
	Local http.Handler
	Fault func(http.ResponseWriter, *vim.Call, *vim.Fault)
	// Bodies bounds the memory of requests.
	Bodies *binding.Bodies
	// End ends a session of the front, because what it owned at the upstream is gone.
	End func(context.Context, *session.Live) error
	// Links rewrites the URLs of the upstream. If nil, they stay.
	Links Links
	// Thumbprint returns the SHA-1 of the front's certificate as AA:BB:…. It may be nil.
	Thumbprint func() string
	Logger     *slog.Logger // if nil, slog.Default
}

// Links rewrites URLs, for the client of a call: it may know the front by several names.
type Links interface {
	// Answer makes the URLs of the upstream those of the front, and Text does the same for a whole text.
	Answer(*vim.Call, io.Reader) io.Reader
	Text(*vim.Call, []byte) []byte
	// Request makes the URLs of the front those of the upstream.
	Request(*vim.Call, []byte) []byte
	// Address returns the URL of the front, without a path. It is nil if the client does not say under which name
	// it knows the front.
	Address(*vim.Call) *url.URL
}

// Front passes the calls of its clients on to an upstream. It is safe for concurrent use.
type Front struct {
	Options
	table    *owned.Table[*upstream.Session]
	cleaner  cleaner
	buffers  sync.Pool // of *buffers
	keys     answer.Keys
	privates privates
}

type object = owned.Object[*upstream.Session]

// New creates a Front.
func New(o Options) *Front {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	f := &Front{Options: o}
	f.cleaner.front = f
	f.table = owned.New(owned.Hooks[*upstream.Session]{Registry: o.API, Ended: f.cleaner.sessionEnded, Lost: f.lost})
	go f.drain()
	return f
}

// drain ends the waits when the server shuts down.
func (f *Front) drain() {
	<-f.API.Draining()
	f.table.StopWaits(errDraining)
}

// lost ends a session of the front whose upstream session is gone with what it owned there.
func (f *Front) lost(l *session.Live) {
	if f.End == nil {
		return
	}
	if err := f.End(context.Background(), l); err != nil && !errors.Is(err, session.ErrNoSession) {
		f.Logger.Error("a session whose objects at the upstream are gone can't be ended",
			slog.String("session", l.Key().String()), slog.Any("err", err))
	}
}

// Owned returns how many objects of the upstream client sessions own, and how many sessions own some.
func (f *Front) Owned() (objects, sessions int) { return f.table.Owned() }

// OnSession returns the upstream session on which a session of the front owns something, or nil.
func (f *Front) OnSession(l *session.Live) *upstream.Session {
	s, _ := f.table.Session(l)
	return s
}

// way is the name of the binding in logs.
const way = "front"

// maxName and maxID are the longest name of a method or a type, and the longest id, in bytes.
const (
	maxName = 128
	maxID   = 1024
)

// maxBody is the largest request that is passed on, in bytes.
const maxBody = 64 << 20

// ServeHTTP serves a SOAP request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		f.Local.ServeHTTP(w, r) // it refuses the method
		return
	}
	c, foreign := binding.NewCall(r, way, httptoken.Cookie)
	call := &Call{VIM: &c, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header}
	if foreign {
		f.refuse(w, r, call, vim.InvalidRequest("a page of another origin may not use this server"))
		return
	}
	body, err := f.Bodies.Read(w, r, maxBody)
	defer body.Free()
	if err != nil {
		f.refuse(w, r, call, bodyFault(err))
		return
	}
	call.Body = body.Bytes
	m, fault := f.read(r.Context(), call)
	if fault != nil {
		f.refuse(w, r, call, fault)
		return
	}
	about := isSDK(call.Path) && f.aboutSession(m)
	if about {
		// The collector of the front's API may have another id than the upstream's.
		id := f.API.Object(method.Collector).ID
		call.Body = m.Append(nil, []message.Edit{{Place: m.This, With: id}})
	}
	if about || f.local(r.Context(), call, m) {
		again := *r
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(call.Body)), int64(len(call.Body))
		f.Local.ServeHTTP(w, &again)
		return
	}
	a, fault := f.answer(r.Context(), call, m)
	if fault != nil {
		f.Fault(w, &c, fault)
		return
	}
	a.send(w)
}

// refuse answers a request that makes no call.
func (f *Front) refuse(w http.ResponseWriter, r *http.Request, c *Call, fault *vim.Fault) {
	f.API.Refuse(r.Context(), c.VIM, fault)
	f.Fault(w, c.VIM, fault)
}

// Call is a SOAP request to pass on.
type Call struct {
	// VIM is the call as the front's API sees it. Its object and name are set from the body.
	VIM *vim.Call
	// Path is the path to which the request goes, for example /sdk, and Query the query behind it.
	Path, Query string
	// Header is that of the client's request.
	Header http.Header
	// Body is the envelope in UTF-8. It must not change until the answer is closed.
	Body []byte
}

// Forward passes a request on, for other bindings. The caller must close the answer's body. A request that the
// front serves itself, because it is about the session, is refused with NotSupported.
func (f *Front) Forward(ctx context.Context, c *Call) (*Answer, *vim.Fault) {
	m, fault := f.read(ctx, c)
	if fault != nil {
		return nil, fault
	}
	if f.local(ctx, c, m) {
		return nil, vim.NotSupported("the front serves this itself")
	}
	return f.answer(ctx, c, m)
}

// read reads a request.
func (f *Front) read(ctx context.Context, c *Call) (*message.Message, *vim.Fault) {
	if binding.Encoded(c.Header) || !hop.InUTF8(c.Header) {
		return nil, vim.InvalidRequest("a message must be in UTF-8 and not compressed")
	}
	done, fault := f.API.Decode(ctx, c.VIM, len(c.Body))
	if fault != nil {
		return nil, fault
	}
	defer done()
	c.Body = bytes.TrimPrefix(c.Body, []byte("\xef\xbb\xbf")) // a byte order mark
	m, err := message.Parse(c.Body, message.Watch{Words: ownTypes, Object: f.table.Odd()})
	if err != nil {
		return nil, vim.InvalidRequest(err.Error())
	}
	if len(m.Method) > maxName || len(m.Type) > maxName || len(m.This.Text) > maxID {
		return nil, vim.InvalidRequest("a name is too long") // it would stand in logs and faults
	}
	v := c.VIM
	v.Object = types.ManagedObjectReference{Type: m.Type, Value: m.This.Text}
	v.Name = m.Method
	if m.Cookie.Text != "" && httptoken.Token(c.Header) == "" {
		v.Token = secret.New(m.Cookie.Text)
	}
	c.Query = hop.Query(c.Query, v.Token.Reveal())
	return m, nil
}
