package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unique"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// stored is an event as stored. Unknown fields from a newer version are ignored. A newer version
// that changes the meaning of a field increases V.
type stored struct {
	V int `json:"v,omitempty"`
	Event
}

// maxStored is the maximum size of a record that is decoded, in bytes. Change never creates records
// of that size.
const maxStored = 256 << 10

// encode encodes an event. It does not escape characters for HTML, because no browser reads the
// result and each escape needs six bytes.
func encode(e Event) []byte {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(stored{Event: e}); err != nil {
		// bounded has removed everything that JSON can't represent.
		panic("event: encode " + e.Type + ": " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func decode(value string) (Event, error) {
	if len(value) > maxStored {
		return Event{}, fmt.Errorf("decode event: %d bytes are too large", len(value))
	}
	var s stored
	if !scan(value, &s.Event) {
		s = stored{}
		if err := json.Unmarshal([]byte(value), &s); err != nil {
			return Event{}, fmt.Errorf("decode event: %w", err)
		}
	}
	switch {
	case s.V != 0:
		return Event{}, fmt.Errorf("decode event: written by a newer version (format %d)", s.V)
	case s.Type == "" || !inRange(s.Created):
		return Event{}, errors.New("decode event: no type or no time")
	}
	return s.Event, nil
}

// inRange reports whether t is a time that nanoseconds in 64 bits can hold.
func inRange(t time.Time) bool { y := t.UTC().Year(); return y >= 1700 && y <= 2200 }

// entry is an event in memory. It has fields for the members that filters check, and the rest in
// its stored form. Values that many events share are stored once.
type entry struct {
	seq     uint64 // number of the event; 0 if not known yet
	created int64  // Unix nanoseconds
	expires int64  // Unix nanoseconds; 0 means never
	class   unique.Handle[class]
	actor   unique.Handle[actor]
	stored  string // the record's id and value; only the id if the record is unreadable
	idLen   uint16
	share   share
	chain   int32 // 0 if the event began the chain
}

// class is the kind of an event.
type class struct{ typ, id, severity, tag string }

// actor holds the keys of the principals of an event. A filter for either of them selects the
// event.
type actor struct{ name, origin string }

// newEntry creates the entry of a record. It returns an error if the record is unreadable. The
// entry is valid also in this case: it must be counted, because the numbers of the other events
// depend on it, but readers don't see it.
func newEntry(r store.Record) (entry, error) {
	n := entry{stored: r.ID, idLen: uint16(len(r.ID)), share: others}
	if !r.Expires.IsZero() {
		n.expires = r.Expires.UnixNano()
	}
	stored := r.ID + string(r.Value)
	e, err := decode(stored[len(r.ID):])
	if err != nil {
		return n, err
	}
	n.stored, n.share = stored, shareOf(&e)
	// Responses contain times with a precision of a microsecond. A client that asks for the events
	// since that time must find this one.
	n.created = e.Created.Truncate(time.Microsecond).UnixNano()
	n.class = unique.Make(class{e.Type, e.ID, e.Severity, e.Tag})
	n.actor = unique.Make(actor{principal.Fold(e.User), principal.Fold(e.Origin)})
	n.chain = e.ChainID
	return n, nil
}

func (e *entry) id() string { return e.stored[:e.idLen] }

// size returns the size of the stored event in bytes. The id does not count, because a copy in
// another store has an id of another length.
func (e *entry) size() int { return len(e.stored) - int(e.idLen) }

// kept returns the change that stores the event as a store.KeptEvent.
func (e *entry) kept() store.Change {
	var expires time.Time
	if e.expires != 0 {
		expires = time.Unix(0, e.expires).UTC()
	}
	return store.Put(store.KeptEvent, store.NumberedID(e.seq), []byte(e.stored[e.idLen:]), expires)
}

// readable reports whether the record could be read.
func (e *entry) readable() bool { return len(e.stored) > int(e.idLen) }

// visible reports whether readers see the event at the time now.
func (e *entry) visible(now int64) bool { return e.readable() && !e.expired(now) }

// chainKey returns the key of the event that began the chain.
func (e *entry) chainKey() int32 {
	if e.chain == 0 {
		return keyOf(e.seq)
	}
	return e.chain
}

func (e *entry) expired(now int64) bool { return e.expires != 0 && now >= e.expires }

// event decodes the whole event.
func (e *entry) event() Event {
	out, err := decode(e.stored[e.idLen:])
	if err != nil {
		panic("event: an entry that was read can't be read again: " + err.Error())
	}
	out.Key, out.ChainID = keyOf(e.seq), e.chainKey()
	return out
}

// keyOf converts an event's number in the store to its key in the API. Keys of the API have 31
// bits. A server with 100 logins per second uses them up in about eight months; then they begin
// again at 1. If the last key were used for all later events, clients would take them for one
// event, and many clients refuse negative keys. The order of events and the positions of collectors
// use the number in the store, which has 64 bits.
func keyOf(seq uint64) int32 {
	if seq == 0 {
		return 0
	}
	return int32((seq-1)%math.MaxInt32) + 1
}

// time returns when the event was created, to the microsecond.
func (e *entry) time() time.Time { return time.Unix(0, e.created) }
