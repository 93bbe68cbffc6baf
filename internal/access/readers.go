package access

import (
	"github.com/vigate/vigate/internal/store"
)

// What the table answers, for those who have the manager. None of it changes
// anything.

// Table answers the same questions, for those who change nothing.
func (m *Manager) Table() *Table { return m.table }

// Has is Table.Has.
func (m *Manager) Has(who Subject, privilege Privilege) bool { return m.table.Has(who, privilege) }

// HasRole is Table.HasRole.
func (m *Manager) HasRole(who Subject) bool { return m.table.HasRole(who) }

// Privileges is Table.Privileges.
func (m *Manager) Privileges(who Subject) Set { return m.table.Privileges(who) }

// Authority is Table.Authority.
func (m *Manager) Authority(who Subject) Set { return m.table.Authority(who) }

// Permissions is Table.Permissions.
func (m *Manager) Permissions() []Permission { return m.table.Permissions() }

// PermissionsOf is Table.PermissionsOf.
func (m *Manager) PermissionsOf(role int32) ([]Permission, error) { return m.table.PermissionsOf(role) }

// Roles is Table.Roles.
func (m *Manager) Roles() []Role { return m.table.Roles() }

// PrivilegeList is Table.PrivilegeList.
func (m *Manager) PrivilegeList() []PrivilegeInfo { return m.table.PrivilegeList() }

// Require is Table.Require.
func (m *Manager) Require() (c store.Change, ok bool) { return m.table.Require() }

// Changed is Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// Founded is Table.Founded.
func (m *Manager) Founded() bool { return m.table.Founded() }

// Damaged is Table.Damaged.
func (m *Manager) Damaged() error { return m.table.Damaged() }
