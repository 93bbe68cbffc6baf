// Package upstream holds the sessions of vigate at the servers behind it: vCenters, ESXi hosts, and
// others that speak as they do.
//
// An [Upstream] is one of these servers. A [Pool] has its sessions of one account and locale, which client sessions
// share. [Pool.Acquire] gives a caller the session with the fewest calls in flight, and opens more sessions while
// these are busy. All limits are for the upstream as a whole, and waiting callers are served in the order of their
// arrival. A [Session] ends when nobody needs it, when it is too old, or when it is found to be lost.
//
// The package decides when vigate logs in, and how often: never so often that the upstream locks a user
// out. It knows neither the sessions of vigate's clients nor the calls that are made.
package upstream

import (
	"cmp"
	"container/list"
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

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/entrance"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/password"
	"github.com/vigate/vigate/internal/upstream/settings"
	"github.com/vigate/vigate/internal/upstream/wire"
)

var (
	// ErrFull means that no place was free within the wait-timeout.
	ErrFull = errors.New("the upstream is busy")
	// ErrUnreachable means that the upstream can't be reached, or can't be used.
	ErrUnreachable = wire.ErrUnreachable
	// ErrAccount means that vigate can't log in with the account.
	ErrAccount = errors.New("the account can't be used")
	// ErrRejected means that the upstream has refused the password.
	ErrRejected = entrance.ErrRejected
	// ErrUntried means that a password was not tried, because too many logins of its user have failed.
	ErrUntried = entrance.ErrUntried
	// ErrGone means that the session has ended, or the last session of a user whose password is not
	// kept.
	ErrGone = errors.New("the session at the upstream has ended")
	// ErrClosed means that the upstream is not used any more.
	ErrClosed = errors.New("the upstream is closed")
)

// ShareError means that this process may have no session at the upstream: there are more processes than sessions. It
// wraps ErrFull.
type ShareError struct{ Sessions, Processes int }

func (e *ShareError) Error() string {
	return fmt.Sprintf("this server has no share in the %d sessions at the upstream, which %d servers divide",
		e.Sessions, e.Processes)
}

// Unwrap returns ErrFull.
func (e *ShareError) Unwrap() error { return ErrFull }

