// Package store defines where vigate keeps its data: named records with
// revisions, atomic commits with conditions, and a stream of changes that starts
// with the whole state.
//
// It knows nothing about sessions or users. Each domain package owns the
// meaning of its kinds and keeps a view in memory that a [Mirror] feeds from
// the stream, so that a read never leaves the process and every store, embedded
// or shared, feeds it the same way.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kind is a name space of records. A record's identity is its kind and id, so
// a ticket and a session with the same id are two records.
//
// The numbers are on disk: never renumber, never reuse.
type Kind uint8

// The kinds, each owned by the package named.
const (
	Session    Kind = 1  // session: one live session
	Ticket     Kind = 2  // session: one unspent one-time ticket
	Spent      Kind = 3  // kept for login: an artefact that was used and must not be used again
	Account    Kind = 4  // account: a local user
	Role       Kind = 5  // kept for access, whose roles are in its one Permission record
	Permission Kind = 6  // access
	Extension  Kind = 7  // extension
	Setting    Kind = 8  // setting: options, the service message, the instance's identity
	Event      Kind = 9  // event: appended only, see Append
	Lockout    Kind = 10 // kept for login, which counts failures in memory
	Node       Kind = 11 // cluster: a running server
	Numbers    Kind = 12 // store: one record for each appended kind, see Numbering
	KeptEvent  Kind = 13 // event: an event that outlives those after it, under its number
	Roster     Kind = 14 // roster: one record, written by whoever makes a user or an extension
)

// Appended reports whether the kind's records are written by Append. They have
// an order and numbers, see Numbering.
func (k Kind) Appended() bool { return k == Event }

// Revision numbers commits: a later commit has a larger one. 0 is no revision.
type Revision uint64

// Record is one stored value.
type Record struct {
	Kind  Kind
	ID    string
	Value []byte
	// Revision is that of the commit that wrote the record. Stores set it.
	Revision Revision
	// Expires is the first instant at which the record is no longer there,
	// whether or not it was swept. Zero: never. Nanoseconds count.
	Expires time.Time
}

