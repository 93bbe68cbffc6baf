package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Gate is the one way from a credential to a session. Create it with NewGate. It is safe for concurrent
// use.
type Gate struct {
	methods       []Method
	started       func(method string)
	entered       func(*session.Live)
	grid          *grid
	logger        *slog.Logger
	sessions      *session.Manager
	access        *access.Table
	throttle      *Throttle
	mirror        *store.Mirror
	reports       *Reports
	locale        func(requested string) (locale.Choice, error)
	defaultDomain string
	upstream      string
	admits        func(session.Grant) bool
}

// GateOptions configures a gate. Sessions, Access, Throttle, Mirror, Reports and Locale are required.
type GateOptions struct {
	// Methods are asked in this order. The first one that takes the kind of the credential decides.
	Methods []Method
	// Started, if set, is called with the name of the method for each new session.
	Started func(method string)
	// Entered, if set, is called with each new session before its client knows it.
	Entered func(*session.Live)
	// Admits, if set, is asked about each grant of a principal with a role. If it returns false, the
	// login fails with ErrNoAccess.
	Admits func(session.Grant) bool
	// Upstream is the name of the front if its users are those of its upstream server. Such users need no
	// role of this server, and no other principal passes the gate: see principal.OfUpstream.
	Upstream string
	// Beside, if set, is another gate for the same principals. Both count failed logins together, so
	// that each further front does not give strangers further guesses.
	Beside *Gate

	Sessions *session.Manager
	Access   *access.Table
	Throttle *Throttle
	Mirror   *store.Mirror
	Reports  *Reports // of failed logins
	// Locale returns the supported locale for the one that a caller asks for, or the default locale if
	// requested is empty. The only error is locale.ErrInvalid.
	Locale func(requested string) (locale.Choice, error)
	// DefaultDomain is the domain of names without a domain. If empty, it is account.DefaultDomain.
	DefaultDomain string

	// Grid is the period of the answers to failed logins by password, token or ticket of Kerberos: each
	// leaves at a multiple of it after the login arrived. If 0, the answers are not delayed.
	Grid time.Duration
	// Wait waits for the duration, or until the context ends. If nil, a timer is used.
	Wait   func(context.Context, time.Duration) error
	Now    func() time.Time // if nil, time.Now
	Logger *slog.Logger     // if nil, slog.Default
}

// NewGate returns a gate.
func NewGate(o GateOptions) *Gate {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = sleep
	}
	g := &Gate{
		methods: slices.Clone(o.Methods), started: o.Started, entered: o.Entered,
		upstream: o.Upstream, admits: o.Admits,
		grid:     &grid{every: o.Grid, now: o.Now, wait: o.Wait, networks: map[string]int{}},
		logger:   cmp.Or(o.Logger, slog.Default()),
		sessions: o.Sessions, access: o.Access, throttle: o.Throttle, mirror: o.Mirror, reports: o.Reports,
		locale:        o.Locale,
		defaultDomain: strings.ToUpper(cmp.Or(o.DefaultDomain, account.DefaultDomain)),
	}
	if b := o.Beside; b != nil {
		g.throttle, g.reports, g.grid = b.throttle, b.reports, b.grid
	}
	return g
}

// Challenges returns the authentication schemes of HTTP by which the methods take credentials, in the
// order of the methods and without duplicates.
func (g *Gate) Challenges() []string {
	var schemes []string
	for _, m := range g.methods {
		if s := m.Challenge(); s != "" && !slices.Contains(schemes, s) {
			schemes = append(schemes, s)
		}
	}
	return schemes
}

// Locked reports of each of the principals whether it is locked, from at least one network.
func (g *Gate) Locked(all []principal.Name) []bool { return g.throttle.Locked(all) }

// Unlock removes the failures and locks of a principal, and reports whether anything was locked.
func (g *Gate) Unlock(who principal.Name) bool { return g.throttle.Unlock(who) }

// Flush posts the failed logins that were only counted, see Reports.Flush.
func (g *Gate) Flush(ctx context.Context) error { return g.reports.Flush(ctx) }

// staleTries is how many times a login is tried while a condition of its grant changes before the
// commit.
const staleTries = 3

