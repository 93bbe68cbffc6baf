// Package store defines how vigate keeps its data: records that have revisions, atomic commits with
// conditions, and a stream of changes that begins with the whole state. [Store] is the contract,
// which the embedded store and the etcd store implement.
//
// The package knows nothing about sessions or users. Each package of the domain gives its kinds of
// records a meaning, and keeps a view of them in memory. A [Mirror] feeds the views from the
// stream. So a read never leaves the process, and the views work the same way over every store.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is a name space of records. A kind and an id together identify a record: a ticket and a
// session that have the same id are two records.
//
// The numbers are stored on disk. Never renumber a kind, and never reuse a number.
type Kind uint8

// The kinds. Each comment begins with the package that owns the kind.
const (
	Session    Kind = 1  // session: one live session
	Ticket     Kind = 2  // session: one unspent one-time ticket
	Spent      Kind = 3  // reserved for login: something that was used and must not be used again
	Account    Kind = 4  // account: a local user
	Role       Kind = 5  // reserved for access, which keeps its roles in its one Permission record
	Permission Kind = 6  // access
	Extension  Kind = 7  // extension
	Setting    Kind = 8  // setting: options, the service message, the instance's identity
	Event      Kind = 9  // event: is only appended, see Append
	Lockout    Kind = 10 // reserved for login, which counts failures in memory
	Node       Kind = 11 // cluster: a running server
	Numbers    Kind = 12 // store: one record for each kind that is appended, see Numbering
	KeptEvent  Kind = 13 // event: an event that outlives the events after it; keeps its number
	Roster     Kind = 14 // roster: one record, written by every commit that adds a user or an extension
	SigningKey Kind = 15 // sts/signing: a private key of the token service, and its certificate
	Upstream   Kind = 16 // upstream/note: the key of a session at an upstream, or the failed logins of a user there
)

// Appended reports whether Append writes the records of the kind. Such records have an order and
// numbers, see Numbering.
func (k Kind) Appended() bool { return k == Event }

// Revision is the position of a commit in the order of all commits. A later commit has a larger
// revision. No commit has revision 0.
type Revision uint64

// Record is one stored value.
type Record struct {
	Kind  Kind
	ID    string
	Value []byte
	// Revision is the revision of the commit that wrote the record. The store sets it.
	Revision Revision
	// Expires is the first instant at which the record is absent, swept or not. It is exact to the
	// nanosecond. Zero: the record never expires.
	Expires time.Time
}

// Expired reports whether the record is absent at now.
func (r Record) Expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// Op is the operation of a change.
type Op uint8

const (
	OpPut    Op = iota + 1 // write the record
	OpDelete               // remove the record
	OpCheck                // write nothing, but make the commit depend on the condition
	OpAppend               // write a new record under an id that the store makes
)

// Condition is what must be true of a record at the instant of the commit. An expired record counts
// as absent.
type Condition struct {
	kind condition
	rev  Revision
}

type condition uint8

const (
	condAlways condition = iota
	condAbsent
	condPresent
	condAt
)

// Holds reports whether a record meets the condition. A record is present if it exists and has not
// expired; its revision is at.
func (c Condition) Holds(present bool, at Revision) bool {
	switch c.kind {
	case condAbsent:
		return !present
	case condPresent:
		return present
	case condAt:
		return present && at == c.rev
	}
	return true
}

// Absent reports whether the record must be absent. Absent, Present and At describe the condition
// to a store that can't call Holds inside its own transaction.
func (c Condition) Absent() bool { return c.kind == condAbsent }

// Present reports whether the record must be present, at any revision.
func (c Condition) Present() bool { return c.kind == condPresent }

// At returns the revision that the record must have, and whether the condition requires one.
func (c Condition) At() (Revision, bool) { return c.rev, c.kind == condAt }

// Change is one part of a commit. The functions below make changes.
type Change struct {
	Op     Op
	Record Record
	If     Condition
}

// Create writes a record that must be absent.
func Create(k Kind, id string, value []byte, expires time.Time) Change {
	return Change{OpPut, Record{Kind: k, ID: id, Value: value, Expires: expires}, Condition{kind: condAbsent}}
}

// Put writes a record, present or not.
func Put(k Kind, id string, value []byte, expires time.Time) Change {
	return Change{OpPut, Record{Kind: k, ID: id, Value: value, Expires: expires}, Condition{}}
}

// Update writes a record that must still have the revision at which the caller read it.
func Update(k Kind, id string, at Revision, value []byte, expires time.Time) Change {
	return Change{OpPut, Record{Kind: k, ID: id, Value: value, Expires: expires}, Condition{condAt, at}}
}

// Delete removes a record that must be present.
func Delete(k Kind, id string) Change {
	return Change{OpDelete, Record{Kind: k, ID: id}, Condition{kind: condPresent}}
}

// DeleteAt removes a record that must still have the revision.
func DeleteAt(k Kind, id string, at Revision) Change {
	return Change{OpDelete, Record{Kind: k, ID: id}, Condition{condAt, at}}
}

