// Package secret holds what must not be seen: tokens, tickets, passwords, and the
// credentials that requests bring. However such a value is printed, logged or
// encoded, also as part of another value, it shows as a placeholder. Only Reveal
// gives it away, so that a search for Reveal finds every place that does.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Placeholder is what every secret shows as.
const Placeholder = "[secret]"

// Text is a secret text. The zero Text is empty.
type Text struct {
	hidden
	// A pointer, not a string: package fmt can't call the methods below if the
	// Text is in an unexported field of another value. It then prints what it
	// finds by reflection, and follows no pointer there.
	value *string
}

// New makes a Text of its value.
func New(value string) Text {
	if value == "" {
		return Text{}
	}
	return Text{value: &value}
}

// Reveal is the text itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether the text is empty.
func (t Text) IsZero() bool { return t.value == nil }

// Bytes are secret bytes, which are not copied. The zero Bytes are none.
type Bytes struct {
	hidden
	// Two pointers: for a verb that does not fit, package fmt follows the one that
	// it stumbled over, if that leads to a list.
	value **[]byte
}

// NewBytes makes Bytes of their value.
func NewBytes(value []byte) Bytes {
	if len(value) == 0 {
		return Bytes{}
	}
	return Bytes{value: new(&value)}
}

// Reveal is the bytes themselves.
func (b Bytes) Reveal() []byte {
	if b.value == nil {
		return nil
	}
	return **b.value
}

// IsZero reports whether there are no bytes.
func (b Bytes) IsZero() bool { return b.value == nil }

// hidden is how secrets print. It can't be compared: == would compare pointers.
type hidden struct{ _ [0]func() }

// String is the placeholder.
func (hidden) String() string { return Placeholder }

// GoString is the placeholder.
func (hidden) GoString() string { return Placeholder }

// Format writes the placeholder for every verb.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Placeholder) }

// MarshalText is the placeholder.
func (hidden) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// LogValue is the placeholder.
func (hidden) LogValue() slog.Value { return slog.StringValue(Placeholder) }
