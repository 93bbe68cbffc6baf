package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// errNoRenewal means that a session must not be renewed.
var errNoRenewal = errors.New("the session must not be renewed")

// renewalTimeout limits one run of the login function. It also limits how long a call waits for the
// run, even if the login function waits for itself.
const renewalTimeout = 2 * time.Minute

// session is the state of the client's session.
type session struct {
	mu sync.Mutex // guards the fields below; no I/O while it is held

	token Token
	// generation counts the changes of the token. A call that was sent with an older token does not
	// cause a renewal.
	generation uint64
	closed     bool
	// ended is set from Logout until the next login. The session is not renewed while it is set.
	ended bool
	// refused is the error if the server refused the login function's credentials. The login
	// function is not called again while it is set.
	refused error
	// renewal is the renewal that is running, or nil.
	renewal *renewal
	// stop ends the running keep-alive. It is nil if none is running. aliveBy is the number of
	// keep-alives started so far.
	stop    context.CancelCauseFunc
	aliveBy uint64
}

// renewal is one run of the login function. All calls that need a new session wait for it.
type renewal struct {
	ctx  context.Context // of the login function; calls stop waiting when it ends
	done chan struct{}   // closed when the run has ended
	err  error           // set before done is closed, and so is leftover
	// leftover is set if the session that the run made could not be ended after a Logout.
	leftover error
}

type renewalKey struct{}

// renewing returns the renewal whose login function makes the call, or nil if the call is not part
// of a renewal.
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

// login stores the token of a new session. by is the renewal that made the session, or nil. A login
// by a renewal does not undo a Logout; a login by the program does.
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

// drop removes the token, unless it has changed in the meantime.
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

// Token returns the token of the client's session. It is zero if the client has no session.
func (c *Client) Token() Token {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.token
}

// SetToken makes the client use an existing session, for example one whose token was saved in a
// file. With the zero Token the client becomes anonymous. SetToken does not end the session that
// the client had before.
func (c *Client) SetToken(t Token) {
	// This fails only if the client is closed, and then every call returns ErrClosed anyway.
	_ = c.session.login(t, nil)
}

// renew calls the login function, or waits if another call has already started it. generation is
// the generation of the token that the server refused.
func (c *Client) renew(ctx context.Context, generation uint64) error {
	s := &c.session
	s.mu.Lock()
	switch {
	case s.closed || s.ended:
		s.mu.Unlock()
		return errNoRenewal
	case s.renewal == nil && s.generation != generation && !s.token.IsZero():
		s.mu.Unlock()
		return nil // another call has renewed the session in the meantime
	case s.refused != nil:
		defer s.mu.Unlock()
		return s.refused
	}
	r := s.renewal
	if r == nil {
		r = &renewal{done: make(chan struct{})}
		var cancel context.CancelFunc
		// All waiting calls share the login, so it must not end with the context of the first of
		// them.
		r.ctx, cancel = context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), renewalKey{}, r),
			renewalTimeout)
		s.renewal = r
		// Neither the login nor a call that starts now may send the expired token.
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

// wait waits for the end of the renewal. It returns an error if ctx or the renewal's own context
// ends first.
func (r *renewal) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.ctx.Done():
	}
	select {
	case <-r.done: // the renewal's context also ends when the run is done
		return nil
	default:
		return r.ctx.Err()
	}
}

// isRefusal reports whether the server refused the credentials, as opposed to being unable to check
// them. Trying refused credentials again could lock the account.
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
		// The program has logged in itself in the meantime, and that session is as good.
		err = nil
	case err != nil:
	case s.ended:
		err = errNoRenewal
	case token.IsZero():
		err = errors.New("the login function returned without logging in")
	}
	ended := s.ended
	if ended {
		s.token = Token{}
		s.generation++
	}
	s.mu.Unlock()

	if ended && !token.IsZero() {
		// Logout was called during the login, so the new session must be ended too.
		r.leftover = c.logout(r.ctx, token)
	}
	s.mu.Lock()
	s.renewal = nil
	s.mu.Unlock()
	r.err = err
	close(r.done)
}

// Logout ends the session on the server, the keep-alive, and renewals. The client is then anonymous
// until the next login. It is no error if there is no session or if the session has already ended.
// After any other error the session may still be alive; call Logout again.
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
		// The renewal has also ended the session that it made.
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

// logout ends the session that has the token.
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
