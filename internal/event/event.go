// Package event is the log of what happened: who logged in, what was ended,
// what was granted. Events are appended in the same commit as the change that
// they tell of, so that neither is there without the other.
package event

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Event is one thing that happened. It holds facts, not sentences: the message
// is made when it is read, in the reader's language.
type Event struct {
	// Key is the API's number of the event: the log sets it when the event is
	// read. It only grows, but that after 2,147,483,647 comes 1.
	Key int32 `json:"-"`
	// ChainID is the Key of the event that began the chain. 0 to Change: its
	// own, which is then what queries return.
	ChainID int32 `json:"chain,omitempty"`
	// Type is the API's type name, such as UserLoginSessionEvent. Events that
	// the API has no type for are EventEx, with an ID of the form vigate.*.
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
	// User is the principal who acted, with its own authority or, where Origin
	// is set, impersonated by that one. Of a failed login it is the name as sent.
	User    string    `json:"user"`
	Origin  string    `json:"origin,omitempty"`
	Created time.Time `json:"created"`

	// What the types carry, each empty where the type has no such member.
	SessionID string    `json:"session,omitempty"`
	Address   string    `json:"addr,omitempty"`
	UserAgent string    `json:"agent,omitempty"`
	Locale    string    `json:"locale,omitempty"`
	LoginTime time.Time `json:"login,omitzero"`
	CallCount int64     `json:"calls,omitempty"`
	// Subject is whom or what it was done to: the terminated user, the target
	// of an impersonation, the role, the extension.
	Subject string `json:"subject,omitempty"`
	// Message and PrevMessage belong to GlobalMessageChangedEvent and to
	// events that users log.
	Message     string `json:"msg,omitempty"`
	PrevMessage string `json:"prev,omitempty"`
	// Severity is info, warning, error or user where it is not what the type
	// says, see Category. Tag is what a client that posted the event gave it.
	Severity string `json:"sev,omitempty"`
	Tag      string `json:"tag,omitempty"`
	// Args are further arguments of an EventEx, by name.
	Args map[string]string `json:"args,omitempty"`
}

// What one event may hold, in bytes: an event must never be a way to fill the
// store, as anyone may cause BadUsernameSessionEvent.
const (
	maxWord    = 512      // User, UserAgent and every other short member
	maxMessage = 16 << 10 // Message, PrevMessage
	maxArgs    = 32       // number of Args
	maxArgName = 128
	maxArgText = 8 << 10 // names and values of Args together

	// maxEvent is what the record of an event has at the most: JSON may write a
	// byte as two.
	maxEvent = 96 << 10
)

// bounded returns e with every string cut and cleaned, and times that JSON
// can't hold removed.
func (e Event) bounded() Event {
	for _, s := range []*string{&e.Type, &e.ID, &e.User, &e.Origin, &e.SessionID, &e.Address, &e.UserAgent, &e.Locale, &e.Subject, &e.Severity, &e.Tag} {
		*s = clean(*s, maxWord, word)
	}
	for _, s := range []*string{&e.Message, &e.PrevMessage} {
		*s = clean(*s, maxMessage, line)
	}
	if e.Type == "" {
		e.Type = "Event" // the API's supertype of all: better than an event lost
	}
	// In UTC, as JSON has no place for every time zone that Go can make.
	if e.LoginTime = e.LoginTime.UTC(); !inRange(e.LoginTime) {
		e.LoginTime = time.Time{}
	}
	e.Args = boundedArgs(e.Args)
	return e
}

// boundedArgs keeps the first maxArgs names in their order, so that the same
// event is cut the same way each time.
func boundedArgs(args map[string]string) map[string]string {
	if len(args) == 0 {
		return nil
	}
	out := make(map[string]string, min(len(args), maxArgs))
	left := maxArgText
	for _, k := range slices.Sorted(maps.Keys(args)) {
		name, value := clean(k, maxArgName, word), clean(args[k], maxWord, word)
		if left -= len(name) + len(value); len(out) == maxArgs || left < 0 {
			break
		}
		out[name] = value
	}
	return out
}

// clean maps every character of s, U+FFFD for each byte that is not UTF-8, and
// cuts the result to at most limit bytes at a character's end.
func clean(s string, limit int, character func(rune) rune) string {
	// Cut first: the length of what strangers send is theirs to choose, the
	// work is not.
	return cut(strings.Map(character, cut(s, 4*limit)), limit)
}

// word puts U+FFFD in the place of characters that are not seen or that end a
// line. It removes none: a name that somebody typed must not become another's.
func word(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
		return unicode.ReplacementChar
	}
	return r
}

// line removes control characters but line feeds, and the characters of
// direction.
func line(r rune) rune {
	if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
		return -1
	}
	return r
}

// cut returns at most limit bytes of s without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
