package owned

import (
	"strings"

	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/session"
)

// Called returns the object that a client session names in a call, or nil. foreign is set if the object belongs to
// another client session, although its id does not show it.
func (t *Table[S]) Called(l *session.Live, id string) (o *Object[S], foreign bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if owner := t.odd[id]; owner != nil {
		return owner.real[id], owner.live != l
	}
	if c := t.clients[l]; c != nil {
		return c.objects[id], false
	}
	return nil, false
}

// Odd returns a function that reports whether a text is the id of such an object of any client. It is nil while there
// is no such object.
func (t *Table[S]) Odd() func(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.odd) == 0 {
		return nil
	}
	return func(id string) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.odd[id] != nil
	}
}

// isOdd reports whether the id does not show that the object belongs to a session.
func (o *Object[S]) isOdd() bool {
	return o.Type != method.Token && !strings.HasPrefix(o.Real, "session[")
}
