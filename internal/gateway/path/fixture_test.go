package path

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

const (
	token = "0123456789abcdef0123456789abcdef01234567" // of the client session
	// An id of an object as the client and as the upstream know it.
	clientID   = "session[11111111-1111-4111-8111-111111111111]22222222-2222-4222-8222-222222222222"
	upstreamID = "session[33333333-3333-4333-8333-333333333333]44444444-4444-4444-8444-444444444444"
)

// ids are pairs of what the client and the upstream know, as they stand in texts and in URLs.
func ids(key string) []string {
	escape := strings.NewReplacer("[", "%5B", "]", "%5D").Replace
	return []string{clientID, upstreamID, escape(clientID), escape(upstreamID), token, key}
}

// world is a front over an upstream, with a gate that knows one client session.
type world struct {
	*Handler
	t        testing.TB
	upstream *url.URL
	client   http.RoundTripper

	mu       sync.Mutex // guards the fields below
	sessions []*session // those that were opened; the last one serves
	open     func() *session
	pinned   bool
	accesses []Access
	faults   []*vim.Fault // of Done
	renewals int
	over     chan struct{}
}

// session is a session at the upstream that a test opens.
type session struct {
	key, rest string
	dead      func() bool
	gone      chan struct{}
	once      sync.Once
	restErr   error
	restDead  string
	probes    int
}

func (s *session) Authorize(h http.Header) { h.Add("Cookie", `vmware_soap_session="`+s.key+`"`) }
func (s *session) Gone() <-chan struct{}   { return s.gone }

func (s *session) ProbeREST(_ context.Context, id secret.Text) bool {
	s.probes++
	if id.Reveal() != s.restDead {
		return true
	}
	s.rest += "-again"
	return false
}

func (s *session) end() { s.once.Do(func() { close(s.gone) }) }
func (s *session) Probe(context.Context) bool {
	s.probes++
	if s.dead() {
		s.end()
		return false
	}
	return true
}
func (s *session) REST(context.Context) (secret.Text, error) { return secret.New(s.rest), s.restErr }

// newWorld returns a front over the handler.
func newWorld(t testing.TB, upstream http.Handler) *world {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	return newWorldAt(t, server.URL)
}

func newWorldAt(t testing.TB, address string) *world {
	t.Helper()
	u, err := url.Parse(address + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	w := &world{t: t, upstream: u, client: transport, over: make(chan struct{})}
	n := 0
	w.open = func() *session {
		n++
		return &session{key: fmt.Sprintf("upstream-key-%d", n), rest: fmt.Sprintf("rest-id-%d", n),
			dead: func() bool { return false }, gone: make(chan struct{})}
	}
	w.Handler = &Handler{
		Upstream: w, Begin: w.begin, Explain: explain, API: plainAPI{}, Bodies: binding.NewBodies(0),
	}
	return w
}

// plainAPI has texts and a clock.
type plainAPI struct{}

func (plainAPI) MessageLocale(*vim.Call) string { return "en" }
func (plainAPI) Now() time.Time                 { return time.Now() }

func explain(err error) (*vim.Fault, bool) {
	var op interface{ Timeout() bool }
	return vim.Unavailable(err), errors.As(err, &op) && strings.Contains(err.Error(), "refused")
}

func (w *world) URL() *url.URL { u := *w.upstream; return &u }

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) { return w.client.RoundTrip(r) }

// begin admits the client session.
func (w *world) begin(_ context.Context, c *vim.Call, a Access) (Passage, *vim.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accesses = append(w.accesses, a)
	if c.Token.Reveal() != token {
		return nil, vim.NotAuthenticated(c.Object, vim.View)
	}
	if len(w.sessions) == 0 {
		w.sessions = append(w.sessions, w.open())
	}
	return &passage{w: w, call: c}, nil
}

// passage is an admitted request.
type passage struct {
	w    *world
	call *vim.Call
}

func (p *passage) session() *session {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.w.sessions[len(p.w.sessions)-1]
}

func (p *passage) Session() Session { return p.session() }

func (p *passage) Renew(context.Context) *vim.Fault {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.renewals++
	if p.w.pinned {
		return vim.NotAuthenticated(p.call.Object, vim.View)
	}
	p.w.sessions = append(p.w.sessions, p.w.open())
	return nil
}

func (p *passage) Ask(text string) (string, bool) {
	if strings.Contains(text, "99999999") {
		return "", false
	}
	return strings.NewReplacer(ids(p.session().key)...).Replace(text), true
}

func (p *passage) AskQuery(query string) (string, bool) { return p.Ask(query) }

func (p *passage) AskBody(text string, _ bool) (string, *vim.Fault) {
	text, ok := p.Ask(text)
	if !ok {
		return "", vim.ObjectNotFound(p.call.Object)
	}
	return text, nil
}

func (p *passage) Tell(text string) string {
	all := ids(p.session().key)
	for i := 0; i < len(all); i += 2 {
		all[i], all[i+1] = all[i+1], all[i]
	}
	return strings.NewReplacer(all...).Replace(text)
}

func (p *passage) Answer(r io.Reader) io.Reader {
	b, err := io.ReadAll(r)
	if err != nil {
		return io.MultiReader(strings.NewReader(p.Tell(string(b))), errReader{err})
	}
	return strings.NewReader(p.Tell(string(b)))
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func (p *passage) Release()              {}
func (p *passage) Over() <-chan struct{} { return p.w.over }

func (p *passage) Done(f *vim.Fault) *vim.Fault {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.faults = append(p.w.faults, f)
	return f
}

// front serves the world over HTTP.
func (w *world) front() *httptest.Server {
	s := httptest.NewServer(w)
	w.t.Cleanup(s.Close)
	return s
}

// do sends a request to the front with the client session.
func (w *world) do(method, target, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	s := httptest.NewServer(w)
	defer s.Close() // after it the request is over
	header = append([]string{"Cookie", `vmware_soap_session="` + token + `"`}, header...)
	return w.ask(s.URL, method, target, body, header...)
}

// ask sends a request. Pairs of header replace each other.
func (w *world) ask(address, method, target, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, address+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := w.client.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(b)
}
