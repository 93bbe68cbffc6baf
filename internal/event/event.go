// Package event is the event log. An [Event] records a login, the end of a session, a granted
// permission and the like. It is appended in the same commit as the change that it describes
// ([Log.Change]), so that neither exists without the other.
//
// A [Log] holds the newest events in memory, within limits, and answers queries with a [Filter]. A
// [Collector] reads the selected events page by page. [Log.Trim] removes old events from the store.
// The package stores facts, not texts: package history converts events to the API's types and to
// messages in the reader's language.
package event

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Event is one event of the log. It holds facts, not texts: the message is built when the event is
// read, in the reader's language.
type Event struct {
	// Key is the event's number in the API. The log sets it when the event is read. Keys increase;
	// the key after 2,147,483,647 is 1.
	Key int32 `json:"-"`
	// ChainID is the Key of the event that began the chain. If it is 0 when an event is posted, the
	// event begins a chain, and queries return its own key.
	ChainID int32 `json:"chain,omitempty"`
	// Type is the API's type name, such as UserLoginSessionEvent. Events for which the API has no
	// type are of type EventEx and have an ID of the form vigate.*.
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
	// User is the principal who acted. If Origin is set, the principal Origin impersonated it. For
	// a failed login, User is the name that the client sent.
	User    string    `json:"user"`
	Origin  string    `json:"origin,omitempty"`
	Created time.Time `json:"created"`

	// The following members are empty if the type does not have them.
	SessionID string    `json:"session,omitempty"`
	Address   string    `json:"addr,omitempty"`
	UserAgent string    `json:"agent,omitempty"`
	Locale    string    `json:"locale,omitempty"`
	LoginTime time.Time `json:"login,omitzero"`
	CallCount int64     `json:"calls,omitempty"`
	// Subject is the object of the action: the terminated user, the target of an impersonation, the
	// role, or the extension.
	Subject string `json:"subject,omitempty"`
	// Message and PrevMessage are used by GlobalMessageChangedEvent and by events that users log.
	Message     string `json:"msg,omitempty"`
	PrevMessage string `json:"prev,omitempty"`
	// Severity is info, warning, error or user. It is empty if the type determines it, see
	// Category. Tag is the tag from the client that posted the event.
	Severity string `json:"sev,omitempty"`
	Tag      string `json:"tag,omitempty"`
	// Args are further arguments of an EventEx, by name.
	Args map[string]string `json:"args,omitempty"`
}

// Limits on the size of one event in bytes. Anyone can cause a BadUsernameSessionEvent, so events
// must not be a way to fill the store.
const (
	maxWord    = 512      // User, UserAgent and all other short members
	maxMessage = 16 << 10 // Message, PrevMessage
	maxArgs    = 32       // number of Args
	maxArgName = 128
	maxArgText = 8 << 10 // names and values of Args together
)

// bounded returns a copy of e. Its strings are cleaned and truncated, and times that JSON can't
// represent are removed.
func (e Event) bounded() Event {
	for _, s := range []*string{&e.Type, &e.ID, &e.User, &e.Origin, &e.SessionID, &e.Address, &e.UserAgent, &e.Locale,
		&e.Subject, &e.Severity, &e.Tag} {
		*s = clean(*s, maxWord, word)
	}
	for _, s := range []*string{&e.Message, &e.PrevMessage} {
		*s = clean(*s, maxMessage, line)
	}
	if e.Type == "" {
		e.Type = "Event" // the base type of all events: better than losing the event
	}
	// JSON can't represent every time zone that Go can, so the time is stored in UTC.
	if e.LoginTime = e.LoginTime.UTC(); !inRange(e.LoginTime) {
		e.LoginTime = time.Time{}
	}
	e.Args = boundedArgs(e.Args)
	return e
}

// boundedArgs keeps the first maxArgs arguments in the order of their names, so that the same event
// is always truncated in the same way.
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

// clean maps every character of s and truncates the result to at most limit bytes at the end of a
// character. Each byte that is not UTF-8 counts as U+FFFD.
func clean(s string, limit int, character func(rune) rune) string {
	// The text is truncated first, so that the work does not depend on the length that a client
	// chose.
	return cut(strings.Map(character, cut(s, 4*limit)), limit)
}

// word replaces invisible characters and line ends by U+FFFD. It removes none, because a name must
// not turn into the name of another user.
func word(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
		return unicode.ReplacementChar
	}
	return r
}

// line removes control characters except line feeds, and characters that change the text direction.
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
