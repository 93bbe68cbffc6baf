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

// isOdd reports whether the id does not show that the object belongs to a session.
func (o *Object[S]) isOdd() bool {
	return o.Type != method.Token && !strings.HasPrefix(o.Real, "session[")
}
