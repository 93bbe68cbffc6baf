package account

import (
	"github.com/vigate/vigate/internal/principal"
)

// What the table answers, for those who have the manager. None of it changes
// anything.

// Table answers the same questions, for those who change nothing.
func (m *Manager) Table() *Table { return m.table }

// Domain is Table.Domain.
func (m *Manager) Domain() string { return m.table.Domain() }

// Find is Table.Find.
func (m *Manager) Find(name principal.Name) (Account, bool) { return m.table.Find(name) }

// Exists is Table.Exists.
func (m *Manager) Exists(name principal.Name) bool { return m.table.Exists(name) }

// Damaged is Table.Damaged.
func (m *Manager) Damaged() error { return m.table.Damaged() }
