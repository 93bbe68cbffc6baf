package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/upstream/entrance"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/wire"
)

// restService is how long a session of the Automation API must be unused before another session may get
// its place.
const restService = 10 * time.Second

// An account logs in to the Automation API at most restLogins times in restWindow. Otherwise, if the upstream refused
// each session right after its login, each request of a client would cause a login.
const (
	restLogins = 6
	restWindow = time.Minute
)

var errRESTSoon = errors.New("its sessions of the Automation API end too soon after they are made")

// REST is a session of the Automation API. Where that shares the sessions of SOAP, it is such a session.
// Elsewhere an account has one of its own, which takes a place among the sessions of the upstream.
type REST struct {
	token   secret.Text
	session *Session // nil: one of its own
	account *Account
	path    string // where it was made
	note    note.Key
	opened  time.Time

	// upstream.mu guards the fields below.
	used  time.Time
	ended bool
}

// Token returns the value of the header vmware-api-session-id.
func (r *REST) Token() secret.Text { return r.token }

// Shared reports whether the session is that of SOAP as well, so that it lives as long as that.
func (r *REST) Shared() bool { return r.session != nil }

// Lost says that a caller saw a sign that the session has ended at the upstream.
func (r *REST) Lost(cause error) {
	if r.session != nil {
		r.session.Lost(cause)
		return
	}
	u := r.account.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if !r.ended {
		u.counts.lost.Add(1)
		u.endREST(r)
	}
}

// REST returns the session of the Automation API that belongs to the account of the session. It is nil
// if the upstream has no such API. The error wraps ErrGone, ErrFull, ErrUnreachable, ErrAccount or the
// error of ctx.
func (s *Session) REST(ctx context.Context) (*REST, error) {
	has, err := s.automation(ctx)
	switch {
	case err != nil:
		return nil, err
	case has.Path == "":
		return nil, nil
	case has.Shared:
		return &REST{token: s.cookie.Value, session: s, account: s.account}, nil
	}
	return s.account.automationSession(ctx, has.Path)
}

// automation returns what Automation API the upstream has.
func (s *Session) automation(ctx context.Context) (wire.Automation, error) {
	has, err := s.upstream.server.Automation(ctx, s.cookie, func() bool { return s.Probe(ctx) })
	if errors.Is(err, wire.ErrEnded) {
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	return has, err
}

// current returns the account's session, and notes that it is used.
func (a *Account) current() *REST {
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	if a.rest != nil {
		a.rest.used = a.upstream.opts.Now()
	}
	return a.rest
}

// automationSession returns the account's own session of the Automation API, and makes one if there is
// none.
func (a *Account) automationSession(ctx context.Context, path string) (*REST, error) {
	if r := a.current(); r != nil {
		return r, nil
	}
	if a.PassThrough() {
		return nil, ErrGone // the password is not kept
	}
	select {
	case a.restTurn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-a.restTurn }()
	if r := a.current(); r != nil {
		return r, nil
	}
	u := a.upstream
	u.mu.Lock()
	now := u.opts.Now()
	err, _ := a.unable(now)
	a.restTimes = slices.DeleteFunc(a.restTimes, func(t time.Time) bool { return now.Sub(t) >= restWindow })
	if err == nil && len(a.restTimes) >= restLogins {
		err = fmt.Errorf("%w: %w", ErrAccount, errRESTSoon)
	}
	known := a.accepted
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	text, err := secretfile.Read(a.file, "password", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}
	d := u.refusals.Digest(a.user, text)
	if _, err := u.acquire(ctx, demand{}); err != nil {
		return nil, err
	}
	u.mu.Lock()
	a.restTimes = append(a.restTimes, now)
	u.mu.Unlock()
	r, err := u.loginREST(path, entrance.Credentials{
		User: a.user, Password: text, Digest: d, Known: known == d,
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		a.tried = d
		a.failed(err)
		u.lose(a.user, err)
		u.dispatch()
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}
	u.addREST(a, r)
	return r, nil
}

// addREST makes the session that of the account. The caller holds mu.
func (u *Upstream) addREST(a *Account, r *REST) {
	r.account = a
	u.rests[r] = true
	u.publish()
	if u.closed || a.former || a.ended || a.rest != nil {
		u.endREST(r)
		return
	}
	a.rest = r
}

// loginREST logs in to the Automation API, within the budget of failed logins. The caller has taken a place.
func (u *Upstream) loginREST(path string, c entrance.Credentials) (*REST, error) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTime)
	defer cancel()
	token, noted, err := u.entrance.LoginAutomation(ctx, path, c)
	if err != nil {
		return nil, err
	}
	now := u.opts.Now()
	return &REST{token: token, path: path, note: noted, opened: now, used: now}, nil
}

// endREST logs the session out and then frees its place. The caller holds mu.
func (u *Upstream) endREST(r *REST) {
	if r.ended {
		return
	}
	r.ended = true
	if r.account.rest == r {
		r.account.rest = nil
	}
	u.begin(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		defer cancel()
		client := u.server.Fresh(wire.Cookie{})
		err := client.LogoutAutomation(ctx, r.path, r.token)
		u.mu.Lock()
		delete(u.rests, r)
		if err == nil {
			u.places--
		} else {
			g := &ghost{note: r.note, until: u.opts.Now().Add(mustHaveExpired)}
			u.ghosts[g] = true
		}
		u.publish()
		u.dispatch()
		u.mu.Unlock()
		if err == nil {
			u.forget(r.note.ID)
		}
	})
}

// tryREST makes the session of the Automation API that a pass-through user may need: later nobody has
// the password. It is made only if there is a place to spare, and a failure costs no login.
func (u *Upstream) tryREST(ctx context.Context, s *Session, c entrance.Credentials) *REST {
	has, err := s.automation(ctx)
	if err != nil || has.Shared || has.Path == "" {
		return nil
	}
	u.mu.Lock()
	there := u.users[s.info.UserName]
	if there != nil && there.rest != nil || u.places >= u.maxSessions(u.limits.sessions) {
		u.mu.Unlock()
		return nil
	}
	u.places++
	u.mu.Unlock()
	c.Known = true
	r, err := u.loginREST(has.Path, c)
	if err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.lose(c.User, err)
		u.opts.Logger.Warn("a user can't use the Automation API", "user", c.User, "err", err)
		return nil
	}
	return r
}

// admitREST gives a pass-through user the session that was made by tryREST, which may be nil. The caller
// holds mu.
func (u *Upstream) admitREST(a *Account, r *REST) {
	if r != nil {
		u.addREST(a, r)
	}
}
