package client

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const redacted = "[redacted]"

// Token is the secret that identifies a session. If it is printed, logged or marshalled, it shows
// as "[redacted]"; only Reveal returns its value. Tokens can be compared with ==. The zero Token
// means that there is no token.
type Token struct {
	// value is a handle and not a string because package fmt can't call the methods below if the
	// Token is in an unexported field of a struct. It then prints the field itself, which is only a
	// pointer here.
	value unique.Handle[string]
}

// NewToken makes a Token with the given value, for example one that was saved in a file.
func NewToken(value string) Token {
	if value == "" {
		return Token{}
	}
	return Token{value: unique.Make(value)}
}

// Reveal returns the token's value.
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
