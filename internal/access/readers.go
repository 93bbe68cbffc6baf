package access

import (
	"github.com/vigate/vigate/internal/store"
)

// The following methods of Manager only read the table. They are for callers that have just the
// manager.

// Table returns the table, for callers that only read.
func (m *Manager) Table() *Table { return m.table }

// Has calls Table.Has.
func (m *Manager) Has(who Subject, privilege Privilege) bool { return m.table.Has(who, privilege) }

// HasRole calls Table.HasRole.
func (m *Manager) HasRole(who Subject) bool { return m.table.HasRole(who) }

// Privileges calls Table.Privileges.
func (m *Manager) Privileges(who Subject) Set { return m.table.Privileges(who) }

// Authority calls Table.Authority.
func (m *Manager) Authority(who Subject) Set { return m.table.Authority(who) }

// Permissions calls Table.Permissions.
func (m *Manager) Permissions() []Permission { return m.table.Permissions() }

// PermissionsOf calls Table.PermissionsOf.
func (m *Manager) PermissionsOf(role int32) ([]Permission, error) { return m.table.PermissionsOf(role) }

// Roles calls Table.Roles.
func (m *Manager) Roles() []Role { return m.table.Roles() }

// PrivilegeList calls Table.PrivilegeList.
func (m *Manager) PrivilegeList() []PrivilegeInfo { return m.table.PrivilegeList() }

// Require calls Table.Require.
func (m *Manager) Require() (c store.Change, ok bool) { return m.table.Require() }

// Changed calls Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// Founded calls Table.Founded.
func (m *Manager) Founded() bool { return m.table.Founded() }

// Damaged calls Table.Damaged.
func (m *Manager) Damaged() error { return m.table.Damaged() }
