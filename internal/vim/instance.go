package vim

import (
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/session"
)

// MaxInstances is how many objects of its own a session may have at a time:
// far more than clients make, few enough that one session can't fill memory.
const MaxInstances = 1000

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

// NewInstance gives the session an object of the type with the state v. If v
// has a Close method it is called when the object is destroyed or the session
// ends; it must be quick.
func (a *API) NewInstance(l *session.Live, typ string, v any) (types.ManagedObjectReference, error) {
	key := l.Key()
	ref := types.ManagedObjectReference{Type: typ, Value: ownedPrefix + key.String() + "]" + uuid.NewString()}
	if err := a.instances.add(key, ref, v); err != nil {
		return types.ManagedObjectReference{}, err
	}
	if !a.Sessions.Alive(l) {
		// It ended before the object was known to be its own.
		a.instances.endSession(key)
		return types.ManagedObjectReference{}, session.ErrNoSession
	}
	return ref, nil
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

func (s *instances) add(key session.Key, ref types.ManagedObjectReference, v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owned[key]) >= MaxInstances {
		return NewFault(&types.LimitExceeded{}, nil)
	}
	s.owned[key] = append(s.owned[key], ref)
	s.state[ref] = instance{key, v}
	return nil
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
