package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/vigate/vigate/internal/principal"
)

// MaxPassword is the longest password in bytes.
const MaxPassword = 1024

// MinPassword is how many characters a new password has at least where nothing
// else is configured: what OWASP ASVS 6.2.1 asks for.
const MinPassword = 8

// compute is the hash of the password under the cost and salt of h, with a key
// as long as h's.
func (h hash) compute(password []byte) []byte {
	return argon2.IDKey(password, h.salt, h.cost.Time, h.cost.Memory, h.cost.Lanes, uint32(len(h.key)))
}

func (h hash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(h.compute(password), h.key) == 1
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	return salt
}

// hash makes a new password's hash, when it is its turn.
func (m *Manager) hash(ctx context.Context, password []byte) (hash, error) {
	if len(password) > MaxPassword || utf8.RuneCount(password) < m.minPassword {
		return hash{}, ErrPassword
	}
	leave, err := m.gate.enter(ctx, Caller{}, "")
	if err != nil {
		return hash{}, err
	}
	defer leave()
	h := hash{cost: m.cost, salt: newSalt(), key: make([]byte, keySize)}
	h.key = h.compute(password)
	return h, nil
}

// Caller is who asks for a password to be verified. Where many wait, networks
// take turns, and the users of each among themselves.
type Caller struct {
	Network string
	// Behind: it has its turn only when nobody waits who is not Behind.
	Behind bool
}

// Verify returns the user whose password it is. The password is used exactly as
// it came. The caller holds the login's commit to Account.Require.
//
// Unknown, disabled and wrong are one answer, ErrRejected, after the same work:
// nobody learns who has an account here. It is given only once this process
// knows what others were acknowledged: the user may have been made, enabled or
// given this password on another node an instant ago. ErrUnconfirmed, wrapped
// with the cause, if that can't be found out; ErrBusy if too many are being
// verified. After ErrBusy, or ctx's error without ErrUnconfirmed, nothing was.
func (m *Manager) Verify(ctx context.Context, name principal.Name, from Caller, password []byte) (Account, error) {
	before, _ := m.table.get(name)
	a, err := m.verify(ctx, name, from, password)
	if !errors.Is(err, ErrRejected) {
		return a, err
	}
	if err := m.mirror.Sync(ctx); err != nil {
		return Account{}, fmt.Errorf("verify password: %w: %w", ErrUnconfirmed, err)
	}
	if now, _ := m.table.get(name); now == before {
		return Account{}, err
	}
	a, err = m.verify(ctx, name, from, password)
	if err != nil && !errors.Is(err, ErrRejected) {
		err = fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return a, err
}

// verify is Verify by what this process knows.
func (m *Manager) verify(ctx context.Context, name principal.Name, from Caller, password []byte) (Account, error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return Account{}, fmt.Errorf("verify password: length out of bounds: %w", ErrRejected)
	}
	leave, err := m.gate.enter(ctx, from, name.Key())
	if err != nil {
		return Account{}, fmt.Errorf("verify password: %w", err)
	}
	h := m.nobody
	r, _ := m.table.get(name)
	if r != nil {
		h = r.hash
	}
	ok := h.matches(password)
	leave()
	switch {
	case r == nil:
		return Account{}, fmt.Errorf("verify password: no such user: %w", ErrRejected)
	case !ok:
		return Account{}, fmt.Errorf("verify password: wrong: %w", ErrRejected)
	}
	// Hashing took a while: what counts is how the account is now.
	now, _ := m.table.get(name)
	if now == nil || now.Disabled || now.Hash != r.Hash {
		return Account{}, fmt.Errorf("verify password: user is disabled or was changed: %w", ErrRejected)
	}
	return now.account(), nil
}
