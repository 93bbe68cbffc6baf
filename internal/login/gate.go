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
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Gate is the one way from a credential to a session.
type Gate struct {
	methods       []Method
	started       func(method string)
	grid          *grid
	logger        *slog.Logger
	sessions      *session.Manager
	access        *access.Table
	throttle      *Throttle
	mirror        *store.Mirror
	reports       *Reports
	defaultLocale func() string
	defaultDomain string
}

// GateOptions configures a gate. Sessions, Access, Throttle, Mirror, Reports and DefaultLocale are
// required.
type GateOptions struct {
	// Methods are asked in this order. The first one that takes the kind of the credential decides.
	Methods []Method
	// Started, if set, is called with the name of the method for each new session.
	Started func(method string)

	Sessions *session.Manager
	Access   *access.Table
	Throttle *Throttle
	Mirror   *store.Mirror
	Reports  *Reports // of failed logins
	// DefaultLocale is for callers that name none.
	DefaultLocale func() string
	// DefaultDomain is the domain of names that give none. If empty, it is account.DefaultDomain.
	DefaultDomain string

	// Grid is the period of the answers to failed passwords: each leaves at a multiple of it after the
	// login arrived. If 0, the answers are not delayed.
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
	return &Gate{
		methods: slices.Clone(o.Methods), started: o.Started,
		grid:     &grid{every: o.Grid, now: o.Now, wait: o.Wait, networks: map[string]int{}},
		logger:   cmp.Or(o.Logger, slog.Default()),
		sessions: o.Sessions, access: o.Access, throttle: o.Throttle, mirror: o.Mirror, reports: o.Reports,
		defaultLocale: o.DefaultLocale,
		defaultDomain: strings.ToUpper(cmp.Or(o.DefaultDomain, account.DefaultDomain)),
	}
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

// DefaultLocale is the locale of callers that name none.
func (g *Gate) DefaultLocale() string { return g.defaultLocale() }

// DefaultDomain is the domain of names that give none.
func (g *Gate) DefaultDomain() string { return g.defaultDomain }

// Unlock forgets the failed logins of a principal, and reports whether there were any.
func (g *Gate) Unlock(who principal.Name) bool { return g.throttle.Unlock(who) }

// Flush posts the failed logins that were only counted.
func (g *Gate) Flush(ctx context.Context) error { return g.reports.Flush(ctx) }

// staleTries is how often a login starts over because what it was granted on
// changed under it.
const staleTries = 3

// Login makes a session of the attempt. current is the live session of the
// caller, if it has one: a login on a live session is refused, and spends
// nothing.
//
// Errors: locale.ErrInvalid, ErrRejected, ErrNoAccess, *session.LimitError,
// session.ErrStale where others were faster each time, those of Method, or the
// store's. What the store could not tell or take is never ErrRejected.
func (g *Gate) Login(ctx context.Context, a Attempt, current *session.Live) (*session.Live, session.Token, error) {
	if current != nil {
		s := current.Session()
		e := event.Event{Type: "AlreadyAuthenticatedSessionEvent", SessionID: s.Key.String()}
		g.reports.post(ctx, a.Peer.Network(), e.By(s.Actor()))
		return nil, session.Token{}, fmt.Errorf("log in on a live session: %w", ErrRejected)
	}
	choice, err := g.Locale(a.Locale)
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
		return err
	})
	if err != nil {
		return nil, session.Token{}, err
	}
	return l, token, nil
}

// Proof is what Prove has found out of a caller.
type Proof struct {
	Identity session.Identity
	Origin   *session.Identity // who really asks, if it is another
	Method   string            // the name of the way in
	NotAfter time.Time         // when the credential ends; zero if it does not
}

