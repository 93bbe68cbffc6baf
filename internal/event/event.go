// Package event is the log of what happened: who logged in, what was ended,
// what was granted. Events are appended in the same commit as the change that
// they tell of, so that neither is there without the other.
package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// Event is one thing that happened. It holds facts, not sentences: the message
// is made when it is read, in the reader's language.
type Event struct {
	// Key only grows; the log sets it.
	Key int32 `json:"-"`
	// ChainID is the Key of the event that began the chain; 0: its own.
	ChainID int32 `json:"chain,omitempty"`
	// Type is the API's type name, such as UserLoginSessionEvent. Events that
	// the API has no type for are EventEx, with an ID of the form vigate.*.
	Type string `json:"type"`
	ID   string `json:"id,omitempty"`
	// User is the principal who acted; impersonating sessions name both, see
	// session.Identity.
	User    string    `json:"user"`
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
	// Args are further arguments of an EventEx, by name.
	Args map[string]string `json:"args,omitempty"`
}

// Change is the part of a commit that posts the event. The log gives the event
// its key when the commit is durable, and keeps it for retention (0: for ever).
func Change(e Event, retention time.Duration) (store.Change, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return store.Change{}, fmt.Errorf("encode event %s: %w", e.Type, err)
	}
	var expires time.Time
	if retention > 0 {
		expires = e.Created.Add(retention)
	}
	return store.Append(store.Event, b, expires), nil
}
