package session

// The following methods of Manager only read the table. They are for callers that have just the
// manager.

// Size calls Table.Size.
func (m *Manager) Size() int { return m.table.Size() }

// Methods calls Table.Methods.
func (m *Manager) Methods() map[string]int { return m.table.Methods() }

// Fronts calls Table.Fronts.
func (m *Manager) Fronts() map[string]int { return m.table.Fronts() }

// Damaged calls Table.Damaged.
func (m *Manager) Damaged() int64 { return m.table.Damaged() }

// Changed calls Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// ChangedOne calls Table.ChangedOne.
func (m *Manager) ChangedOne(l *Live) <-chan struct{} { return m.table.ChangedOne(l) }
