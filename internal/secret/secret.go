// Package secret defines types for values that must not be shown: tokens, tickets, passwords, and the
// credentials in requests.
//
// A [Text] or [Bytes] prints as [Placeholder], however it is printed, logged or encoded, also as a part of
// another value. Only Reveal returns the value, so a search for Reveal finds every place that uses a
// secret. The package protects against showing a secret by mistake. It does not encrypt the value, and
// does not erase it from memory.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Placeholder is the text in place of every secret.
const Placeholder = "[secret]"

// Text is a secret text. The zero Text is empty.
type Text struct {
	hidden
	// A pointer, not a string: package fmt can't call the methods below if the Text is in an unexported
	// field of another value. It then prints the field by reflection, and does not follow pointers.
	value *string
}

// New returns a Text with the given value.
func New(value string) Text {
	if value == "" {
		return Text{}
	}
	kept := value // so that an empty text, which most calls have, allocates nothing
	return Text{value: &kept}
}

// Reveal returns the text itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsZero reports whether the text is empty.
func (t Text) IsZero() bool { return t.value == nil }

// Bytes is a secret byte slice. The bytes are not copied. The zero Bytes is empty.
type Bytes struct {
	hidden
	// Two pointers: for a verb that does not fit the value, package fmt follows one pointer if it leads to
	// a slice.
	value **[]byte
}

// NewBytes returns a Bytes with the given value.
func NewBytes(value []byte) Bytes {
	if len(value) == 0 {
		return Bytes{}
	}
	kept := value
	return Bytes{value: new(&kept)}
}

// Reveal returns the bytes themselves.
func (b Bytes) Reveal() []byte {
	if b.value == nil {
		return nil
	}
	return **b.value
}

// IsZero reports whether there are no bytes.
func (b Bytes) IsZero() bool { return b.value == nil }

// hidden has the methods by which secrets are printed. It can't be compared, because == would compare
// pointers.
type hidden struct{ _ [0]func() }

// String returns the placeholder.
func (hidden) String() string { return Placeholder }

// GoString returns the placeholder.
func (hidden) GoString() string { return Placeholder }

// Format writes the placeholder for every verb.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Placeholder) }

// MarshalText returns the placeholder.
func (hidden) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// LogValue returns the placeholder.
func (hidden) LogValue() slog.Value { return slog.StringValue(Placeholder) }
