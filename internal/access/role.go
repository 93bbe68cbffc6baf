package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
)

// The system roles, which always exist. Their ids and names are vCenter's.
const (
	Admin     int32 = -1
	ReadOnly  int32 = -2
	View      int32 = -3
	Anonymous int32 = -4
	NoAccess  int32 = -5
)

// Role is a set of privileges with a name.
type Role struct {
	ID     int32
	Name   string
	System bool // can't be changed
	// Privileges is sorted. The role Admin has all privileges.
	Privileges []Privilege
}

type system struct {
	id         int32
	name       string
	privileges []Privilege
}

var systemRoles = []system{
	{Admin, "Admin", nil},
	{ReadOnly, "ReadOnly", []Privilege{SystemAnonymous, SystemView, SystemRead}},
	{View, "View", []Privilege{SystemAnonymous, SystemView}},
	{Anonymous, "Anonymous", []Privilege{SystemAnonymous}},
	{NoAccess, "NoAccess", nil},
}

func systemRole(id int32) *system {
	for i := range systemRoles {
		if systemRoles[i].id == id {
			return &systemRoles[i]
		}
	}
	return nil
}

func (r system) set(words *vocabulary) Set {
	if r.id == Admin {
		return words.full()
	}
	return words.set(r.privileges...)
}

var (
	// ErrRole is returned if there is no such role.
	ErrRole = errors.New("no such role")
	// ErrSystemRole is returned for a system role, which can't be changed or removed.
	ErrSystemRole = errors.New("role belongs to the system")
	// ErrRoleExists is returned if another role has the name.
	ErrRoleExists = errors.New("role exists already")
	// ErrRoleName is returned if the name is not valid.
	ErrRoleName = errors.New("not a role's name")
	// ErrRoleInUse is returned if permissions give the role.
	ErrRoleInUse = errors.New("role is in use")
	// ErrPrivilege is returned if there is no such privilege.
	ErrPrivilege = errors.New("no such privilege")
	// ErrTooMany is returned if there would be too many roles, permissions or changes.
	ErrTooMany = errors.New("too many")
)

// Roles returns all roles: the system roles, then the custom roles in the order in which they were
// created.
func (t *Table) Roles() []Role {
	s := t.now.Load()
	var all []Role
	for _, r := range systemRoles {
		all = append(all, Role{ID: r.id, Name: r.name, System: true, Privileges: r.set(s.words).IDs()})
	}
	for _, r := range s.doc.Roles {
		all = append(all, Role{ID: r.ID, Name: r.Name,
			Privileges: s.words.set(slices.Concat(r.Privileges, implied)...).IDs()})
	}
	return all
}

// PrivilegeList returns all privileges that exist now.
func (t *Table) PrivilegeList() []PrivilegeInfo {
	return slices.Clone(t.now.Load().words.all)
}

// AddRole creates a role and returns its id. An id is never used twice. by is the grantor, whom the
// event names.
//
// Errors: ErrRoleName, ErrRoleExists, ErrPrivilege, ErrTooMany, and those of every change: see
// Manager.
func (m *Manager) AddRole(ctx context.Context, by Grantor, name string, privileges []Privilege) (int32, error) {
	var id int32
	err := m.change(ctx, "add role", by, func(d *document) ([]event.Event, error) {
		if len(d.Roles) >= maxRoles {
			return nil, ErrTooMany
		}
		row := roleRow{ID: d.NextRole, Name: name}
		if err := m.fill(d, &row, privileges); err != nil {
			return nil, err
		}
		id = row.ID
		d.NextRole++
		d.Roles = append(d.Roles, row)
		return []event.Event{roleEvent("vigate.role.added", by.By, row)}, nil
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// UpdateRole replaces the name and the privileges of a role.
//
// Errors: ErrRole, ErrSystemRole, and those of AddRole.
func (m *Manager) UpdateRole(ctx context.Context, by Grantor, id int32, name string, privileges []Privilege) error {
	return m.change(ctx, "update role", by, func(d *document) ([]event.Event, error) {
		i, err := d.custom(id)
		if err != nil {
			return nil, err
		}
		row := d.Roles[i]
		row.Name = name
		if err := m.fill(d, &row, privileges); err != nil {
			return nil, err
		}
		d.Roles[i] = row
		return []event.Event{roleEvent("vigate.role.updated", by.By, row)}, nil
	})
}

// RemoveRole removes a role and the permissions that give it. If failIfUsed is set and there are
// such permissions, it removes nothing.
//
// Errors: ErrRole, ErrSystemRole, ErrRoleInUse, ErrTooMany.
func (m *Manager) RemoveRole(ctx context.Context, by Grantor, id int32, failIfUsed bool) error {
	return m.change(ctx, "remove role", by, func(d *document) ([]event.Event, error) {
		i, err := d.custom(id)
		if err != nil {
			return nil, err
		}
		var gone diff
		for _, p := range d.Permissions {
			if p.Role == id {
				gone = append(gone, difference{permission: p, role: d.Roles[i].Name, removed: true})
			}
		}
		if failIfUsed && len(gone) > 0 {
			return nil, ErrRoleInUse
		}
		events, err := gone.events(by.By)
		if err != nil {
			return nil, err
		}
		events = append(events, roleEvent("vigate.role.removed", by.By, d.Roles[i]))
		d.Roles = slices.Delete(d.Roles, i, i+1)
		d.Permissions = slices.DeleteFunc(d.Permissions, func(p permissionRow) bool { return p.Role == id })
		return events, nil
	})
}

// custom returns the index of a role that may be changed.
func (d *document) custom(id int32) (int, error) {
	if systemRole(id) != nil {
		return 0, ErrSystemRole
	}
	i := d.role(id)
	if i < 0 {
		return 0, ErrRole
	}
	return i, nil
}

// fill checks the name and the privileges of a row, and sets the privileges.
func (m *Manager) fill(d *document, row *roleRow, privileges []Privilege) error {
	if !validRoleName(row.Name) {
		return ErrRoleName
	}
	i := d.role(row.ID)
	renamed := i < 0 || d.Roles[i].Name != row.Name
	if renamed && !principal.ValidText(row.Name) {
		return ErrRoleName
	}
	same := func(id int32, name string) bool { return renamed && id != row.ID && principal.Alike(name, row.Name) }
	if slices.ContainsFunc(systemRoles, func(s system) bool { return same(s.id, s.name) }) ||
		slices.ContainsFunc(d.Roles, func(r roleRow) bool { return same(r.ID, r.Name) }) {
		return ErrRoleExists
	}
	words := m.table.now.Load().words
	kept := []Privilege{}
	for _, id := range privileges {
		if _, ok := words.index[id]; !ok {
			// The error does not quote the id: it is an unchecked text of any length.
			return ErrPrivilege
		}
		if !slices.Contains(implied, id) {
			kept = append(kept, id)
		}
	}
	// Privileges that no extension declares now stay in the role: the extension may be removed only
	// for an upgrade, and they grant nothing until it is back.
	for _, id := range row.Privileges {
		if _, ok := words.index[id]; !ok {
			kept = append(kept, id)
		}
	}
	slices.Sort(kept)
	row.Privileges = slices.Compact(kept)
	return nil
}

func roleEvent(id string, by event.Actor, r roleRow) event.Event {
	return event.Event{Type: "EventEx", ID: id, User: by.User, Origin: by.Origin, Subject: r.Name,
		Args: map[string]string{
			"roleId":     fmt.Sprint(r.ID),
			"privileges": strings.Join(Names(r.Privileges...), ","),
		}}
}
