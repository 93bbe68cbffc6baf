package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Before compares appended records by their order. The result is negative if a comes before b.
func Before(a, b Record) int {
	return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.ID, b.ID))
}

// Numbering says which numbers the appended records of a kind have.
//
// No record holds its number. The present records, in their order, have the numbers after Removed.
// So every process that reads the store finds the same numbers, and a commit that appends needs no
// counter. Records are removed only from the beginning of the order. The commit that removes them
// sets Removed to the number of the last one, so the other records keep their numbers.
//
// An id may state a number, see NumberedID. The record then has that number, unless the record
// before it already has that number or a larger one; then it has the next. Copies of a store use
// such ids. So did earlier versions, which took the numbers from a counter. Their numbers may have
// gaps, because those versions removed expired records from any position.
//
// A Numbering is stored as one record of the kind Numbers. If there is no such record, the zero
// value applies.
type Numbering struct {
	// Removed is the number of the last record that was removed. 0: none was.
	Removed uint64 `json:"removed,omitempty"`
	// Counted is the last number that an earlier version took from its counter, whether or not the
	// record still exists. A record whose id states no number has a larger number.
	Counted uint64 `json:"counted,omitempty"`
}

// NumberingID returns the id of the record that holds the Numbering of the kind.
func NumberingID(k Kind) string { return fmt.Sprintf("%02x", uint8(k)) }

// ParseNumbering reads the record of a Numbering.
func ParseNumbering(r Record) (Numbering, error) {
	var n Numbering
	if err := json.Unmarshal(r.Value, &n); err != nil {
		return Numbering{}, &DamagedError{Where: fmt.Sprintf("numbering of kind %s", r.ID), Cause: err}
	}
	return n, nil
}

// Record returns the record that holds the Numbering of the kind.
func (n Numbering) Record(k Kind) Record {
	b, err := json.Marshal(n)
	if err != nil {
		panic("store: encode numbering: " + err.Error()) // two numbers
	}
	return Record{Kind: Numbers, ID: NumberingID(k), Value: b}
}

// Trim returns the changes that remove the first appended records of the kind. These are the
// records with the ids; the last of them has the number last. at is the revision of the Numbering's
// record at the time when the ids were found to be the first, or 0 if there was no such record. If
// another process has trimmed since, the commit conflicts, and the caller must find the first ids
// again.
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

// Numberer assigns numbers to appended records, one after the other in their order.
type Numberer struct{ last, counted uint64 }

// Numberer returns a Numberer that begins with the first present record.
func (n Numbering) Numberer() Numberer { return Numberer{n.Removed, n.Counted} }

// Next returns the number of the next record in the order, whose id it needs.
func (n *Numberer) Next(id string) uint64 {
	if stated, err := IDNumber(id); err == nil {
		n.last = max(n.last+1, stated)
	} else {
		n.last = max(n.last, n.counted) + 1
	}
	return n.last
}

// Last returns the number of the last record, the largest so far.
func (n *Numberer) Last() uint64 { return n.last }

const numberDigits = 16

// NumberedID returns an id that states a number. Such ids sort as their numbers do.
func NumberedID(n uint64) string { return fmt.Sprintf("%0*x", numberDigits, n) }

var errNoNumber = errors.New("id states no number")

// IDNumber returns the number that an id states, see NumberedID. Numbers have 63 bits: after any
// number that a store may hold there is room for the next.
func IDNumber(id string) (uint64, error) {
	if len(id) != numberDigits {
		return 0, errNoNumber
	}
	return strconv.ParseUint(id, 16, 63)
}

// AppendedID returns an id for a record that a commit appends. index is the position of the change
// in the commit. The function suits a store that knows the revision of a commit in advance.
func AppendedID(at Revision, index int) string {
	return fmt.Sprintf("%0*x-%06x", numberDigits, uint64(at), index)
}
