package session

// The following methods of Manager only read the table and the policy. They are for callers that have
// just the manager.

// Size calls Table.Size.
func (m *Manager) Size() int { return m.table.Size() }

// Limits returns the maximum numbers of sessions that are in force, in all and of one principal.
func (m *Manager) Limits() (all, principal int) {
	p := m.policy()
	return p.MaxSessions, p.MaxPerPrincipal
}

// Largest calls Table.Largest.
func (m *Manager) Largest() int { return m.table.Largest() }

// Methods calls Table.Methods.
func (m *Manager) Methods() map[string]int { return m.table.Methods() }

// Changed calls Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// ChangedOne calls Table.ChangedOne.
func (m *Manager) ChangedOne(l *Live) <-chan struct{} { return m.table.ChangedOne(l) }
