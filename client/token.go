package client

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const redacted = "[redacted]"

// Token is the secret that authenticates a session. However it is printed,
// logged or marshalled, it shows as "[redacted]"; only Reveal returns it.
// Tokens can be compared with ==. The zero Token is no token.
type Token struct {
	// A handle, not a string: package fmt can't reach the methods below where
	// the Token is in an unexported field, and prints what it finds there.
	value unique.Handle[string]
}

// NewToken makes a Token of its value, such as one kept in a file.
func NewToken(value string) Token {
	if value == "" {
		return Token{}
	}
	return Token{value: unique.Make(value)}
}

// Reveal returns the token itself.
func (t Token) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.value.Value()
}

// IsZero reports whether there is no token.
func (t Token) IsZero() bool { return t == Token{} }

// String returns a placeholder, not the token.
func (t Token) String() string { return redacted }

// GoString returns a placeholder, not the token.
func (t Token) GoString() string { return redacted }

// Format writes a placeholder for every verb.
func (t Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// MarshalText returns a placeholder, not the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns a placeholder, not the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }
