package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	contentTime  = 10 * time.Second // of one retrieval
	contentRetry = time.Second      // after a retrieval that failed
	contentAge   = 10 * time.Minute // then it is retrieved again: the server may have been upgraded
)

// Server is one server: the way to it, what it says about itself, and whether it can be reached. It is
// safe for concurrent use.
type Server struct {
	opts      ServerOptions
	transport *Transport
	content   atomic.Pointer[Content]
	turn      chan struct{} // full while somebody asks for the content
	finding   chan struct{} // full while somebody finds out about the Automation API
	good      atomic.Bool   // known and without a cause, for a cheap check

	mu         sync.Mutex // guards the fields below
	asked      time.Time  // when the content was retrieved last
	fail       error      // of that retrieval
	known      bool       // whether the server can be reached
	cause      error      // why it can't be
	since      time.Time  // of the last change of that
	automation *Automation
}

// ServerOptions are the surroundings of a Server. All fields are optional.
type ServerOptions struct {
	UserAgent string // of vigate's own calls
	// Dial connects to the server. nil: by TCP
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Ended is called when nobody listens at the server's address. nil: nobody is told
	Ended  func()
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// Open returns the server at a URL. It reads the file of authorities, but sends nothing.
func Open(u *url.URL, trust Trust, o ServerOptions) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ended == nil {
		o.Ended = func() {}
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	s := &Server{opts: o, turn: make(chan struct{}, 1), finding: make(chan struct{}, 1)}
	var err error
	s.transport, err = newTransport(u, trust, options{dial: o.Dial, seen: func(err error) {
		if err != nil || s.content.Load() != nil {
			s.seen(err)
		}
	}})
	return s, err
}

// URL returns the URL of the SDK.
func (s *Server) URL() *url.URL { return s.transport.URL() }

// RoundTrip is that of the Transport.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) { return s.transport.RoundTrip(r) }

// Close closes the connections that serve no request.
func (s *Server) Close() { s.transport.Close() }

// Client returns a client for calls on a session, or without one if the cookie is zero.
func (s *Server) Client(cookie Cookie) *Client {
	c := &Client{Transport: s.transport, UserAgent: s.opts.UserAgent, Cookie: cookie}
	if content := s.content.Load(); content != nil {
		c.Version = content.Version()
	}
	return c
}

// Fresh returns the same for calls whose outcome must be known, see Client.Fresh.
func (s *Server) Fresh(cookie Cookie) *Client {
	c := s.Client(cookie)
	c.Fresh = true
	return c
}

// Known returns the content, or nil if the server has never answered.
func (s *Server) Known() *Content { return s.content.Load() }

// Content returns what the server says about itself. It asks the server only if it has never answered: one request at
// a time, and at most one a second for all callers. An error wraps ErrUnreachable.
func (s *Server) Content(ctx context.Context) (*Content, error) {
	if c := s.content.Load(); c != nil {
		return c, nil
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("retrieve service content: %w", ctx.Err())
	}
	defer func() { <-s.turn }()
	if c := s.content.Load(); c != nil {
		return c, nil
	}
	if at, err := s.last(); err != nil && s.opts.Now().Sub(at) < contentRetry {
		return nil, err
	}
	return s.retrieve()
}

// Ask asks the server even if the answer is known, and does not keep the new answer.
func (s *Server) Ask(ctx context.Context) (*Content, error) {
	return retrieveContent(ctx, s.transport, s.opts.UserAgent)
}

// last returns the time and the error of the last retrieval.
func (s *Server) last() (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.fail
}

// retrieve asks the server. The caller has the turn. Its own context does not count: others need the
// answer as well.
func (s *Server) retrieve() (*Content, error) {
	ctx, cancel := context.WithTimeout(context.Background(), contentTime)
	defer cancel()
	c, err := retrieveContent(ctx, s.transport, s.opts.UserAgent)
	if err != nil && !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err) // whoever it is, it is no upstream
	}
	s.mu.Lock()
	s.asked, s.fail = s.opts.Now(), err
	if err == nil {
		if old := s.content.Load(); old != nil && old.About != c.About {
			s.automation = nil // another version of the server may have another
		}
		s.content.Store(c)
	}
	s.mu.Unlock()
	s.seen(err)
	return c, err
}

// Refresh retrieves the content again if it is time to.
func (s *Server) Refresh() {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return
	}
	at, err := s.last()
	wait := contentAge
	if err != nil || s.Ready() != nil {
		wait = contentRetry
	}
	if at.IsZero() || s.opts.Now().Sub(at) >= wait {
		_, _ = s.retrieve() // Ready says what went wrong
	}
}

// Doubt makes the next Refresh ask the server, whenever it was asked last.
func (s *Server) Doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Time{}
}

// seen notes whether the server could be reached: err is nil if it answered. A change is logged.
func (s *Server) seen(err error) {
	if err == nil && s.good.Load() {
		return
	}
	s.mu.Lock()
	changed := !s.known || (err == nil) != (s.cause == nil)
	lost := s.known && s.cause == nil
	s.known, s.cause = true, err
	if changed {
		s.since = s.opts.Now()
	}
	s.good.Store(err == nil)
	s.mu.Unlock()
	if errors.Is(err, ErrRefused) {
		s.opts.Ended()
	}
	switch {
	case !changed:
	case err == nil:
		s.opts.Logger.Info("the upstream can be reached", "url", s.URL().String())
	case lost:
		s.opts.Logger.Warn("the upstream can't be reached any more", "url", s.URL().String(), "err", err)
	default:
		s.opts.Logger.Warn("the upstream can't be reached", "url", s.URL().String(), "err", err)
	}
}

// Ready returns an error that wraps ErrUnreachable while the server can't be reached, or has not been
// tried yet.
func (s *Server) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.known:
		return fmt.Errorf("%w: it was not tried yet", ErrUnreachable)
	case s.cause != nil:
		return s.cause
	}
	return nil
}

// Since returns when the result of Ready changed last; zero if the server was not tried yet.
func (s *Server) Since() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// Automation finds out, once, what Automation API the server has, by means of a session. alive reports
// whether that session is still there: the API may have refused one that has ended. An error wraps
// ErrUnreachable, or is ErrEnded if the session has ended.
func (s *Server) Automation(ctx context.Context, cookie Cookie, alive func() bool) (Automation, error) {
	select {
	case s.finding <- struct{}{}:
	case <-ctx.Done():
		return Automation{}, ctx.Err()
	}
	defer func() { <-s.finding }()
	s.mu.Lock()
	known := s.automation
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	has, err := s.Client(cookie).findAutomation(ctx)
	switch {
	case err != nil:
		return has, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case !has.Shared && !alive():
		return has, ErrEnded
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.automation = &has
	return has, nil
}