// Expired reports whether the record is gone at now.
func (r Record) Expired(now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

// Op is what a change does.
type Op uint8

const (
	OpPut    Op = iota + 1 // write the record
	OpDelete               // remove the record
	OpCheck                // write nothing, only hold the commit to the condition
	OpAppend               // write a new record under an id that the store makes
)

// Condition is what must hold of a record at the instant of the commit.
// An expired record counts as absent.
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

// Holds reports whether the condition is met by a record that is present (and
// not expired) at the revision, or absent.
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

// Absent, Present and At describe the condition to a store that can't call
// Holds inside its own transaction.
func (c Condition) Absent() bool { return c.kind == condAbsent }

// Present reports whether the record must be there, at any revision.
func (c Condition) Present() bool { return c.kind == condPresent }

// At returns the revision that the record must have.
func (c Condition) At() (Revision, bool) { return c.rev, c.kind == condAt }

// Change is one part of a commit. Use the constructors.
type Change struct {
	Op     Op
	Record Record
	If     Condition
}

// Create writes a record that must not be there yet.
func Create(k Kind, id string, value []byte, expires time.Time) Change {
	return Change{OpPut, Record{Kind: k, ID: id, Value: value, Expires: expires}, Condition{kind: condAbsent}}
}

// Put writes a record whether or not it is there.
func Put(k Kind, id string, value []byte, expires time.Time) Change {
	return Change{OpPut, Record{Kind: k, ID: id, Value: value, Expires: expires}, Condition{}}
}

// Update writes a record that must still be at the revision it was read at.
func Update(k Kind, id string, at Revision, value []byte, expires time.Time) Change {
	return Change{OpPut, Record{Kind: k, ID: id, Value: value, Expires: expires}, Condition{condAt, at}}
}

// Delete removes a record that must be there.
func Delete(k Kind, id string) Change {
	return Change{OpDelete, Record{Kind: k, ID: id}, Condition{kind: condPresent}}
}

// DeleteAt removes a record that must still be at the revision.
func DeleteAt(k Kind, id string, at Revision) Change {
	return Change{OpDelete, Record{Kind: k, ID: id}, Condition{condAt, at}}
}

// Clear removes a record if it is there.
func Clear(k Kind, id string) Change {
	return Change{OpDelete, Record{Kind: k, ID: id}, Condition{}}
}

// Require holds the commit to the record being there.
func Require(k Kind, id string) Change {
	return Change{OpCheck, Record{Kind: k, ID: id}, Condition{kind: condPresent}}
}

// RequireAt holds the commit to the record still being at the revision.
func RequireAt(k Kind, id string, at Revision) Change {
	return Change{OpCheck, Record{Kind: k, ID: id}, Condition{condAt, at}}
}

// Forbid holds the commit to the record not being there.
func Forbid(k Kind, id string) Change {
	return Change{OpCheck, Record{Kind: k, ID: id}, Condition{kind: condAbsent}}
}

// Append writes a new record under an id that no other record has had. The kind
// must be an appended one.
//
// Appended records have an order: that of their commits, and within a commit
// that of its changes. The store makes the ids so that this is the order by
// Revision and then by ID, see Before. It takes no counter to make one, so that
// commits that append do not contend with each other.
//
// Appended records are neither changed nor swept. They are removed by the changes
// that Numbering.Trim returns, the first in the order first.
func Append(k Kind, value []byte, expires time.Time) Change {
	return Change{OpAppend, Record{Kind: k, Value: value, Expires: expires}, Condition{}}
}

// Delta is what a commit, or a part of the whole state, did to one record.
type Delta struct {
	Record  Record // without Value where Deleted
	Deleted bool
}

// Batch is one step of the stream.
type Batch struct {
	// Revision: with this batch the reader has seen every change up to here.
	// Only meaningful once a batch with Whole has been seen.
	Revision Revision
	// Reset: forget all, a new whole state begins with this batch. The first
	// batch of a stream has it, and one after a gap that can't be filled.
	Reset bool
	// Whole: with this batch the state that Reset began is complete.
	Whole bool
	// Deltas of a whole state are in any order. Those of later batches are in
	// the order of their commits, and the records that one commit has appended
	// are in the order of their ids.
	Deltas []Delta
}

// Store keeps the records. All methods may be called at the same time.
// Values handed in and out are copies: neither side sees the other's later
// changes. IDs are 1 to 512 bytes of any value but NUL.
//
// Errors: *ConflictError if a condition does not hold, ErrNotFound from Get,
// ErrUnavailable (wrapped) if the data can't be reached or written now, ErrClosed,
// *DamagedError, and ctx's own error. If an error is returned, nothing was written,
// except with ErrUncertain.
type Store interface {
	// Commit applies all changes or none, and returns after they are durable.
	// Two changes of one commit may not name the same record, OpCheck beside a
	// write included. A commit of checks only is allowed.
	Commit(ctx context.Context, changes ...Change) (Revision, error)

	// Touch writes each record that is still at its Revision, and skips the
	// others. It never creates a record. It returns the new revisions in order, 0
	// for the records that were skipped.
	Touch(ctx context.Context, records ...Record) ([]Revision, error)

	// Get reads one record as of now, after every acknowledged commit.
	Get(ctx context.Context, k Kind, id string) (Record, error)

	// Watch calls apply for the whole state and then for every commit in
	// order, one call at a time, until ctx ends, apply fails or the store
	// closes. Expired records may be among them.
	Watch(ctx context.Context, apply func(Batch) error) error

	// Newest returns the revision of the newest acknowledged commit: a stream
	// that has reached it has missed nothing acknowledged before the call.
	Newest(ctx context.Context) (Revision, error)

	// Sweep removes up to limit expired records of the kinds and returns how
	// many. Appended kinds are refused. On a shared store one node sweeps at a
	// time; the others return 0.
	Sweep(ctx context.Context, limit int, kinds ...Kind) (int, error)

	Close() error
}

var (
	// ErrNotFound: no such record, or it has expired.
	ErrNotFound = errors.New("record not found")
	// ErrConflict: a condition of the commit does not hold. See ConflictError.
	ErrConflict = errors.New("record was changed meanwhile")
	// ErrUnavailable: the store can't be reached or written now (disk full, no
	// quorum). Try later.
	ErrUnavailable = errors.New("store unavailable")
	// ErrUncertain: it could not be found out whether the commit happened.
	ErrUncertain = errors.New("outcome of commit unknown")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store closed")
)

// ConflictError says which change's condition failed. It is ErrConflict.
type ConflictError struct {
	Index int // of the first change whose condition does not hold
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("change %d: %v", e.Index, ErrConflict)
}

func (e *ConflictError) Unwrap() error { return ErrConflict }

// DamagedError says what can't be read, and where. A damaged store is never
// opened as if it were empty.
type DamagedError struct {
	Where string // file, and kind and id where known
	Cause error
}

func (e *DamagedError) Error() string { return "damaged record in " + e.Where + ": " + e.Cause.Error() }

func (e *DamagedError) Unwrap() error { return e.Cause }