// Clear removes a record if it is present.
func Clear(k Kind, id string) Change {
	return Change{OpDelete, Record{Kind: k, ID: id}, Condition{}}
}

// Require makes the commit fail unless the record is present.
func Require(k Kind, id string) Change {
	return Change{OpCheck, Record{Kind: k, ID: id}, Condition{kind: condPresent}}
}

// RequireAt makes the commit fail unless the record still has the revision.
func RequireAt(k Kind, id string, at Revision) Change {
	return Change{OpCheck, Record{Kind: k, ID: id}, Condition{condAt, at}}
}

// Forbid makes the commit fail if the record is present.
func Forbid(k Kind, id string) Change {
	return Change{OpCheck, Record{Kind: k, ID: id}, Condition{kind: condAbsent}}
}

// Append writes a new record under an id that no other record has had. The kind must be one that is
// appended, see Kind.Appended.
//
// Appended records have an order: the order of their commits, and within a commit the order of its
// changes. The store makes ids such that this is the order by Revision and then by ID, see Before.
// It needs no counter for an id, so commits that append don't contend with each other.
//
// Nothing changes or sweeps appended records. Only the changes that Numbering.Trim returns remove
// them, from the beginning of the order.
func Append(k Kind, value []byte, expires time.Time) Change {
	return Change{OpAppend, Record{Kind: k, Value: value, Expires: expires}, Condition{}}
}

// Delta is what a commit did to one record. In a batch of the whole state, it is one record of that
// state.
type Delta struct {
	Record  Record // without Value if Deleted
	Deleted bool
}

// Batch is one step of the stream.
type Batch struct {
	// Revision: after this batch the reader has seen every change up to this revision. It has a
	// meaning only once a batch with Whole has been delivered.
	Revision Revision
	// Reset: the reader must forget everything. A new whole state begins with this batch. The first
	// batch of a stream has Reset, and so has the batch after a gap that can't be filled.
	Reset bool
	// Whole: this batch completes the state that Reset began.
	Whole bool
	// Deltas: those of a whole state are in any order. Those of later batches are in the order of
	// their commits. Records that one commit appended are in the order of their ids.
	Deltas []Delta
}

// Store keeps the records. It is safe for concurrent use. Values that go in or come out are copies:
// neither side sees later changes of the other side. IDs are 1 to 512 bytes of any value but NUL.
//
// Errors: *ConflictError if a condition does not hold, ErrNotFound from Get, ErrUnavailable
// (wrapped) if the data can't be reached or written now, ErrClosed, *DamagedError, and the error of
// ctx. If a method returns an error, nothing was written, except with ErrUncertain.
type Store interface {
	// Commit applies all changes or none, and returns after they are durable. Two changes of one
	// commit must not name the same record, not even an OpCheck and a write. A commit that only
	// checks is allowed.
	Commit(ctx context.Context, changes ...Change) (Revision, error)

	// Touch writes each record that still has its Revision, and skips the others. It never creates
	// a record. It returns the new revisions in order, and 0 for each record that it skipped.
	Touch(ctx context.Context, records ...Record) ([]Revision, error)

	// Get reads one record. It sees every commit that was acknowledged before the call.
	Get(ctx context.Context, k Kind, id string) (Record, error)

	// Watch calls apply for the whole state and then for every commit in order, one call at a time,
	// until ctx ends, apply fails or the store closes. It may deliver expired records.
	Watch(ctx context.Context, apply func(Batch) error) error

	// Newest returns the revision of the newest acknowledged commit. A stream that has reached that
	// revision has missed nothing that was acknowledged before the call.
	Newest(ctx context.Context) (Revision, error)

	// Sweep removes up to limit expired records of the kinds, and returns how many it removed. It
	// returns an error if a kind is appended. If several nodes share the store, only one sweeps at
	// a time; for the others Sweep returns 0.
	Sweep(ctx context.Context, limit int, kinds ...Kind) (int, error)

	// Close ends all watches. Calls that follow return ErrClosed.
	Close() error
}

var (
	// ErrNotFound: the record does not exist or has expired.
	ErrNotFound = errors.New("record not found")
	// ErrConflict: a condition of the commit does not hold. See ConflictError.
	ErrConflict = errors.New("record was changed meanwhile")
	// ErrUnavailable: the store can't be reached or written now, for example because the disk is
	// full or etcd has no quorum. A later call may succeed.
	ErrUnavailable = errors.New("store unavailable")
	// ErrUncertain: the store could not find out whether the commit happened.
	ErrUncertain = errors.New("outcome of commit unknown")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store closed")
)

// ConflictError says which change has a condition that does not hold. It wraps ErrConflict.
type ConflictError struct {
	Index int // index of the first such change
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("change %d: %v", e.Index, ErrConflict)
}

func (e *ConflictError) Unwrap() error { return ErrConflict }

// DamagedError says what can't be read, and where. A store with damage is never opened as if it
// were empty.
type DamagedError struct {
	Where string // the file, and the kind and id if they are known
	Cause error
}

func (e *DamagedError) Error() string { return "damaged record in " + e.Where + ": " + e.Cause.Error() }

func (e *DamagedError) Unwrap() error { return e.Cause }
