// Package access says who may do what: roles are sets of privileges, and
// permissions give a role to a user or a group on the root folder.
//
// [Table] answers, from memory; [Manager] changes. The rules are those of
// vCenter: a permission of the user itself overrides those of its groups, and
// those of several groups unite.
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

// Root is the one entity that permissions are on: the root folder.
const Root = "group-d1"

// Permission gives a role on the root folder.
type Permission struct {
	Principal principal.Name
	Group     bool // Principal is a group
	Role      int32
	Propagate bool // kept; the root folder has no children it could matter for
}

// Table is all roles and permissions, in memory. It is safe for concurrent
// use, and read only: a Manager changes it, through the store.
type Table struct {
	logger   *slog.Logger
	declared func() []PrivilegeInfo

	now atomic.Pointer[snapshot] // what questions are answered from

	mu      sync.Mutex // guards what follows, and the order in which now is set
	current state
	staged  state // of the whole state that is being read
	loading bool
	changed chan struct{} // closed when now is another; nil while nobody waits
}

// state is the document at a revision.
type state struct {
	doc      *document
	revision store.Revision // 0: there is none
	damage   error          // it can't be read; doc is then empty
}

func emptyState() state { return state{doc: &document{NextRole: 1}} }

// NewTable makes an empty table. declared returns the privileges that
// registered extensions declare, nil for none; call Refresh when they change. It
// must not call the table. Damage is logged to log, nil for slog.Default.
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

// View is what the mirror feeds the table by. Roles are in the document too: see
// formatVersion.
func (t *Table) View() store.View {
	return store.NewView([]store.Kind{store.Permission}, t.reset, t.put, t.delete, t.whole)
}

// reset is the view's Reset. Answers stay as they were until Whole.
func (t *Table) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.staged, t.loading = emptyState(), true
}

// put is the view's Put.
func (t *Table) put(r store.Record) {
	s := emptyState()
	s.revision = r.Revision
	switch doc, err := decode(r.Value); {
	case r.ID != Root:
		t.logger.Error("permissions on an unknown entity are not in force", "entity", r.ID)
		return
	case err != nil:
		// Nobody may do anything until it is mended: anything else would be a
		// guess at who was to be kept out.
		s.damage = &store.DamagedError{Where: fmt.Sprintf("permissions on %s", Root), Cause: err}
		t.logger.Error("permissions can't be read: nobody has any privilege", "err", s.damage)
	default:
		if len(doc.merged) > 0 {
			t.logger.Error("permissions are of names that are the same: they give no access until they are set again",
				"names", doc.merged)
		}
		s.doc = doc
	}
	t.show(s)
}

// delete is the view's Delete.
func (t *Table) delete(_ store.Kind, id string) {
	if id == Root {
		t.show(emptyState())
	}
}

// whole is the view's Whole.
func (t *Table) whole() {
	t.mu.Lock()
	s := t.staged
	t.loading, t.staged = false, state{}
	t.mu.Unlock()
	t.show(s)
}

// show makes s what questions are answered from, or keeps it until the whole
// state is there.
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

// replace makes s what questions are answered from. Callers hold mu.
func (t *Table) replace(s *snapshot) {
	t.now.Store(s)
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// Changed is closed at the next change of roles, permissions or privileges.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.changed
}

// Refresh takes the privileges that extensions declare now.
func (t *Table) Refresh() {
	declared := t.declared()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replace(newSnapshot(t.current, newVocabulary(declared)))
}

// Damaged returns why the permissions can't be read, nil where they can. While
// they can't, nobody has any privilege and nothing can be changed.
func (t *Table) Damaged() error {
	return t.state().damage
}

// Require returns the condition that authority is still what the table answers
// from now: a commit that is held to it was allowed at its very instant, if it
// was allowed by answers that were asked for afterwards. ok is false while there
// are no permissions, or none that can be read.
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

// settled returns a state that is not behind what any process was acknowledged
// before the call, at a moment at which the mirror's other views, that of the
// accounts above all, are not behind the state.
func (t *Table) settled(ctx context.Context, m *store.Mirror) (state, error) {
	if err := m.Sync(ctx); err != nil {
		return state{}, err
	}
	s := t.state()
	// s may be of a commit that the mirror is in the midst of showing.
	if err := m.Wait(ctx, s.revision); err != nil {
		return state{}, err
	}
	return s, s.damage
}
