// Package instance keeps the managed objects that belong to sessions, for example event collectors
// and property filters. They exist only in the memory of this server, and end with their session.
//
// A [Table] finds the state of an object by its reference, for the session that owns it and for no
// other. It does not know what the state is, and it does not decide how many objects a session may
// have: each object comes with a hold of package budget, which the table releases with the object.
package instance

import (
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/session"
)

// Weight is the size of an object without its state, in bytes: its id, which is in three places,
// and the entries there.
const Weight = 512

// prefix begins the moId of an object that belongs to a session, as in vCenter.
const prefix = "session["

// Owned reports whether the reference is that of an object of a session, by its form.
func Owned(ref types.ManagedObjectReference) bool { return strings.HasPrefix(ref.Value, prefix) }

// Table holds the objects of all sessions. It is safe for concurrent use.
type Table struct {
	mu    sync.Mutex // guards owned and state
	owned map[session.Key][]types.ManagedObjectReference
	state map[types.ManagedObjectReference]instance
}

type instance struct {
	owner session.Key
	value any
	hold  *budget.Hold
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		owned: map[session.Key][]types.ManagedObjectReference{},
		state: map[types.ManagedObjectReference]instance{},
	}
}

// Add adds an object of the type and returns its reference. If value has a Close method, it is
// called when the object is removed; it must return quickly.
func (t *Table) Add(owner session.Key, typ string, value any, hold *budget.Hold) types.ManagedObjectReference {
	ref := types.ManagedObjectReference{Type: typ, Value: prefix + owner.String() + "]" + uuid.NewString()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owned[owner] = append(t.owned[owner], ref)
	t.state[ref] = instance{owner, value, hold}
	return ref
}

// Get returns the value of an object of the owner. It returns nil if there is no such object or it
// belongs to another session.
func (t *Table) Get(owner session.Key, ref types.ManagedObjectReference) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, ok := t.state[ref]; ok && i.owner == owner {
		return i.value
	}
	return nil
}

// Resize changes the size of the state of an object to weight bytes. It does nothing if the object
// does not exist any more.
//
// Errors: *budget.ExceededError; the object's size is then unchanged.
func (t *Table) Resize(ref types.ManagedObjectReference, weight int64) error {
	t.mu.Lock()
	i, ok := t.state[ref]
	t.mu.Unlock()
	if !ok {
		return nil
	}
	return i.hold.Resize(budget.Memory, Weight+weight)
}

// Remove removes an object and releases its hold.
func (t *Table) Remove(ref types.ManagedObjectReference) {
	t.mu.Lock()
	i, ok := t.state[ref]
	delete(t.state, ref)
	if ok {
		rest := slices.DeleteFunc(t.owned[i.owner], func(r types.ManagedObjectReference) bool { return r == ref })
		if t.owned[i.owner] = rest; len(rest) == 0 {
			delete(t.owned, i.owner)
		}
	}
	t.mu.Unlock()
	closeValue(i.value)
	i.hold.Release()
}

// EndSession removes all objects of the session. It does not release their holds: the ledger ends
// all holds of a session at once.
func (t *Table) EndSession(owner session.Key) {
	t.mu.Lock()
	var values []any
	for _, ref := range t.owned[owner] {
		values = append(values, t.state[ref].value)
		delete(t.state, ref)
	}
	delete(t.owned, owner)
	t.mu.Unlock()
	for _, v := range values {
		closeValue(v)
	}
}

func closeValue(v any) {
	if c, ok := v.(interface{ Close() }); ok {
		c.Close()
	}
}
