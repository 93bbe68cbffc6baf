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

// MaxPassword is the maximum length of a password in bytes.
const MaxPassword = 1024

// MinPassword is the minimum number of characters of a new password if nothing else is configured.
// It is the minimum of OWASP ASVS 6.2.1.
const MinPassword = 8

// compute returns the hash of the password with the cost and salt of h. It is as long as the key of
// h.
func (h hash) compute(password []byte) []byte {
	return argon2.IDKey(password, h.salt, h.cost.Time, h.cost.Memory, h.cost.Lanes, uint32(len(h.key)))
}

func (h hash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(h.compute(password), h.key) == 1
}

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return salt
}

// hash hashes a new password, after waiting for its turn.
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

// Digest returns the Argon2id hash of a password with a salt, at the cost of the passwords of local users, after
// waiting for its turn among them. It is for passwords that another server has verified. It returns ErrBusy if too
// many passwords are being hashed, or ctx's error.
func (m *Manager) Digest(ctx context.Context, from Caller, name string, salt, password []byte) ([]byte, error) {
	leave, err := m.gate.enter(ctx, from, name)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	defer leave()
	return hash{cost: m.cost, salt: salt, key: make([]byte, keySize)}.compute(password), nil
}

// Caller is the client that asks for a password to be verified. If many wait, networks are served
// in turn, and within a network its users.
type Caller struct {
	Network string
	// Behind is set if the caller is served only when no other caller waits.
	Behind bool
}

// Verify returns the user with the name if the password is right. The password is compared exactly
// as it came. The caller must commit the login with Account.Require.
//
// For an unknown user, a disabled user and a wrong password it returns the same error, ErrRejected,
// after the same work, so that nobody can find out which accounts exist. Before it rejects a login,
// it makes sure that this process has all acknowledged commits, because another node may have
// created or enabled the user, or set this password, an instant ago. If that can't be determined,
// it returns ErrUnconfirmed wrapped with the cause. If too many passwords are being verified, it
// returns ErrBusy. After ErrBusy, or after ctx's error without ErrUnconfirmed, no password was
// verified.
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

// verify is Verify with the current state of this process.
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
	// Hashing took a while, so check the account as it is now.
	now, _ := m.table.get(name)
	if now == nil || now.Disabled || now.Hash != r.Hash {
		return Account{}, fmt.Errorf("verify password: user is disabled or was changed: %w", ErrRejected)
	}
	return now.account(), nil
}
