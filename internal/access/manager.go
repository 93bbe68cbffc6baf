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
	// ErrLastAdministrator: the change would leave nobody who can log in and
	// has the role Admin on the root folder.
	ErrLastAdministrator = errors.New("the last administrator can't be removed")
	// ErrNotFounded: the first administrator was not set up yet.
	ErrNotFounded = errors.New("no administrator was set up yet")
)

// Options of a Manager. All are needed.
type Options struct {
	Mirror *store.Mirror // feeds Table, and the view that Enabled reads
	Table  *Table
	Events *event.Log
	// Exists reports whether there is such a user, extension or group.
	Exists func(who principal.Name, group bool) bool
	// Enabled reports whether there is such a local user, and it is not
	// disabled. Only such users count as administrators who are left: nobody
	// here can know who of another directory, or of a group, can log in.
	Enabled func(who principal.Name) bool
}

// Manager changes roles and permissions. A change is in force on all sessions,
// and durable, when the call returns.
//
// Every change may fail with a *GrantError, with ErrLastAdministrator, with ErrNotFounded, with
// what the store fails with, and with store.ErrConflict where others change
// authority all the time.
type Manager struct {
	table   *Table
	mirror  *store.Mirror
	events  *event.Log
	exists  func(principal.Name, bool) bool
	enabled func(principal.Name) bool
	// turn lets one change of this process be decided and committed at a time,
	// so that they don't drive each other into conflicts.
	turn chan struct{}
}

// NewManager makes a manager.
func NewManager(o Options) *Manager {
	return &Manager{table: o.Table, mirror: o.Mirror, events: o.Events, exists: o.Exists,
		enabled: o.Enabled, turn: make(chan struct{}, 1)}
}

// attempts is how often a change is tried anew when another process, or a change
// of an account, was faster. Each time, that other one got on.
const attempts = 20

// change has edit make the change in a copy of the document and commits it with
// the events. edit may be called several times. No event: nothing to do.
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

// administrators is how many users of the document but one have the role Admin
// and can log in.
func (m *Manager) administrators(doc *document, but principal.Name) int {
	n := 0
	for _, p := range doc.Permissions {
		if p.Role == Admin && !p.Group && p.name().Key() != but.Key() && m.enabled(p.name()) {
			n++
		}
	}
	return n
}

// Retire returns what must be part of the commit that disables or removes a
// local user: it fails with a conflict where authority, or who can log in, is no
// longer what the decision was made on. Call it anew for each attempt. With
// forget, the user's permission goes with it, so that a later user of the same
// name doesn't inherit it.
//
// Of two such commits at once, each of which would leave the other's user as the
// last administrator, one wins.
//
// Errors: ErrLastAdministrator.
func (m *Manager) Retire(ctx context.Context, by event.Actor, who principal.Name, forget bool) ([]store.Change, error) {
	s, err := m.table.settled(ctx, m.mirror)
	if err != nil {
		return nil, fmt.Errorf("retire user: %w", err)
	}
	if s.revision == 0 {
		return nil, nil // nobody is an administrator yet
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
	// The document is written even where it doesn't change: a change that was
	// decided while the user could still log in must not be committed after.
	changes, err := m.changes(s.revision, doc, events)
	if err != nil {
		return nil, fmt.Errorf("retire user: %w", err)
	}
	return changes, nil
}

// Found returns what must be part of the commit that makes the first
// administrator, and none where that was done before: it can be committed once in
// the life of a store.
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
