package access

import (
	"context"
	"errors"
	"fmt"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
)

var (
	// ErrLastAdministrator is returned if a change would leave nobody who can log in and has the
	// role Admin on the root folder.
	ErrLastAdministrator = errors.New("the last administrator can't be removed")
	// ErrNotFounded is returned while the first administrator was not set up.
	ErrNotFounded = errors.New("no administrator was set up yet")
)

// Options configures a Manager. All members are needed.
type Options struct {
	Mirror *store.Mirror // feeds Table, and the view that Enabled reads
	Table  *Table
	Events *event.Log
	// Exists reports whether the user, extension or group exists.
	Exists func(who principal.Name, group bool) bool
	// Enabled reports whether there is such a local user that is not disabled. Only such users
	// count as remaining administrators, because the server can't know which users of another
	// directory, or members of a group, are able to log in.
	Enabled func(who principal.Name) bool
}

// Manager changes roles and permissions. When a call returns, the change is durable and in force
// for all sessions.
//
// Every change may return a *GrantError, ErrLastAdministrator, ErrNotFounded, an error of the
// store, or store.ErrConflict if there are too many concurrent changes of authority.
type Manager struct {
	table   *Table
	mirror  *store.Mirror
	events  *event.Log
	exists  func(principal.Name, bool) bool
	enabled func(principal.Name) bool
	// turn serializes the changes of this process, so that they don't cause each other conflicts.
	turn chan struct{}
}

// NewManager returns a manager.
func NewManager(o Options) *Manager {
	return &Manager{table: o.Table, mirror: o.Mirror, events: o.Events, exists: o.Exists,
		enabled: o.Enabled, turn: make(chan struct{}, 1)}
}

// attempts is how often a change is tried again after a conflict with another process or with a
// change of an account. At each conflict the other change succeeded.
const attempts = 20

// change calls edit with a copy of the document and commits the result with the events. edit may be
// called several times. If it returns no event, there is nothing to commit.
func (m *Manager) change(
	ctx context.Context, what string, by Grantor, edit func(*document) ([]event.Event, error),
) error {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	var err error
	for range attempts {
		if err = m.try(ctx, by, edit); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (m *Manager) try(ctx context.Context, by Grantor, edit func(*document) ([]event.Event, error)) error {
	s, err := m.table.settled(ctx, m.mirror)
	if err != nil {
		return err
	}
	if s.revision == 0 {
		return ErrNotFounded
	}
	doc := s.doc.clone()
	events, err := edit(doc)
	if err != nil || len(events) == 0 {
		return err
	}
	if err := m.table.judge(by, s, doc); err != nil {
		return err
	}
	if m.administrators(s.doc, principal.Name{}) > 0 && m.administrators(doc, principal.Name{}) == 0 {
		return ErrLastAdministrator
	}
	changes, err := m.changes(s.revision, doc, events)
	if err != nil {
		return err
	}
	_, err = m.mirror.Commit(ctx, changes...)
	return err
}

func (m *Manager) changes(at store.Revision, doc *document, events []event.Event) ([]store.Change, error) {
	write, err := doc.write(at)
	if errors.Is(err, record.ErrSize) {
		err = errors.Join(ErrTooMany, err)
	}
	if err != nil {
		return nil, err
	}
	changes := []store.Change{write}
	for _, e := range events {
		changes = append(changes, m.events.Change(e))
	}
	return changes, nil
}

// administrators returns how many users of the document, except one, have the role Admin and can
// log in.
func (m *Manager) administrators(doc *document, but principal.Name) int {
	n := 0
	for _, p := range doc.Permissions {
		if p.Role == Admin && !p.Group && p.name().Key() != but.Key() && m.enabled(p.name()) {
			n++
		}
	}
	return n
}

// Retire returns the changes that the commit which disables or removes a local user must include.
// The commit fails with a conflict if permissions, or the users that can log in, have changed since
// Retire was called; call Retire again for each attempt. If forget is set, the user's permission is
// removed, so that a later user with the same name does not inherit it.
//
// If two such commits are made at the same time, and each would leave the other's user as the last
// administrator, only one succeeds.
//
// It returns ErrLastAdministrator if the user is the last administrator.
func (m *Manager) Retire(ctx context.Context, by event.Actor, who principal.Name, forget bool) ([]store.Change, error) {
	s, err := m.table.settled(ctx, m.mirror)
	if err != nil {
		return nil, fmt.Errorf("retire user: %w", err)
	}
	if s.revision == 0 {
		return nil, nil // there is no administrator yet
	}
	if m.administrators(s.doc, principal.Name{}) > 0 && m.administrators(s.doc, who) == 0 {
		return nil, fmt.Errorf("retire user: %w", ErrLastAdministrator)
	}
	doc := s.doc.clone()
	var events []event.Event
	if i := doc.permission(permissionRow{Domain: who.Domain, User: who.User}.id()); forget && i >= 0 {
		gone := diff{{permission: doc.Permissions[i], role: doc.roleName(doc.Permissions[i].Role), removed: true}}
		doc.Permissions = append(doc.Permissions[:i], doc.Permissions[i+1:]...)
		if events, err = gone.events(by); err != nil {
			return nil, fmt.Errorf("retire user: %w", err)
		}
	}
	// Write the document even if it does not change: a concurrent change that was decided while the
	// user could still log in must fail.
	changes, err := m.changes(s.revision, doc, events)
	if err != nil {
		return nil, fmt.Errorf("retire user: %w", err)
	}
	return changes, nil
}

// Found returns the changes that the commit which creates the first administrator must include, or
// none if there was one before. They can be committed only once in the life of a store.
func (m *Manager) Found(ctx context.Context, by event.Actor, who principal.Name) ([]store.Change, error) {
	s, err := m.table.settled(ctx, m.mirror)
	if err != nil {
		return nil, fmt.Errorf("set up first administrator: %w", err)
	}
	if s.revision != 0 {
		return nil, nil
	}
	row := permissionRow{Domain: who.Domain, User: who.User, Role: Admin, Propagate: true}
	doc := &document{NextRole: 1, Roles: []roleRow{}, Permissions: []permissionRow{row}}
	events, err := compare(&document{}, doc).events(by)
	if err != nil {
		return nil, fmt.Errorf("set up first administrator: %w", err)
	}
	changes, err := m.changes(0, doc, events)
	if err != nil {
		return nil, fmt.Errorf("set up first administrator: %w", err)
	}
	return changes, nil
}
