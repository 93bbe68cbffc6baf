package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// errNoRenewal says that a session must not be renewed.
var errNoRenewal = errors.New("the session is not renewed")

// renewalTimeout bounds one run of the login function, and with it how long a
// call waits for it, even where the function waits for itself.
const renewalTimeout = 2 * time.Minute

// session is the state of the client's session.
type session struct {
	mu sync.Mutex // guards everything below; no I/O under it

	token Token
	// generation counts the changes of the token, so that a call which was sent
	// with an older one does not cause a renewal.
	generation uint64
	closed     bool
	// ended is set from Logout to the next login: no renewal then.
	ended bool
	// refused is what the server answered to the login function, which is not
	// tried again then.
	refused error
	// renewal is the one under way, or nil.
	renewal *renewal
	// stop ends the keep-alive that runs, nil if none does; aliveBy counts them.
	stop    context.CancelCauseFunc
	aliveBy uint64
}

// renewal is one run of the login function, for all the calls that wait for it.
type renewal struct {
	ctx  context.Context // of the login function; nobody waits past its end
	done chan struct{}   // closed at the end
	err  error           // set before done is closed, as is leftover
	// leftover is why a session that was made while Logout came may live on.
	leftover error
}

type renewalKey struct{}

// renewing returns the renewal whose login function makes the call, or nil.
func renewing(ctx context.Context) *renewal {
	r, _ := ctx.Value(renewalKey{}).(*renewal)
	return r
}

func (s *session) current() (Token, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Token{}, 0, ErrClosed
	}
	return s.token, s.generation, nil
}

// login takes over the token of a new session. by is the renewal that it comes
// from: unlike a login of the program's own, it does not undo a Logout.
func (s *session) login(token Token, by *renewal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.token = token
	s.generation++
	if by == nil {
		s.ended, s.refused = false, nil
	}
	return nil
}

// drop forgets the token if it still is the one given.
func (s *session) drop(token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = Token{}
		s.generation++
	}
}

func (s *session) close() {
	s.mu.Lock()
	stop := s.stop
	s.closed, s.stop = true, nil
	s.mu.Unlock()
	if stop != nil {
		stop(ErrClosed)
	}
}

// Token returns the token of the client's session; zero where it has none.
func (c *Client) Token() Token {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.token
}

// SetToken makes the client use a session that exists, such as one whose token
// was kept in a file. The zero Token makes it anonymous. The session that the
// client had lives on at the server.
func (c *Client) SetToken(t Token) {
	// Only a closed client refuses, whose calls say so themselves.
	_ = c.session.login(t, nil)
}

// renew logs in again by the login function, or waits for the login that
// another call has begun. generation is that of the token that was refused.
func (c *Client) renew(ctx context.Context, generation uint64) error {
	s := &c.session
	s.mu.Lock()
	switch {
	case s.closed || s.ended:
		s.mu.Unlock()
		return errNoRenewal
	case s.renewal == nil && s.generation != generation && !s.token.IsZero():
		s.mu.Unlock()
		return nil // renewed since
	case s.refused != nil:
		defer s.mu.Unlock()
		return s.refused
	}
	r := s.renewal
	if r == nil {
		r = &renewal{done: make(chan struct{})}
		var cancel context.CancelFunc
		// The login is for all who wait, so it must not end with the context of
		// the one who happened to come first.
		r.ctx, cancel = context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), renewalKey{}, r), renewalTimeout)
		s.renewal = r
		// The dead token must not go with the login, and a call that comes now
		// must not use it either.
		s.token = Token{}
		s.generation++
		go c.runRenewal(r, cancel)
	}
	s.mu.Unlock()
	err := r.wait(ctx)
	switch {
	case err == nil:
		return r.err
	case c.life.Err() != nil:
		return ErrClosed
	}
	return err
}

// wait returns nil when the renewal is done, or an error where it is not worth
// waiting for any longer.
func (r *renewal) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
	}
	select {
	case <-r.done: // its context ends with it as well
		return nil
	default:
		return r.ctx.Err()
	}
}

// isRefusal reports whether the server has refused to log in who asked, rather
// than not been able to. To ask again could lock the account.
func isRefusal(err error) bool {
	var login *types.InvalidLogin
	var permission *types.NoPermission
	_, isStatus := errors.AsType[*HTTPError](err)
	return !isStatus && (As(err, &login) || As(err, &permission))
}

func (c *Client) runRenewal(r *renewal, cancel context.CancelFunc) {
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := c.login(r.ctx, c)

	s := &c.session
	s.mu.Lock()
	token := s.token
	switch {
	case err != nil && isRefusal(err) && token.IsZero():
		s.refused = err
	case err != nil && isRefusal(err):
		// A login of the program's own was faster, and its session is as good.
		err = nil
	case err != nil:
	case s.ended:
		err = errNoRenewal
	case token.IsZero():
		err = errors.New("the login function did not log in")
	}
	ended := s.ended
	if ended {
		s.token = Token{}
		s.generation++
	}
	s.mu.Unlock()

	if ended && !token.IsZero() {
		// Logout came while the login was under way: the new session must not
		// be left behind.
		r.leftover = c.logout(r.ctx, token)
	}
	s.mu.Lock()
	s.renewal = nil
	s.mu.Unlock()
	r.err = err
	close(r.done)
}

// Logout ends the session at the server, the keep-alive, and renewals: until the
// next login the client is anonymous. A session that has ended already, or none,
// is no error. After any other error the session may still live, and Logout can
// be called again.
func (c *Client) Logout(ctx context.Context) error {
	s := &c.session
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return callError("SessionManager.Logout", ErrClosed)
	}
	s.ended = true
	stop, r := s.stop, s.renewal
	s.stop = nil
	s.mu.Unlock()
	if stop != nil {
		stop(ErrLoggedOut)
	}
	if r != nil && r != renewing(ctx) {
		if err := r.wait(ctx); err != nil {
			return callError("SessionManager.Logout", err)
		}
		// It has logged out whatever it logged in.
		if r.leftover != nil {
			return r.leftover
		}
	}
	token := c.Token()
	if token.IsZero() {
		return nil
	}
	if err := c.logout(ctx, token); err != nil {
		return err
	}
	s.drop(token)
	return nil
}

// logout ends the session of a token.
func (c *Client) logout(ctx context.Context, token Token) error {
	ref, err := c.sessionManager(ctx)
	if err != nil {
		return err
	}
	err = c.invoke(ctx, ref, "Logout", nil, nil, call{token: &token})
	if err != nil && !isNotAuthenticated(err) {
		return err
	}
	return nil
}
