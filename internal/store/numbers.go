package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Before orders appended records: negative if a comes before b.
func Before(a, b Record) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.ID, b.ID))
}

// Numbering says how the appended records of a kind are numbered.
//
// No record holds its number. The records that are there, in their order, have
// the numbers that follow Removed, so that every process that reads the store
// finds the same numbers, and a commit that appends needs no counter. Records
// are removed from the front only, and in the commit that removes them Removed
// becomes the number of the last: the others keep their numbers.
//
// An id may state a number, see NumberedID. Its record has that number, unless
// the record before it has as large a one already; then it has the next. Copies
// of a store use such ids, and so did earlier versions, which took the numbers
// from a counter. The latter may have gaps, as those versions removed expired
// records wherever they were.
//
// Numbering is stored as one record of the kind Numbers. If there is none the
// zero value counts.
type Numbering struct {
	// Removed is the number of the last record that was removed; 0: none was.
	Removed uint64 `json:"removed,omitempty"`
	// Counted is the last number that an earlier version took from its counter,
	// whether or not its record is still there. Records whose ids state no
	// number have larger ones.
	Counted uint64 `json:"counted,omitempty"`
}

// NumberingID is the id of the record that holds the kind's Numbering.
func NumberingID(k Kind) string { return fmt.Sprintf("%02x", uint8(k)) }

// ParseNumbering reads the record of a Numbering.
func ParseNumbering(r Record) (Numbering, error) {
	var n Numbering
	if err := json.Unmarshal(r.Value, &n); err != nil {
		return Numbering{}, &DamagedError{Where: fmt.Sprintf("numbering of kind %s", r.ID), Cause: err}
	}
	return n, nil
}

// Record is the record that holds the kind's Numbering.
func (n Numbering) Record(k Kind) Record {
	b, err := json.Marshal(n)
	if err != nil {
		panic("store: encode numbering: " + err.Error()) // two numbers
	}
	return Record{Kind: Numbers, ID: NumberingID(k), Value: b}
}

// Trim removes the first of the kind's appended records: those with the ids, the
// last of which has that number. at is the revision of the record that held the
// Numbering when the ids were found to be the first, 0 if there was none. If
// another process has trimmed since, the commit conflicts, and the ids must be
// found again.
func (n Numbering) Trim(k Kind, at Revision, last uint64, ids ...string) []Change {
	n.Removed = last
	r := n.Record(k)
	changes := make([]Change, 0, 1+len(ids))
	if at == 0 {
		changes = append(changes, Create(r.Kind, r.ID, r.Value, time.Time{}))
	} else {
		changes = append(changes, Update(r.Kind, r.ID, at, r.Value, time.Time{}))
	}
	for _, id := range ids {
		changes = append(changes, Clear(k, id))
	}
	return changes
}

// Numberer gives numbers to appended records.
type Numberer struct{ last, counted uint64 }

// Numberer begins with the first record that is there.
func (n Numbering) Numberer() Numberer { return Numberer{n.Removed, n.Counted} }

// Next returns the number of the next record in the order.
func (n *Numberer) Next(id string) uint64 {
	if stated, err := IDNumber(id); err == nil {
		n.last = max(n.last+1, stated)
	} else {
		n.last = max(n.last, n.counted) + 1
	}
	return n.last
}

// Last is the number of the record before the next one: the largest so far.
func (n *Numberer) Last() uint64 { return n.last }

const numberDigits = 16

// NumberedID is an id that states a number. Such ids sort as their numbers do.
func NumberedID(n uint64) string { return fmt.Sprintf("%0*x", numberDigits, n) }

var errNoNumber = errors.New("id states no number")

// IDNumber is the number that an id states, see NumberedID. Numbers have 63 bits,
// so that none that a store may hold leaves no room for the next.
func IDNumber(id string) (uint64, error) {
	if len(id) != numberDigits {
		return 0, errNoNumber
	}
	return strconv.ParseUint(id, 16, 63)
}

// AppendedID is an id for the record that a commit appends as its change of that
// index. It suits a store that knows the commit's revision beforehand.
func AppendedID(at Revision, index int) string {
	return fmt.Sprintf("%0*x-%06x", numberDigits, uint64(at), index)
}
