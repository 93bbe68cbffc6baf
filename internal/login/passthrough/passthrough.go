// Package passthrough is the login method for the users of an upstream server, who bring the names and
// passwords of that server. A password that is not known is tried there, by a login.
//
// A [Method] keeps hashes of passwords in memory, and no passwords. One that the upstream has accepted
// is not tried again for a while, and neither is one that it has just refused: a hundred clients with
// an old password must not lock the account at the upstream. The identities that the method proves are
// no principals of this server: see principal.OfUpstream.
package passthrough

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
)

// User is a user as the upstream names it.
type User struct{ Name, FullName string }

// Upstream is the server that knows the users.
type Upstream interface {
	// Try logs in at the upstream. It returns ErrRefused if the upstream has refused the password. After any other
	// error it is unknown whether the password is right.
	Try(ctx context.Context, user string, password secret.Text) (User, error)
}

// ErrRefused is returned by Upstream.Try if the upstream has refused the password.
var ErrRefused = errors.New("the upstream refuses the password")

// Options configures a Method. Front, Upstream and Digest are required.
type Options struct {
	Front    string // the name of the front
	Upstream Upstream
	// Digest returns a slow hash of a password, see account.Manager.Digest.
	Digest func(ctx context.Context, from account.Caller, name string, salt, password []byte) ([]byte, error)
	// VerifyFor returns how long a password that the upstream has accepted is not tried there again. If it is nil or
	// returns 0, each login tries its password at the upstream.
	VerifyFor func() time.Duration
	Now       func() time.Time // if nil, time.Now
}

// Method is the login method. It is safe for concurrent use.
type Method struct {
	o     Options
	names names
}

// Bounds on the names and passwords that a client may send.
const (
	maxUser     = principal.MaxLength
	maxPassword = account.MaxPassword
)

const (
	// tryTime is how long a try may take. It goes on if the client leaves: the upstream counts it in
	// any case, so the result must become known.
	tryTime = 30 * time.Second
	// refusedFor is how long a password that the upstream has refused is not tried again. It is short,
	// because the password may have become right; at most three such tries in a lock-out period of
	// vCenter's, which is 180 s, are fewer than lock an account.
	refusedFor = time.Minute
)

// New returns a method.
func New(o Options) *Method {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.VerifyFor == nil {
		o.VerifyFor = func() time.Duration { return 0 }
	}
	return &Method{o: o, names: newNames()}
}

// Name implements login.Method.
func (*Method) Name() string { return "passthrough" }

// Challenge implements login.Method.
func (*Method) Challenge() string { return "Basic" }

// Authenticate implements login.Method.
func (m *Method) Authenticate(ctx context.Context, a login.Attempt) (session.Grant, error) {
	p, ok := a.Credential.(login.Password)
	if !ok {
		return session.Grant{}, login.ErrNotMine
	}
	password := p.Secret.Reveal()
	switch {
	case p.User == "" || len(p.User) > maxUser || !principal.ValidText(p.User),
		password == "" || len(password) > maxPassword:
		return session.Grant{}, fmt.Errorf("pass login through: name or password out of bounds: %w", login.ErrRejected)
	case a.Locked:
		return session.Grant{}, fmt.Errorf("pass login through: not tried, because of a lock: %w", login.ErrRejected)
	}
	n := m.names.get(principal.Fold(login.UpstreamUser(p.User)))
	if n == nil {
		return session.Grant{}, fmt.Errorf("pass login through: too many names: %w", login.ErrBusy)
	}
	defer m.names.done(n)
	user, err := m.verify(ctx, n, a, p)
	if err != nil {
		return session.Grant{}, fmt.Errorf("pass login through: %w", err)
	}
	return session.Grant{
		Identity: session.Identity{Name: principal.OfUpstream(m.o.Front, user.Name), FullName: user.FullName},
		Scope:    session.Scope{Upstream: m.o.Front},
	}, nil
}

// typed returns the name without its domain, in the case in which it came.
func typed(p login.Password) string {
	user := login.UpstreamUser(p.User)
	return user[strings.LastIndexByte(user, '\\')+1:]
}

// verify returns the user if the password is known to be right, or if the upstream accepts it.
func (m *Method) verify(ctx context.Context, n *name, a login.Attempt, p login.Password) (User, error) {
	caller := account.Caller{Network: a.Peer.Network(), Behind: a.Behind}
	sum, err := m.o.Digest(ctx, caller, n.key, n.salt, []byte(p.Secret.Reveal()))
	if errors.Is(err, account.ErrBusy) {
		err = fmt.Errorf("%w: %w", login.ErrBusy, err)
	}
	if err != nil {
		return User{}, err
	}
	d := digest(sum)
	for {
		user, verdict, other := n.begin(d, typed(p), m.o.Now())
		switch verdict {
		case accepted:
			return user, nil
		case refused:
			return User{}, login.ErrRepeated
		case unknown:
			return m.try(ctx, n, d, p)
		}
		select {
		case <-other: // somebody else's try with this name
		case <-ctx.Done():
			return User{}, ctx.Err()
		}
	}
}

// try tries the password at the upstream. It has the turn of the name, and gives it back.
func (m *Method) try(ctx context.Context, n *name, d digest, p login.Password) (User, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
	defer cancel()
	end := n.undecided // also if Try panics
	defer func() { end() }()
	user, err := m.o.Upstream.Try(ctx, p.User, p.Secret)
	now := m.o.Now()
	switch {
	case errors.Is(err, ErrRefused):
		end = func() { n.refuse(d, now.Add(refusedFor)) }
		return User{}, fmt.Errorf("%w: %w", login.ErrRejected, err)
	case err != nil:
		return User{}, err
	}
	if user.Name == "" || len(user.Name) > maxUser || !principal.ValidText(user.Name) {
		return User{}, errors.New("the upstream calls the user by a name that can't be shown")
	}
	if !principal.ValidText(user.FullName) || len(user.FullName) > maxUser {
		user.FullName = ""
	}
	end = func() { n.accept(d, typed(p), user, now.Add(m.o.VerifyFor())) }
	m.names.know(n)
	return user, nil
}

// Forget forgets the passwords that were accepted for the user, who is named as in User. It must be
// called when the upstream has no session of the user any more: the next login is tried there.
func (m *Method) Forget(user string) {
	key := principal.Fold(user)
	for _, n := range m.names.all() {
		n.forget(key)
	}
}

// newSalt returns the salt of a name. It is different after each start of the program.
func newSalt() []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return salt
}