// Prove is a login that starts no session: for those who ask who a caller is and
// give it something else, such as a token. It is throttled, counted and posted as
// Login is, the caller needs a role here as well, and what the credential spends
// is spent: a clone ticket that proves its owner is of no use afterwards.
//
// Errors: ErrRejected, ErrNoAccess, session.ErrStale if others were faster each
// time, those of Method, or the store's.
func (g *Gate) Prove(ctx context.Context, a Attempt) (Proof, error) {
	var p Proof
	err := g.use(ctx, a, func(grant session.Grant) error {
		p = Proof{Identity: grant.Identity, Origin: grant.Origin, Method: grant.Method, NotAfter: grant.NotAfter}
		return g.sessions.Spend(ctx, grant)
	})
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

// use authenticates the attempt and passes the grant to commit. It delays the answer to a failed
// password.
func (g *Gate) use(ctx context.Context, a Attempt, commit func(session.Grant) error) error {
	if _, ok := a.Credential.(Password); !ok || g.grid.every <= 0 {
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

// try is use without a delay. If the
// commit finds that the grant is stale, another was faster, on another node
// perhaps: what it did must be known here before the credential is judged anew.
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
	// The credential was good each time: it is no failed login.
	return fmt.Errorf("log in: %w", session.ErrStale)
}

// Locale is what a caller gets that asks for wanted: the default if it asks for
// nothing. The only error is locale.ErrInvalid.
func (g *Gate) Locale(wanted string) (locale.Choice, error) {
	if wanted == "" {
		wanted = g.defaultLocale()
	}
	return locale.Fit(wanted)
}

// authenticate proves the credential and the right to be here at all.
func (g *Gate) authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	guess := g.throttle.begin(g.claimed(a), a.Peer.Network())
	defer guess.wrong() // unless it is decided: what panics was judged
	a.behind = guess.behind
	// A locked caller's credential is checked all the same: the answer and its
	// time must not tell a lock from a wrong password.
	grant, err := g.judge(ctx, a)
	switch {
	case errors.Is(err, ErrRejected), errors.Is(err, session.ErrBadTicket):
		return session.Grant{}, g.reject(ctx, a, guess, err)
	case errors.Is(err, ErrBadCertificate), errors.Is(err, ErrNoSubject):
		// Clients are told what is wrong with their certificate, locked or not: that
		// tells nothing of anybody else's.
		g.fail(ctx, a, guess)
		return session.Grant{}, err
	case errors.Is(err, ErrUnconfirmed):
		// It was judged, so it counts. If the store is out of reach there is nothing
		// to post to; if it is only that the client has gone, there is.
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
	has, err := g.hasRole(ctx, grant)
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

// judge asks the methods, an extension's once more if need be: another node may
// have registered or changed the extension an instant ago.
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

// hasRole reports whether the identity of the grant has a role here. If this node
// knows of none, it asks for all that any node was acknowledged.
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

func (g *Gate) ask(ctx context.Context, a Attempt) (session.Grant, error) {
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

// reject counts a failed login, posts it and returns the one answer for it.
func (g *Gate) reject(ctx context.Context, a Attempt, guess *guess, cause error) error {
	g.fail(ctx, a, guess)
	if errors.Is(cause, ErrRejected) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrRejected, cause)
}

// fail counts a failed login and posts it.
//
// All that it posts is one commit: a lock that begins must not show in the time
// that the answer takes. A client that hangs up can't keep it from being posted.
func (g *Gate) fail(ctx context.Context, a Attempt, guess *guess) {
	failure := event.Event{
		Type: "BadUsernameSessionEvent", User: guess.text, Address: a.Peer.Address, UserAgent: a.Peer.UserAgent,
	}
	var locks []event.Event
	for _, lock := range guess.wrong() {
		locks = append(locks, event.Event{
			Type: "EventEx", ID: "vigate.account.locked", User: guess.text, Subject: lock, Address: a.Peer.Address,
		})
	}
	g.reports.post(context.WithoutCancel(ctx), guess.network, failure, locks...)
}

// claimed is the canonical form of the name that the caller gives itself, or
// the name as sent if it has none. A name too long to be anybody's is cut: it is
// remembered, and may be as long as a message.
func (g *Gate) claimed(a Attempt) claim {
	name := a.Credential.Claims()
	name = name[:min(len(name), principal.MaxLength)]
	switch n, err := principal.Parse(name, g.defaultDomain); {
	case registered(a.Credential):
		return claim{text: name, name: principal.Extension(name)}
	case err == nil:
		return claim{text: n.String(), name: n}
	}
	return claim{text: name}
}

// registered reports whether the credential is an extension's.
func registered(c Credential) bool {
	switch c.(type) {
	case ExtensionCertificate, ExtensionSubject:
		return true
	}
	return false
}