// Login starts a session for the attempt. current is the live session of the caller, or nil. If the
// caller has one, the login is refused and spends nothing.
//
// Errors: locale.ErrInvalid, ErrLoggedIn, ErrRejected, ErrNoAccess, *session.LimitError, session.ErrStale
// if other commits were faster each time, the errors of Method, or the store's. An error of the store is
// never ErrRejected.
func (g *Gate) Login(ctx context.Context, a Attempt, current *session.Live) (*session.Live, session.Token, error) {
	if current != nil {
		s := current.Session()
		e := event.Event{Type: "AlreadyAuthenticatedSessionEvent", SessionID: s.Key.String()}
		g.reports.post(ctx, a.Peer.Network(), e.By(s.Actor()))
		return nil, session.Token{}, fmt.Errorf("log in on a live session: %w", ErrLoggedIn)
	}
	choice, err := g.locale(a.Locale)
	if err != nil {
		return nil, session.Token{}, err
	}
	var l *session.Live
	var token session.Token
	err = g.use(ctx, a, func(grant session.Grant) (err error) {
		if grant.Locale == "" {
			grant.Locale, grant.MessageLocale = choice.Locale, choice.MessageLocale
		}
		grant.Address, grant.UserAgent = a.Peer.Address, a.Peer.UserAgent
		l, token, err = g.sessions.Start(ctx, grant)
		if err == nil && g.started != nil {
			g.started(grant.Method)
		}
		if err == nil && g.entered != nil {
			g.entered(l)
		}
		return err
	})
	if err != nil {
		return nil, session.Token{}, err
	}
	return l, token, nil
}

// Proof is the result of Prove.
type Proof struct {
	Identity session.Identity
	Origin   *session.Identity // the principal that logged in, if another one acts; otherwise nil
	Method   string            // the name of the login method
	NotAfter time.Time         // the end of the credential's validity; zero: none
	// At is when the credential came. What changes later, such as a password, was not considered.
	At time.Time
}

