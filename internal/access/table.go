// Package access decides which principal may do what. A role is a set of privileges. A permission gives a
// role to a user, a group or an extension on the root folder.
//
// [Table] answers questions about authority from memory. [Manager] changes roles and permissions. The
// rules are those of vCenter: a permission of the user itself overrides those of its groups, and
// permissions of several groups are combined. The package does not know which users and groups exist: see
// [Options].
package access

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// Root is the id of the root folder, the only entity that can have permissions.
const Root = "group-d1"

// Permission gives a role on the root folder to a principal.
type Permission struct {
	Principal principal.Name
	Group     bool // Principal is a group
	Role      int32
	Propagate bool // stored, but without effect: the root folder has no children here
}

// Table holds all roles and permissions in memory. It is safe for concurrent use. It is read-only:
// a Manager changes it, through the store.
type Table struct {
	logger   *slog.Logger
	declared func() []PrivilegeInfo

	now atomic.Pointer[snapshot] // the state that questions are answered from

	mu      sync.Mutex // guards what follows, and the order in which now is set
	current state
	staged  state // the records of a snapshot while it is being loaded
	loading bool
	changed chan struct{} // closed when now is replaced; nil while nobody waits
}

// state is the document at a revision.
type state struct {
	doc      *document
	revision store.Revision // 0 if there is no document
	damage   error          // the document can't be read; doc is then empty
}

func emptyState() state { return state{doc: &document{NextRole: 1}} }

// NewTable returns an empty table. declared returns the privileges that registered extensions
// declare; it may be nil, and must not call the table. Call Refresh when they change. Damaged
// records are logged to logger; if it is nil, slog.Default is used.
func NewTable(declared func() []PrivilegeInfo, logger *slog.Logger) *Table {
	if declared == nil {
		declared = func() []PrivilegeInfo { return nil }
	}
	if logger == nil {
		logger = slog.Default()
	}
	t := &Table{logger: logger, declared: declared, current: emptyState()}
	t.now.Store(newSnapshot(t.current, newVocabulary(nil)))
	return t
}

// View returns the view through which the mirror feeds the table. The document also contains the
// roles: see formatVersion.
func (t *Table) View() store.View {
	return store.NewView([]store.Kind{store.Permission}, t.reset, t.put, t.delete, t.whole)
}

// reset implements the view's Reset. The previous state stays in force until Whole.
func (t *Table) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.staged, t.loading = emptyState(), true
}

// put implements the view's Put.
func (t *Table) put(r store.Record) {
	s := emptyState()
	s.revision = r.Revision
	switch doc, err := decode(r.Value); {
	case r.ID != Root:
		t.logger.Error("permissions on an unknown entity are not in force", "entity", r.ID)
		return
	case err != nil:
		// Nobody has any privilege until the record is repaired. To serve a part of it could give
		// access to somebody who should not have it.
		s.damage = &store.DamagedError{Where: fmt.Sprintf("permissions on %s", Root), Cause: err}
		t.logger.Error("permissions can't be read: nobody has any privilege", "err", s.damage)
	default:
		if len(doc.merged) > 0 {
			t.logger.Error("permissions have names that are now the same: they give no access until they are set again",
				"names", doc.merged)
		}
		s.doc = doc
	}
	t.show(s)
}

// delete implements the view's Delete.
func (t *Table) delete(_ store.Kind, id string) {
	if id == Root {
		t.show(emptyState())
	}
}

// whole implements the view's Whole.
func (t *Table) whole() {
	t.mu.Lock()
	s := t.staged
	t.loading, t.staged = false, state{}
	t.mu.Unlock()
	t.show(s)
}

// show makes s the state that questions are answered from. While a whole state is being loaded, it
// keeps s until the end.
func (t *Table) show(s state) {
	declared := t.declared()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loading {
		t.staged = s
		return
	}
	t.current = s
	t.replace(newSnapshot(s, newVocabulary(declared)))
}

// replace makes s the snapshot that questions are answered from. Callers hold mu.
func (t *Table) replace(s *snapshot) {
	t.now.Store(s)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// Changed returns a channel that is closed at the next change of roles, permissions or privileges.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed
}

// Refresh reads the privileges that extensions declare now.
func (t *Table) Refresh() {
	declared := t.declared()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(newSnapshot(t.current, newVocabulary(declared)))
}

// Damaged returns why the permissions can't be read, or nil if they can. While they can't be read,
// nobody has any privilege and nothing can be changed.
func (t *Table) Damaged() error {
	return t.state().damage
}

// Require returns the condition that the table's current state is still in force. If Require is
// called first and the questions afterwards, a commit with this condition was allowed at the very
// moment of the commit. ok is false if there are no permissions or they can't be read.
func (t *Table) Require() (c store.Change, ok bool) {
	s := t.now.Load()
	if s.revision == 0 || s.damaged {
		return store.Change{}, false
	}
	return store.RequireAt(store.Permission, Root, s.revision), true
}

// Founded reports whether the first administrator was ever set up.
func (t *Table) Founded() bool { return t.state().revision != 0 }

func (t *Table) state() state {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// settled returns a state that includes all commits that any process acknowledged before the call.
// On return the mirror's other views, above all that of the accounts, are at least as new.
func (t *Table) settled(ctx context.Context, m *store.Mirror) (state, error) {
	if err := m.Sync(ctx); err != nil {
		return state{}, err
	}
	s := t.state()
	// The mirror may still be applying the commit of s to the other views.
	if err := m.Wait(ctx, s.revision); err != nil {
		return state{}, err
	}
	return s, s.damage
}
