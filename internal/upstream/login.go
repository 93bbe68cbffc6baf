package upstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/upstream/entrance"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/password"
	"github.com/vigate/vigate/internal/upstream/wire"
)

const (
	// loginTime bounds a login. It is long, because after it nobody knows whether the login has made a session.
	loginTime = time.Minute
	// noteLonger is how much longer than a session can live its note is kept.
	noteLonger = time.Hour
)

// open begins a login for the pool. The caller holds mu and has found room.
func (u *Upstream) open(p *Pool, client string) {
	u.places++
	p.opening[client] = true
	p.account.opening++
	u.begin(func() { u.fill(p, client) })
}

// fill logs in and adds the session to the pool.
func (u *Upstream) fill(p *Pool, client string) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTime)
	defer cancel()
	a := p.account
	err := u.adopt(ctx)
	if err == nil {
		err = u.overfull()
	}
	var s *Session
	if err == nil {
		s, err = u.loginAccount(ctx, a, p.locale)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(p.opening, client)
	a.opening--
	switch {
	case errors.Is(err, errNoRoom):
		u.places-- // the waiting callers go on waiting
	case err != nil:
		u.lose(a.user, err)
		a.failed(err)
		if _, patient := a.unable(u.opts.Now()); patient {
			at := a.retry
			time.AfterFunc(at.Sub(u.opts.Now()), func() { a.again(at) })
		}
	default:
		a.succeeded()
		s.client = client
		u.add(s, p)
		u.endOrphans(s)
	}
	u.dispatch()
}

// again lets the waiting callers log in again, unless another login has failed since.
func (a *Account) again(at time.Time) {
	a.upstream.mu.Lock()
	defer a.upstream.mu.Unlock()
	if a.retry.Equal(at) {
		a.retry = time.Time{}
	}
	a.upstream.dispatch()
}

// lose frees the place of a login that failed, unless there may be a session. The caller holds mu.
func (u *Upstream) lose(user string, err error) {
	if !errors.Is(err, entrance.ErrOutcome) {
		u.places--
		return
	}
	u.server.Doubt() // if it has ended, there is no session
	u.ghosts[&ghost{note: note.Key{Account: user}, until: u.opts.Now().Add(mustHaveExpired), unknown: true}] = true
}

// add adds a session to the pool. The caller holds mu.
func (u *Upstream) add(s *Session, p *Pool) {
	u.made++
	s.account, s.pool, s.id = p.account, p, fmt.Sprintf("%s/%d", p.account.name, u.made)
	p.sessions = append(p.sessions, s)
	if s.client != "" {
		p.clients[s.client] = s
	}
	p.account.size++
	u.sessions[s] = true
	u.publish()
	if u.closed || p.account.former {
		s.draining = true
		s.settle()
	}
}

// loginAccount logs in with the password in the account's file.
func (u *Upstream) loginAccount(ctx context.Context, a *Account, locale string) (*Session, error) {
	text, err := secretfile.Read(a.file, "password", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAccount, err)
	}
	d := u.refusals.Digest(a.user, text)
	u.mu.Lock()
	a.tried = d
	known := a.accepted == d
	u.mu.Unlock()
	c := entrance.Credentials{User: a.user, Password: text, Locale: locale, Digest: d, Known: known}
	s, err := u.login(ctx, c)
	if _, unsupported := wire.Fault[*types.InvalidLocale](err); unsupported && locale != "" {
		c.Locale = "" // a client chose it: its texts are then in the language of the upstream
		s, err = u.login(ctx, c)
	}
	if err != nil && !errors.Is(err, ErrUnreachable) {
		err = fmt.Errorf("%w: %w", ErrAccount, err)
	}
	return s, err
}

// login logs in, within the budget of failed logins. The session has no pool yet. The errors are those of
// entrance.Login.
func (u *Upstream) login(ctx context.Context, c entrance.Credentials) (*Session, error) {
	in, err := u.entrance.Login(ctx, c)
	if err != nil {
		return nil, err
	}
	now := u.opts.Now()
	return &Session{
		upstream: u, key: in.Key, cookie: in.Cookie, info: in.Info, note: in.Note, opened: now, used: now,
		gone: make(chan struct{}), alone: make(chan struct{}), readers: readers{turn: make(chan struct{}, 1)},
	}, nil
}