// Prove is a login that starts no session. It is for services that identify a caller and give it
// something else than a session, such as a token. It is throttled, counted and posted in the same way as
// Login, and the caller needs a role too. It spends the credential: a clone ticket can't be used after
// it proved its owner.
//
// Errors: ErrRejected, ErrNoAccess, session.ErrStale if other commits were faster each time, the errors
// of Method, or the store's.
func (g *Gate) Prove(ctx context.Context, a Attempt) (Proof, error) {
	p, at := Proof{}, g.grid.now()
	err := g.use(ctx, a, func(grant session.Grant) error {
		p = Proof{Identity: grant.Identity, Origin: grant.Origin, Method: grant.Method, NotAfter: grant.NotAfter,
			At: at}
		return g.sessions.Spend(ctx, grant)
	})
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

// Unreadable is a failed login with a token that could not be read, because the request that brings it
// exceeds a limit or is malformed. Bindings find that out before there is a call. It counts for the
// caller's address, and returns when the answer is due, see grid.
func (g *Gate) Unreadable(ctx context.Context, p peer.Peer, cause error) {
	if cause == nil {
		cause = errors.New("the request can't be read")
	}
	_ = g.use(ctx, Attempt{Credential: unreadable{cause}, Peer: p}, nil) // nothing is ever committed
}

// unreadable is the credential of a request that could not be read.
type unreadable struct{ cause error }

// Claims implements Credential.
func (unreadable) Claims() string { return "" }

// Delayed implements Delayed.
func (unreadable) Delayed() {}

// use authenticates the attempt and passes the grant to commit. It delays the answer to a failed login
// with some credentials, see grid.
func (g *Gate) use(ctx context.Context, a Attempt, commit func(session.Grant) error) error {
	if _, ok := a.Credential.(Delayed); !ok || g.grid.every <= 0 {
		return g.try(ctx, a, commit)
	}
	arrived := g.grid.now()
	leave, err := g.grid.enter(a.Peer.Network())
	if err != nil {
		return err
	}
	defer leave()
	err = g.try(ctx, a, commit)
	if errors.Is(err, ErrRejected) || errors.Is(err, ErrUnconfirmed) {
		g.grid.delay(ctx, arrived)
	}
	return err
}

// try is use without the delay. If commit returns ErrStale, another commit was faster, perhaps on
// another node. Then this node catches up with the store before it verifies the credential again.
func (g *Gate) try(ctx context.Context, a Attempt, commit func(session.Grant) error) error {
	for range staleTries {
		grant, err := g.authenticate(ctx, a)
		if err != nil {
			return err
		}
		err = commit(grant)
		if errors.Is(err, session.ErrStale) {
			if err := g.mirror.Sync(ctx); err != nil {
				return fmt.Errorf("log in: %w", err)
			}
			continue
		}
		if err == nil && grant.Spent != nil {
			grant.Spent()
		}
		return err
	}
	// The credential was right each time, so this does not count as a failed login.
	return fmt.Errorf("log in: %w", session.ErrStale)
}

// authenticate verifies the credential, and that its owner is not locked and has a role. It counts and
// posts a failed login.
func (g *Gate) authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	guess := g.throttle.begin(g.claimed(a), a.Peer.Network())
	// This has an effect only if a method panics: then the credential may have been verified.
	defer guess.wrong()
	a.Behind, a.Locked = guess.behind, guess.refused
	// The credential of a locked caller is verified too: neither the answer nor its time may reveal
	// whether it is a lock or a wrong password.
	grant, err := g.judge(ctx, a)
	switch {
	case errors.Is(err, ErrRepeated) && !guess.refused:
		guess.giveBack()
		g.reports.post(context.WithoutCancel(ctx), guess.network, failure(a, guess))
		return session.Grant{}, fmt.Errorf("%w: %w", ErrRejected, err)
	case errors.Is(err, ErrRejected), errors.Is(err, session.ErrBadTicket):
		return session.Grant{}, g.reject(ctx, a, guess, err)
	case errors.Is(err, ErrBadCertificate), errors.Is(err, ErrNoSubject):
		// The answer says what is wrong with the client's certificate, even under a lock. That reveals
		// nothing about others.
		g.fail(ctx, a, guess)
		return session.Grant{}, err
	case errors.Is(err, ErrUnconfirmed):
		// The credential was verified, so the failure counts. It is posted if only the client has gone,
		// but not if the store can't be reached.
		if ctx.Err() != nil {
			_ = g.reject(ctx, a, guess, err)
		}
		guess.wrong()
		return session.Grant{}, err
	case err != nil:
		guess.giveBack()
		return session.Grant{}, err
	}
	taken, err := guess.right(ctx, g.mirror.Sync)
	if err != nil {
		return session.Grant{}, fmt.Errorf("log in: %w", err)
	}
	if !taken {
		return session.Grant{}, g.reject(ctx, a, guess, errors.New("locked after failed logins"))
	}
	has, err := g.mayEnter(ctx, grant)
	if err != nil {
		guess.giveBack()
		return session.Grant{}, err
	}
	if !has {
		guess.giveBack()
		e := event.Event{Type: "NoAccessUserEvent", User: grant.Identity.Name.String(), Address: a.Peer.Address}
		g.reports.post(ctx, a.Peer.Network(), e)
		return session.Grant{}, ErrNoAccess
	}
	guess.succeeded()
	return grant, nil
}

// judge asks the methods. If they reject the credential of an extension, it catches up with the store
// and asks again, because another node may have registered or changed the extension an instant ago.
func (g *Gate) judge(ctx context.Context, a Attempt) (session.Grant, error) {
	grant, err := g.ask(ctx, a)
	if !errors.Is(err, ErrRejected) && !errors.Is(err, ErrNoSubject) || !registered(a.Credential) {
		return grant, err
	}
	if err := g.mirror.Sync(ctx); err != nil {
		return session.Grant{}, fmt.Errorf("find extension: %w: %w", ErrUnconfirmed, err)
	}
	return g.ask(ctx, a)
}

// mayEnter reports whether the identity of the grant may have a session: it has a role, and the option
// Admits does not refuse it.
func (g *Gate) mayEnter(ctx context.Context, grant session.Grant) (bool, error) {
	if g.upstream != "" {
		return true, nil
	}
	has, err := g.hasRole(ctx, grant)
	return has && (g.admits == nil || g.admits(grant)), err
}

