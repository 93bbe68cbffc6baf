package vim

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/session"
)

// baseWeight is what an object of a session's own takes beside its state, in
// bytes: its id, which is in three places, and the places.
const baseWeight = 512

// instances are the objects that belong to sessions, such as event collectors.
// They live in this process and die with their session.
type instances struct {
	mu    sync.Mutex // guards what follows
	owned map[session.Key][]types.ManagedObjectReference
	state map[types.ManagedObjectReference]instance
}

type instance struct {
	owner session.Key
	value any
	hold  *budget.Hold
}

func newInstances() *instances {
	return &instances{
		owned: map[session.Key][]types.ManagedObjectReference{},
		state: map[types.ManagedObjectReference]instance{},
	}
}

// ownedPrefix begins the moId of an object that belongs to a session, as in
// vCenter.
const ownedPrefix = "session["

func ownedBySession(ref types.ManagedObjectReference) bool {
	return strings.HasPrefix(ref.Value, ownedPrefix)
}

// MaxInstances is how many objects of its own a session may have at a time.
func (a *API) MaxInstances() int { return int(a.ledger.Limits()[budget.Objects].Session) }

// NewInstance gives the session an object of the type with the state v, which
// takes so many bytes of memory. If v has a Close method it is called when the
// object is destroyed or the session ends; it must be quick.
//
// Errors: *budget.ExceededError, session.ErrNoSession.
func (a *API) NewInstance(l *session.Live, typ string, v any, weight int64) (types.ManagedObjectReference, error) {
	key := l.Key()
	amounts := budget.Of(budget.Memory, baseWeight+weight)
	amounts[budget.Objects] = 1
	hold, err := a.take(l, amounts)
	if err != nil {
		return types.ManagedObjectReference{}, fmt.Errorf("make %s: %w", typ, err)
	}
	ref := types.ManagedObjectReference{Type: typ, Value: ownedPrefix + key.String() + "]" + uuid.NewString()}
	a.instances.add(ref, instance{key, v, hold})
	if !a.Sessions.Alive(l) {
		// It ended before the object was known to be its own.
		a.endSession(key)
		return types.ManagedObjectReference{}, session.ErrNoSession
	}
	return ref, nil
}

// Resize tells how many bytes the state of a session's own object takes now. An
// object that is gone takes none.
//
// Errors: *budget.ExceededError; the object then has the weight that it had.
func (a *API) Resize(ref types.ManagedObjectReference, weight int64) error {
	a.instances.mu.Lock()
	i, ok := a.instances.state[ref]
	a.instances.mu.Unlock()
	if !ok {
		return nil
	}
	return i.hold.Resize(budget.Memory, baseWeight+weight)
}

// Destroy removes an object of a session.
func (a *API) Destroy(ref types.ManagedObjectReference) {
	a.instances.remove(ref)
}

// Instance is the state of a session's own object, and nil if there is none or
// it is another's.
func (a *API) Instance(l *session.Live, ref types.ManagedObjectReference) any {
	if l == nil {
		return nil
	}
	a.instances.mu.Lock()
	defer a.instances.mu.Unlock()
	if i, ok := a.instances.state[ref]; ok && i.owner == l.Key() {
		return i.value
	}
	return nil
}

// resolve finds the object that is called.
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

func (s *instances) add(ref types.ManagedObjectReference, i instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[i.owner] = append(s.owned[i.owner], ref)
	s.state[ref] = i
}

func (s *instances) remove(ref types.ManagedObjectReference) {
	s.mu.Lock()
	i, ok := s.state[ref]
	delete(s.state, ref)
	if ok {
		s.owned[i.owner] = slices.DeleteFunc(s.owned[i.owner], func(r types.ManagedObjectReference) bool { return r == ref })
		if len(s.owned[i.owner]) == 0 {
			delete(s.owned, i.owner)
		}
	}
	s.mu.Unlock()
	closeInstance(i.value)
	i.hold.Release()
}

func (s *instances) endSession(key session.Key) {
	s.mu.Lock()
	var values []any
	for _, ref := range s.owned[key] {
		values = append(values, s.state[ref].value)
		delete(s.state, ref)
	}
	delete(s.owned, key)
	s.mu.Unlock()
	for _, v := range values {
		closeInstance(v)
	}
}

func closeInstance(v any) {
	if c, ok := v.(interface{ Close() }); ok {
		c.Close()
	}
}
