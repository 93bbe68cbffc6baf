package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// stage is a front before a double of a simulator.
type stage struct {
	*lab.Server
	t      *testing.T
	double *double
	at     address
	direct *govmomi.Client // of an administrator of the simulator

	mu    sync.Mutex // guards leaks
	leaks map[string]bool
}

// newStage makes a stage. edit changes the configuration of the front.
func newStage(t *testing.T, kind lab.Kind, edit func(*settings.Config)) *stage {
	t.Helper()
	return newStageWith(t, kind, lab.Options{}, edit)
}

// newStageWith does the same with options.
func newStageWith(t *testing.T, kind lab.Kind, o lab.Options, edit func(*settings.Config)) *stage {
	t.Helper()
	s := &stage{t: t, leaks: map[string]bool{}}
	m, err := model(kind)
	must(t, err)
	o.AdminPassword, o.Inventory = secret.New(adminPassword), &m
	o.Front = func(c *settings.Config) {
		s.double = newDouble(t, c.URL)
		c.URL, c.Thumbprint = "http://"+s.double.address+"/sdk", ""
		edit(c)
	}
	s.Server, err = lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.at = address{s.Front().String(), lab.Administrator, adminPassword}
	i := s.Inventory()
	s.direct, err = connect(t.Context(), "https://"+i.URL.Host, url.UserPassword(i.User, i.Password.Reveal()), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// close ends the stage. No client may have got a secret of an upstream session.
func (s *stage) close() {
	if err := s.Close(); err != nil {
		s.t.Errorf("end the server: %v", err)
	}
	for leak := range s.leaks {
		s.t.Errorf("a client got a secret of an upstream session: %s", leak)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// connect logs in with govmomi, if there is a user. around, if not nil, wraps the transport.
func connect(ctx context.Context, at string, user *url.Userinfo, around func(http.RoundTripper) http.RoundTripper) (
	*govmomi.Client, error) {
	u, err := url.Parse(at + "/sdk")
	if err != nil {
		return nil, err
	}
	transport := soap.NewClient(u, true)
	inner := transport.DefaultTransport()
	inner.MaxIdleConnsPerHost = 4
	if around != nil {
		transport.Transport = around(inner)
	}
	api, err := vim25.NewClient(ctx, transport)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", at, err)
	}
	c := &govmomi.Client{Client: api, SessionManager: session.NewManager(api)}
	if user != nil {
		err = c.Login(ctx, user)
	}
	return c, err
}

// connect logs a user in at the front.
func (s *stage) connect(user, password string) (*govmomi.Client, error) {
	return connect(s.t.Context(), "https://"+s.at.Host, url.UserPassword(user, password),
		func(next http.RoundTripper) http.RoundTripper { return watched{next, s} })
}

// othersAt returns the keys of all sessions at a server but the client's own.
func othersAt(ctx context.Context, c *govmomi.Client) ([]string, error) {
	var m mo.SessionManager
	err := property.DefaultCollector(c.Client).RetrieveOne(ctx, *c.ServiceContent.SessionManager,
		[]string{"sessionList", "currentSession"}, &m)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, one := range m.SessionList {
		if one.Key != m.CurrentSession.Key {
			keys = append(keys, one.Key)
		}
	}
	return keys, nil
}

// watched is a transport that looks for secrets of the upstream in all that comes back.
type watched struct {
	next http.RoundTripper
	s    *stage
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	var header strings.Builder
	if err := a.Header.Write(&header); err != nil {
		return nil, err
	}
	w.s.look([]byte(header.String()))
	if body, ok := a.Body.(io.ReadWriteCloser); ok { // a tunnel
		a.Body = struct {
			io.Writer
			io.ReadCloser
		}{body, &watchedBody{ReadCloser: body, s: w.s}}
		return a, nil
	}
	a.Body = &watchedBody{ReadCloser: a.Body, s: w.s}
	return a, nil
}

type watchedBody struct {
	io.ReadCloser
	s    *stage
	last []byte // what came before, if a secret can have begun in it
}

// longest is the most bytes that a secret may have.
const longest = 256

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.last = append(b.last, p[:n]...)
	b.s.look(b.last)
	b.last = b.last[max(0, len(b.last)-longest):]
	return n, err
}

func (s *stage) look(b []byte) {
	if secret := s.double.leaked(b); secret != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leaks[secret] = true
	}
}

// isFault reports whether the error is the fault T.
func isFault[T any](err error) bool {
	if !soap.IsSoapFault(err) {
		return false
	}
	_, is := soap.ToSoapFault(err).VimFault().(T)
	return is
}