// tryKey tells which callers share an attempt. The digests of names that differ only in case are equal, but an
// upstream may know them as different users.
type tryKey struct {
	user   string
	digest password.Digest
}

// attempt is a try of a password, whose result all callers with the same password share.
type attempt struct {
	done    chan struct{} // closed when the fields below are valid
	account *Account
	session *Session
	err     error
}

const (
	maxTries = 1000 // at the same time
	// maxUser and maxSecret bound what is sent to the upstream.
	maxUser   = 512
	maxSecret = 4096
)

// Try logs in with a name and a password of the upstream, and returns the user's account and a session
// of it. The password is not kept. A password is tried once for all who bring it at the same time, one
// password of a user after the other, and a wrong one at most twice within some minutes. The error
// wraps ErrRejected, ErrUntried, ErrUnreachable, ErrFull, ErrClosed or the error of ctx.
func (u *Upstream) Try(ctx context.Context, user string, text secret.Text) (*Account, *Session, error) {
	if user == "" || len(user) > maxUser || text.IsZero() || len(text.Reveal()) > maxSecret {
		return nil, nil, ErrRejected // no server has such a user or password
	}
	d := u.refusals.Digest(user, text)
	key := tryKey{user, d}
	if u.private { // each caller needs a session of its own
		_, _ = rand.Read(key.digest[:])
	}
	u.mu.Lock()
	at := u.tries[key]
	if at == nil {
		err := u.entrance.Allowed(d)
		if err == nil && len(u.tries) >= maxTries {
			err = ErrFull
		}
		if err == nil && u.closed {
			err = ErrClosed
		}
		if err != nil {
			u.mu.Unlock()
			return nil, nil, err
		}
		at = &attempt{done: make(chan struct{})}
		u.tries[key] = at
		u.begin(func() { u.try(key, at, entrance.Credentials{User: user, Password: text, Digest: d}) })
	}
	u.mu.Unlock()
	select {
	case <-at.done:
		return at.account, at.session, at.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// try makes the attempt. Its context is no caller's: others wait for the result too. A caller that comes after
// the attempt has ended does not get its result.
func (u *Upstream) try(key tryKey, at *attempt, c entrance.Credentials) {
	ctx, cancel := context.WithTimeout(context.Background(), loginTime)
	defer cancel()
	s, err := u.tryInPlace(ctx, c)
	var rest *REST
	if err == nil {
		rest = u.tryREST(ctx, s, c)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		at.err = fmt.Errorf("try password: %w", err)
	} else {
		at.account, at.session = u.admit(s, c)
		u.endOrphans(s)
		u.admitREST(at.account, rest)
	}
	delete(u.tries, key)
	close(at.done)
	u.dispatch()
}

// tryInPlace waits for a place and logs in.
func (u *Upstream) tryInPlace(ctx context.Context, c entrance.Credentials) (*Session, error) {
	err := u.adopt(ctx)
	if err == nil {
		_, err = u.acquire(ctx, demand{})
	}
	if err != nil {
		return nil, err
	}
	s, err := u.login(ctx, c)
	if err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.lose(c.User, err)
	}
	return s, err
}

// admit adds a session of a pass-through user, and returns the account and the session to use. If the
// user has one that is not busy, the new one is logged out: it was only needed to try the password. The
// caller holds mu.
func (u *Upstream) admit(s *Session, c entrance.Credentials) (*Account, *Session) {
	name := cmp.Or(s.info.UserName, c.User)
	a := u.users[name]
	if a == nil {
		a = u.newAccount(name, c.User)
		u.users[name] = a
	}
	u.refusals.Accepted(c.Digest)
	p := a.pool("")
	old := demand{pool: p}.session()
	u.add(s, p)
	if old != nil && old.calls < callsPerSession && !u.private {
		s.draining = true
		s.settle()
		return a, old
	}
	return a, s
}
