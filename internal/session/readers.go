package session

// What the table answers, for those who have the manager. None of it changes
// anything.

// Size is Table.Size.
func (m *Manager) Size() int { return m.table.Size() }

// Methods is Table.Methods.
func (m *Manager) Methods() map[string]int { return m.table.Methods() }

// Damaged is Table.Damaged.
func (m *Manager) Damaged() int64 { return m.table.Damaged() }

// Changed is Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// ChangedOne is Table.ChangedOne.
func (m *Manager) ChangedOne(l *Live) <-chan struct{} { return m.table.ChangedOne(l) }
