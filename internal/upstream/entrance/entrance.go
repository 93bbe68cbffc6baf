// Package entrance logs in to an upstream server within the budget of failed logins, which all processes that use the
// server share. So no sequence of passwords locks a user out there.
//
// An [Entrance] sends one login at a time for each user. Before it does, the notes say whether another failure may be
// risked. Afterwards the outcome is noted together with the session, so that the next process can end the session if
// this one is killed. Package upstream decides when to log in, and what becomes of the session.
package entrance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/password"
	"github.com/vigate/vigate/internal/upstream/wire"
)

var (
	// ErrRejected means that the upstream has refused the password.
	ErrRejected = errors.New("the upstream refuses the password")
	// ErrUntried means that a password was not tried, because too many logins of its user have failed.
	ErrUntried = errors.New("the password was not tried")
	// ErrOutcome means that a login may have made a session that vigate does not know.
	ErrOutcome = errors.New("the outcome of the login is not known")
)

// Entrance is the way into one upstream. All fields are required. It is safe for concurrent use.
type Entrance struct {
	Name     string // of the upstream, in notes
	Server   *wire.Server
	Book     *note.Book
	Refusals *password.Refusals
	// Expires returns when the note of a session that begins now may be forgotten.
	Expires func() time.Time
	Sent    func() // called for each login that is sent
	Now     func() time.Time
}

// Credentials are what a login sends.
type Credentials struct {
	User     string
	Password secret.Text
	Locale   string
	Digest   password.Digest
	Known    bool // the upstream has accepted the password before
}

// Session is what a login has made.
type Session struct {
	*wire.Session
	Note note.Key
}

// noteTime bounds what follows a login: its note or, if that fails, its logout.
const noteTime = 10 * time.Second

// Allowed returns an error that wraps ErrRejected if the password must not be tried now.
func (e *Entrance) Allowed(d password.Digest) error {
	if until := e.Refusals.Until(d); !until.IsZero() {
		return fmt.Errorf("%w: it is not tried again before %s", ErrRejected, until.UTC().Format(time.RFC3339))
	}
	return nil
}

// Login logs in. The error wraps ErrRejected if the upstream refused the password, ErrUntried if it was not asked,
// and wire.ErrUnreachable. If it wraps ErrOutcome too, there may be a session.
func (e *Entrance) Login(ctx context.Context, c Credentials) (*Session, error) {
	content, err := e.Server.Content(ctx)
	if err != nil {
		return nil, err
	}
	client := e.Server.Fresh(wire.Cookie{})
	var answer *wire.Session
	noted, err := e.budgeted(ctx, c, func() (note.Key, error) {
		var err error
		if answer, err = client.Login(ctx, *content.SessionManager, c.User, c.Password, c.Locale); err != nil {
			return note.Key{}, err
		}
		return note.Key{Key: answer.Key}, nil
	}, func(ctx context.Context) error {
		client.Cookie = answer.Cookie
		return client.Logout(ctx, *content.SessionManager)
	})
	if err != nil {
		return nil, err
	}
	return &Session{answer, noted}, nil
}

// LoginAutomation logs in to the Automation API at the path, and returns the token of the session. The errors are
// those of Login. The token authenticates the session, so it is not in the note: after a crash the session only takes
// a place until it must have expired.
func (e *Entrance) LoginAutomation(ctx context.Context, path string, c Credentials) (secret.Text, note.Key, error) {
	client := e.Server.Fresh(wire.Cookie{})
	var token secret.Text
	noted, err := e.budgeted(ctx, c, func() (note.Key, error) {
		var err error
		token, err = client.LoginAutomation(ctx, path, c.User, c.Password)
		return note.Key{REST: true}, err
	}, func(ctx context.Context) error { return client.LogoutAutomation(ctx, path, token) })
	return token, noted, err
}

// budgeted makes a login within the budget of failed logins, and returns the note of the session. login returns what
// is noted. end ends the session; it is called if the note can't be written.
func (e *Entrance) budgeted(
	ctx context.Context, c Credentials, login func() (note.Key, error), end func(context.Context) error,
) (note.Key, error) {
	try, err := e.Book.Begin(ctx, e.Name, c.User, func() error { return e.Allowed(c.Digest) })
	if err != nil {
		if !errors.Is(err, ErrRejected) {
			err = fmt.Errorf("%w: %w", ErrUntried, err)
		}
		return note.Key{}, err
	}
	e.Sent()
	key, err := login()
	outcome, err := judge(err)
	if errors.Is(err, ErrRejected) {
		e.Refusals.Refused(c.Digest)
	}
	if outcome == note.Unknown && c.Known {
		outcome = note.Unsent // the password is right, so the login did not fail for it
	}
	// The login may have used up the time of ctx, and its end must be noted all the same.
	ending, cancel := context.WithTimeout(context.Background(), noteTime)
	defer cancel()
	if err != nil {
		return note.Key{}, errors.Join(err, try.End(ending, outcome, nil, time.Time{}))
	}
	key.Upstream, key.Account, key.Since = e.Name, c.User, e.Now().UTC()
	if err := try.End(ending, outcome, &key, e.Expires()); err != nil {
		// After a crash nobody would know of the session.
		if end(ending) != nil {
			err = errors.Join(err, ErrOutcome)
		}
		return note.Key{}, err
	}
	return key, nil
}

// judge returns what the error of a login means for the budget of failed logins, and for the caller.
func judge(err error) (note.Outcome, error) {
	var fault *wire.FaultError
	var status *wire.StatusError
	_, wrong := wire.Fault[*types.InvalidLogin](err)
	_, forbidden := wire.Fault[*types.NoPermission](err)
	switch {
	case err == nil:
		return note.Accepted, nil
	case wrong:
		return note.Refused, fmt.Errorf("%w: %w", ErrRejected, err)
	case forbidden:
		return note.Accepted, err // the user is known, but has no role
	case errors.Is(err, wire.ErrUnauthorized):
		return note.Refused, fmt.Errorf("%w: %w", ErrRejected, err)
	case errors.Is(err, wire.ErrUnreachable):
		return note.Unsent, err
	case errors.As(err, &fault):
		return note.Unsent, err
	case errors.As(err, &status):
		return note.Unsent, fmt.Errorf("%w: %w", wire.ErrUnreachable, err)
	}
	return note.Unknown, fmt.Errorf("%w: %w: %w", wire.ErrUnreachable, ErrOutcome, err)
}
