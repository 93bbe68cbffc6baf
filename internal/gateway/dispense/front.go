package dispense

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// ErrRefused means that a subject gets no ticket, however often it asks.
var ErrRefused = errors.New("the subject gets no ticket")

// voucher is the credential of a subject that the dispenser has identified. Nothing that a client sends
// becomes one.
type voucher struct{ who session.Identity }

// Claims implements login.Credential. A voucher can't be guessed, so it claims nothing.
func (voucher) Claims() string { return "" }

// Method is the login method for subjects of dispensers. It must be one of those of the front's gate.
type Method struct{}

// Name is part of login.Method.
func (Method) Name() string { return "dispense" }

// Challenge is part of login.Method.
func (Method) Challenge() string { return "" }

// Authenticate is part of login.Method.
func (Method) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	v, ok := a.Credential.(voucher)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	return session.Grant{Identity: v.who, Scope: session.Scope{Proved: true}}, nil
}

// FrontTickets makes tickets that are good at the front. Each subject has a client session there, and its tickets
// make clones of this session.
type FrontTickets struct {
	// Gate is that of the front. Method must be one of its methods.
	Gate *login.Gate
	// Sessions are those of the front.
	Sessions *session.Manager
	// Account returns the name of the account as which a session acts at the upstream.
	Account func(*session.Live) (string, error)
	// Wanted is the account that the tickets are for: a session of another one is refused.
	Wanted string
	// DefaultDomain is the domain of names in the file of tokens that have none.
	DefaultDomain string

	mu   sync.Mutex // guards kept
	kept map[string]*session.Live
}

// least is how long a session must last to be worth a clone, which ends when it does.
const least = 10 * time.Minute

// Ticket returns a ticket. A name in the file of tokens is that of a principal. The error wraps ErrRefused if
// the principal has no role here or another account.
func (t *FrontTickets) Ticket(ctx context.Context, s Subject) (secret.Text, error) {
	l, err := t.session(ctx, s)
	if err != nil {
		return secret.Text{}, err
	}
	ticket, err := t.Sessions.AcquireCloneTicket(ctx, l)
	if err != nil {
		t.forget(s.Name, l)
		return secret.Text{}, fmt.Errorf("dispense ticket: %w", err)
	}
	return ticket, nil
}

// session returns the session of a subject.
func (t *FrontTickets) session(ctx context.Context, s Subject) (*session.Live, error) {
	t.mu.Lock()
	l := t.kept[s.Name]
	t.mu.Unlock()
	if l != nil && t.Sessions.Alive(l) && t.Sessions.Remaining(l) >= least {
		return l, nil
	}
	who, err := t.identity(s)
	if err != nil {
		return nil, err
	}
	l, _, err = t.Gate.Login(ctx, login.Attempt{Credential: voucher{who}, Peer: *peer.From(ctx)}, nil)
	switch {
	case errors.Is(err, login.ErrNoAccess), errors.Is(err, login.ErrRejected):
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	case err != nil:
		return nil, fmt.Errorf("dispense ticket: %w", err)
	}
	if err := t.check(ctx, l); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = map[string]*session.Live{}
	}
	t.kept[s.Name] = l
	return l, nil
}

// check ends a session that acts as another account than the dispenser's.
func (t *FrontTickets) check(ctx context.Context, l *session.Live) error {
	account, err := t.Account(l)
	if err == nil && account == t.Wanted {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("its account is %s", account)
	}
	end := t.Sessions.End(ctx, l, session.Logout(l.Session()))
	return fmt.Errorf("%w: %w", ErrRefused, errors.Join(err, end))
}

// identity returns the principal of a subject.
func (t *FrontTickets) identity(s Subject) (session.Identity, error) {
	if s.Identity != nil {
		return *s.Identity, nil
	}
	name, err := principal.Parse(s.Name, strings.ToUpper(t.DefaultDomain))
	if err != nil {
		return session.Identity{}, fmt.Errorf("%w: its name in the file of tokens: %w", ErrRefused, err)
	}
	return session.Identity{Name: name}, nil
}

func (t *FrontTickets) forget(name string, l *session.Live) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept[name] == l {
		delete(t.kept, name)
	}
}

var _ login.Method = Method{}
