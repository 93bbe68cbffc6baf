package account

import (
	"github.com/vigate/vigate/internal/principal"
)

// The following methods of Manager only read the table. They are for callers that have just the
// manager.

// Table returns the table, for callers that only read.
func (m *Manager) Table() *Table { return m.table }

// Domain calls Table.Domain.
func (m *Manager) Domain() string { return m.table.Domain() }

// Exists calls Table.Exists.
func (m *Manager) Exists(name principal.Name) bool { return m.table.Exists(name) }

// Damaged calls Table.Damaged.
func (m *Manager) Damaged() error { return m.table.Damaged() }
