package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"

	"github.com/vigate/vigate/internal/secret"
)

// Token is the secret that authenticates a request: 20 bytes from the system's secure random
// source, written as 40 lower-case hex digits as vCenter does.
//
// Call Reveal only to write the response's header and cookie.
type Token struct{ secret.Text }

// tokenLength is the length of a token on the wire, in bytes.
const tokenLength = 40

func newToken(random io.Reader) (Token, error) {
	var b [tokenLength / 2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return Token{}, fmt.Errorf("make token: %w", err)
	}
	return Token{secret.New(hex.EncodeToString(b[:]))}, nil
}

// Hash is the SHA-256 of a token or a ticket. Only the hash is stored and kept in memory.
type Hash [sha256.Size]byte

// hashToken returns the hash of what a caller sent as a token to a front, or to this server itself if
// front is empty, and whether it has the form of a token. The same token has another hash at each
// front, so that it is unknown everywhere but at its own.
func hashToken(front, s string) (Hash, bool) {
	if len(s) != tokenLength {
		return Hash{}, false
	}
	var b [tokenLength]byte
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Hash{}, false
		}
		b[i] = c
	}
	return hashAt(front, b[:]), true
}

// hashAt returns the hash of a token or ticket as it is valid at a front. It does not allocate unless
// the name of the front is long.
func hashAt(front string, text []byte) Hash {
	if front == "" {
		return sha256.Sum256(text)
	}
	b := make([]byte, 0, 256)
	b = append(append(append(b, front...), 0), text...)
	return sha256.Sum256(b)
}

// Key is the public id of a session, a random UUID. It names a session in lists, events and object
// ids, but does not authenticate anybody.
type Key uuid.UUID

func newKey(random io.Reader) (Key, error) {
	u, err := uuid.NewRandomFromReader(random)
	if err != nil {
		return Key{}, fmt.Errorf("make session key: %w", err)
	}
	return Key(u), nil
}

// parseKey parses a key in the only spelling that String writes.
func parseKey(s string) (Key, bool) {
	// For this length uuid.Parse accepts only this form, but in either case.
	if len(s) != 36 || strings.ContainsAny(s, "ABCDEF") {
		return Key{}, false
	}
	u, err := uuid.Parse(s)
	return Key(u), err == nil
}

func (k Key) String() string { return uuid.UUID(k).String() }

// randomOr returns the system's secure source if r is nil.
func randomOr(r io.Reader) io.Reader {
	if r == nil {
		return rand.Reader
	}
	return r
}
