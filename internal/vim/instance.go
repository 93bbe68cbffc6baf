package vim

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/instance"
	"github.com/vigate/vigate/internal/session"
)

// MaxInstances returns how many objects a session may have at a time.
func (a *API) MaxInstances() int { return int(a.ledger.Limits()[budget.Objects].Session) }

// NewInstance creates an object of the type for the session. v is its state, and weight the size of
// the state in bytes. If v has a Close method, it is called when the object is destroyed or the
// session ends; it must return quickly.
//
// Errors: *budget.ExceededError, session.ErrNoSession.
func (a *API) NewInstance(l *session.Live, typ string, v any, weight int64) (types.ManagedObjectReference, error) {
	key := l.Key()
	amounts := budget.Of(budget.Memory, instance.Weight+weight)
	amounts[budget.Objects] = 1
	hold, err := a.take(l, amounts)
	if err != nil {
		return types.ManagedObjectReference{}, fmt.Errorf("make %s: %w", typ, err)
	}
	ref := a.instances.Add(key, typ, v, hold)
	if !a.sessions.Alive(l) {
		// It ended before the object was registered.
		a.endSession(key)
		return types.ManagedObjectReference{}, session.ErrNoSession
	}
	return ref, nil
}

// Resize changes the size of the state of a session's object to weight bytes. It does nothing if the
// object does not exist any more.
//
// Errors: *budget.ExceededError; the object's size is then unchanged.
func (a *API) Resize(ref types.ManagedObjectReference, weight int64) error {
	return a.instances.Resize(ref, weight)
}

// Destroy removes an object of a session.
func (a *API) Destroy(ref types.ManagedObjectReference) { a.instances.Remove(ref) }

// Instance returns the state of an object of the session. It returns nil if there is no such object
// or it belongs to another session.
func (a *API) Instance(l *session.Live, ref types.ManagedObjectReference) any {
	if l == nil {
		return nil
	}
	return a.instances.Get(l.Key(), ref)
}

// resolve finds the object of the call.
func (a *API) resolve(c *Call) *Fault {
	t := a.objects[c.Object.Type]
	if t.ID != "" && c.Object.Value == t.ID {
		return nil
	}
	if c.Instance = a.Instance(c.Session, c.Object); c.Instance != nil {
		return nil
	}
	return ObjectNotFound(c.Object)
}
