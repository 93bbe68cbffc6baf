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

// stored is the form of an event in the store. Fields that a newer version adds
// are passed over; a newer version that changes the meaning of one raises V.
type stored struct {
	V int `json:"v,omitempty"`
	Event
}

// maxStored bounds what is decoded. Change never makes as much.
const maxStored = 256 << 10

// encode writes characters as they are where it can: no browser reads it, and six
// bytes for one would add up.
func encode(e Event) []byte {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(stored{Event: e}); err != nil {
		// bounded left nothing that JSON can't hold.
		panic("event: encode " + e.Type + ": " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func decode(value string) (Event, error) {
	if len(value) > maxStored {
		return Event{}, fmt.Errorf("decode event: %d bytes are too many", len(value))
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
		return Event{}, fmt.Errorf("decode event: written by a newer version, form %d", s.V)
	case s.Type == "" || !inRange(s.Created):
		return Event{}, errors.New("decode event: no type or no time")
	}
	return s.Event, nil
}

// inRange reports whether t is a time that nanoseconds in 64 bits can hold.
func inRange(t time.Time) bool { y := t.UTC().Year(); return y >= 1700 && y <= 2200 }

// entry is an event in memory: what filters ask of it, and the rest as stored.
// What many events share is held once.
type entry struct {
	seq     uint64 // its number; 0: not known yet
	created int64  // Unix nanoseconds
	expires int64  // Unix nanoseconds; 0: never
	class   unique.Handle[class]
	actor   unique.Handle[actor]
	stored  string // the record's id, then its value; of a record that can't be read the id
	idLen   uint16
	share   share
	chain   int32 // 0: it began the chain
}

// class is what an event is.
type class struct{ typ, id, severity, tag string }

// actor is who acted, as principal keys: the event is both principals'.
type actor struct{ name, origin string }

// newEntry returns an error if the record can't be read. The entry then takes the
// record's place among the others, as it counts for their numbers, and is none
// that readers see.
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
	// Answers tell a time to the microsecond. A client that asks for the events since
	// that time must find this one.
	n.created = e.Created.Truncate(time.Microsecond).UnixNano()
	n.class = unique.Make(class{e.Type, e.ID, e.Severity, e.Tag})
	n.actor = unique.Make(actor{principal.Fold(e.User), principal.Fold(e.Origin)})
	n.chain = e.ChainID
	return n, nil
}

func (e *entry) id() string { return e.stored[:e.idLen] }

// size is how many bytes of the event are stored. Ids do not count: those of a
// copy have another length.
func (e *entry) size() int { return len(e.stored) - int(e.idLen) }

// kept is the change that stores the event as one that stays for longer than
// those after it.
func (e *entry) kept() store.Change {
	var expires time.Time
	if e.expires != 0 {
		expires = time.Unix(0, e.expires).UTC()
	}
	return store.Put(store.KeptEvent, store.NumberedID(e.seq), []byte(e.stored[e.idLen:]), expires)
}

// readable reports whether the record could be read.
func (e *entry) readable() bool { return len(e.stored) > int(e.idLen) }

// visible reports whether readers see the event at now.
func (e *entry) visible(now int64) bool { return e.readable() && !e.expired(now) }

// chainKey is the key of the event that began the chain.
func (e *entry) chainKey() int32 {
	if e.chain == 0 {
		return keyOf(e.seq)
	}
	return e.chain
}

func (e *entry) expired(now int64) bool { return e.expires != 0 && now >= e.expires }

// event is the event in full.
func (e *entry) event() Event {
	out, err := decode(e.stored[e.idLen:])
	if err != nil {
		panic("event: an entry that was read can't be read again: " + err.Error())
	}
	out.Key, out.ChainID = keyOf(e.seq), e.chainKey()
	return out
}

// keyOf is the API's number of the event with that number in the store. The API
// gives keys 31 bits, which a server with 100 logins a second uses up in some
// eight months: they then begin again at 1. A key that stood still would make
// all later events one to every client, and a negative one is invalid to many.
// Order and cursors go by the store's number, which never ends.
func keyOf(seq uint64) int32 {
	if seq == 0 {
		return 0
	}
	return int32((seq-1)%math.MaxInt32) + 1
}

// time returns when the event was created, to the microsecond.
func (e *entry) time() time.Time { return time.Unix(0, e.created) }