// Options are the surroundings of an Upstream. All fields are optional.
type Options struct {
	Version string     // of vigate
	Notes   *note.Book // nil: kept in memory only
	// Share returns how many processes use the upstream together, and which of them this one is, from 0.
	// nil: it is the only one.
	Share func() (index, processes int)
	// OnGone is called when the last session of a pass-through user has ended.
	OnGone func(*Account)
	// Queued is called with the time that each call spent waiting. What is "request" or "wait".
	Queued func(upstream, what string, waited time.Duration)
	// Dial connects to the upstream. nil: by TCP
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// Content is what the upstream says about itself to everybody.
type Content = wire.Content

// Upstream is one server and the sessions there. It is safe for concurrent use.
type Upstream struct {
	name     string
	agent    string // the user agent of vigate's own calls
	opts     Options
	book     *note.Book
	server   *wire.Server
	refusals *password.Refusals
	entrance *entrance.Entrance
	private  bool // each client session has a session of its own

	counts  counters
	secrets atomic.Pointer[Secrets]

	mu       sync.Mutex // guards the fields below, and fields of accounts, pools and sessions that say so
	limits   limits
	accounts map[string]*Account // those of the configuration, by name
	users    map[string]*Account // pass-through users, by their names at the upstream
	former   map[*Account]bool   // accounts that are not configured any more and have sessions
	sessions map[*Session]bool   // those that hold a place, also while they end
	rests    map[*REST]bool      // the same for sessions of the Automation API, if that has its own
	ghosts   map[*ghost]bool     // places of sessions that vigate can't use
	made     int                 // sessions that were opened
	places   int                 // taken: sessions, ghosts, and sessions that are being opened
	requests int                 // in flight
	waits    int                 // in flight
	queue    *list.List          // of *waiter: for sessions and requests
	lounge   *list.List          // of *waiter: for waits
	tries    map[tryKey]*attempt
	stale    []string // notes of sessions that have ended
	told     struct { // what the log says about lost sessions
		lost uint64
		at   time.Time
	}
	work   int           // goroutines that log in or out
	quiet  chan struct{} // closed when the upstream is closed and work is 0
	silent bool          // quiet is closed
	closed bool
}

// Open returns the upstream of a configuration. It reads the files, but sends nothing. The error joins
// a mistake with its line for each file that can't be used. The caller must call Run.
func Open(cfg Config, o Options) (*Upstream, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Queued == nil {
		o.Queued = func(string, string, time.Duration) {}
	}
	if o.OnGone == nil {
		o.OnGone = func(*Account) {}
	}
	o.Logger = cmp.Or(o.Logger, slog.Default()).With("upstream", cfg.Name)
	u := &Upstream{
		name: cfg.Name, agent: fmt.Sprintf("vigate/%s (%s)", cmp.Or(o.Version, "0"), cfg.Name), opts: o, book: o.Notes,
		private: cfg.Mode == settings.Private, limits: limitsOf(&cfg),
		accounts: map[string]*Account{}, users: map[string]*Account{}, former: map[*Account]bool{},
		sessions: map[*Session]bool{}, rests: map[*REST]bool{}, ghosts: map[*ghost]bool{},
		queue: list.New(), lounge: list.New(),
		tries: map[tryKey]*attempt{}, quiet: make(chan struct{}),
	}
	var err error
	if u.refusals, err = password.NewRefusals(o.Now); err != nil {
		return nil, fmt.Errorf("open upstream: %w", err)
	}
	if u.book == nil {
		u.book = note.New(note.Options{Now: o.Now, Logger: o.Logger})
	}
	u.secrets.Store(&Secrets{})
	var errs []error
	address, err := cfg.Address()
	if err != nil {
		return nil, cfg.Wrong("url", "can't be read: %v", err)
	}
	thumbprint, err := settings.ParseThumbprint(cfg.Thumbprint)
	if err != nil {
		return nil, cfg.Wrong("thumbprint", "can't be read: %v", err)
	}
	u.server, err = wire.Open(address, wire.Trust{CA: cfg.CA, Thumbprint: thumbprint, Insecure: cfg.Insecure},
		wire.ServerOptions{UserAgent: u.agent, Dial: o.Dial, Ended: u.restarted, Now: o.Now, Logger: o.Logger})
	if err != nil {
		errs = append(errs, cfg.Wrong("ca", "can't be used: %v", err))
	}
	u.entrance = &entrance.Entrance{
		Name: u.name, Server: u.server, Book: u.book, Refusals: u.refusals, Expires: u.noteExpires,
		Sent: func() { u.counts.logins.Add(1) }, Now: o.Now,
	}
	errs = append(errs, u.configure(cfg)...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return u, nil
}

// Content returns what the upstream says about itself. It asks the upstream only if it has never answered: one
// request at a time, and at most one a second for all callers. An error wraps ErrUnreachable.
func (u *Upstream) Content(ctx context.Context) (*Content, error) { return u.server.Content(ctx) }

// Ready returns an error that wraps ErrUnreachable while the upstream can't be reached, or has not been
// tried yet. It returns a *ShareError while this process may have no session there.
func (u *Upstream) Ready() error {
	if err := u.server.Ready(); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.shareless()
}

// shareless returns a *ShareError if this process may have no session. The caller holds mu.
func (u *Upstream) shareless() error {
	if u.maxSessions(u.limits.sessions) > 0 {
		return nil
	}
	_, processes := u.opts.Share()
	return &ShareError{Sessions: u.limits.sessions, Processes: processes}
}

// Name returns the name in the configuration.
func (u *Upstream) Name() string { return u.name }

// URL returns the URL of the SDK.
func (u *Upstream) URL() *url.URL { return u.server.URL() }

// Private reports whether each client session has a session of its own.
func (u *Upstream) Private() bool { return u.private }

// RoundTrip sends a request, whose URL must be one of the upstream, over trusted connections. An error
// that wraps ErrUnreachable means that nothing was sent.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	return u.server.RoundTrip(r)
}

// UserAgent returns the user agent by which operators of the upstream know vigate.
func (u *Upstream) UserAgent() string { return u.agent }

// maxSessions returns the share of this process in the sessions of the upstream. The shares of all
// processes together are what the configuration allows.
func (u *Upstream) maxSessions(all int) int {
	if u.opts.Share == nil {
		return all
	}
	index, processes := u.opts.Share()
	if processes <= 1 {
		return all
	}
	share := all / processes
	if index < all%processes {
		share++
	}
	return share
}

// Secrets are the keys and cookies of all sessions at an upstream. They never change: when a session
// begins or ends, Upstream.Secrets returns others.
type Secrets struct{ all []secret.Text }

// All returns the secrets. The caller must not change the list.
func (s *Secrets) All() []secret.Text { return s.all }

// Secrets returns the keys and cookies of all sessions, so that no answer shows them to a client. It is
// cheap. A caller that keeps something made from them compares the pointer with that of the next call.
func (u *Upstream) Secrets() *Secrets { return u.secrets.Load() }

// publish makes the secrets known. The caller holds mu.
func (u *Upstream) publish() {
	s := &Secrets{}
	for one := range u.sessions {
		s.all = append(s.all, one.key, one.cookie.Value)
	}
	for r := range u.rests {
		s.all = append(s.all, r.token)
	}
	for g := range u.ghosts {
		if !g.note.Key.IsZero() {
			s.all = append(s.all, g.note.Key)
		}
	}
	u.secrets.Store(s)
}