// hasRole reports whether the identity of the grant has a role. If this node knows of none, it first
// catches up with all commits that any node has acknowledged.
func (g *Gate) hasRole(ctx context.Context, grant session.Grant) (bool, error) {
	who := Subject(grant.Identity)
	if grant.Origin != nil {
		who.Origin = new(Subject(*grant.Origin))
	}
	if g.access.HasRole(who) {
		return true, nil
	}
	if err := g.mirror.Sync(ctx); err != nil {
		return false, fmt.Errorf("find role: %w", err)
	}
	return g.access.HasRole(who), nil
}

// ask returns the result of the first method that takes the credential.
func (g *Gate) ask(ctx context.Context, a Attempt) (session.Grant, error) {
	if u, ok := a.Credential.(unreadable); ok {
		return session.Grant{}, fmt.Errorf("%w: %w", ErrRejected, u.cause)
	}
	for _, m := range g.methods {
		grant, err := m.Authenticate(ctx, a)
		if errors.Is(err, ErrNotMine) {
			continue
		}
		if err != nil {
			return session.Grant{}, err
		}
		if err := g.inScope(ctx, m, grant); err != nil {
			return session.Grant{}, err
		}
		if grant.Method == "" {
			grant.Method = m.Name()
		}
		return grant, nil
	}
	return session.Grant{}, ErrNotMine
}

// reject counts and posts a failed login, and returns ErrRejected wrapped with the cause.
func (g *Gate) reject(ctx context.Context, a Attempt, guess *guess, cause error) error {
	g.fail(ctx, a, guess)
	if errors.Is(cause, ErrRejected) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrRejected, cause)
}

// fail counts a failed login and posts it.
//
// It posts all events in one commit, so that the time of the answer does not reveal whether a lock
// begins. A client that disconnects can't prevent the events.
func (g *Gate) fail(ctx context.Context, a Attempt, guess *guess) {
	var locks []event.Event
	for _, lock := range guess.wrong() {
		locks = append(locks, event.Event{
			Type: "EventEx", ID: "vigate.account.locked", User: guess.text, Subject: lock, Address: a.Peer.Address,
		})
	}
	g.reports.post(context.WithoutCancel(ctx), guess.network, failure(a, guess), locks...)
}

// failure returns the event of a failed login.
func failure(a Attempt, guess *guess) event.Event {
	return event.Event{
		Type: "BadUsernameSessionEvent", User: guess.text, Address: a.Peer.Address, UserAgent: a.Peer.UserAgent,
	}
}

// Claimed returns the name that a credential claims, for logs. It is the text that the client sent. At a
// gate for the users of an upstream server, it can't be taken for a principal of this server.
func (g *Gate) Claimed(c Credential) string {
	if g.upstream == "" {
		return c.Claims()
	}
	return g.claimed(Attempt{Credential: c}).text
}

// claimed returns the name that the caller claims, in canonical form if it can be parsed, or as it was
// sent. A longer text than any name has is cut, because it is stored.
func (g *Gate) claimed(a Attempt) claim {
	name := a.Credential.Claims()
	name = name[:min(len(name), principal.MaxLength)]
	switch n, err := principal.Parse(name, g.defaultDomain); {
	case g.upstream != "" && name == "":
		return claim{}
	case g.upstream != "":
		n = principal.OfUpstream(g.upstream, UpstreamUser(name))
		return claim{text: n.String(), name: n}
	case registered(a.Credential):
		return claim{text: name, name: principal.Extension(name)}
	case err == nil:
		return claim{text: n.String(), name: n}
	}
	return claim{text: name}
}

// UpstreamUser returns one spelling for the spellings user@domain and DOMAIN\user of a name of an upstream
// server. A name without a domain stays as it is, because only the upstream knows its own default.
func UpstreamUser(name string) string {
	if n, err := principal.Parse(name, ""); err == nil {
		return n.String()
	}
	return name
}

// registered reports whether the credential is an extension's.
func registered(c Credential) bool {
	switch c.(type) {
	case ExtensionCertificate, ExtensionSubject:
		return true
	}
	return false
}
