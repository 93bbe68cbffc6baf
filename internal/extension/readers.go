package extension

// Find returns the extension with the key.
func (t *Table) Find(key string) (Extension, bool) {
	if r, _ := t.get(key); r != nil {
		return r.extension(), true
	}
	return Extension{}, false
}

// Exists reports whether there is such an extension.
func (t *Table) Exists(key string) bool {
	_, ok := t.Find(key)
	return ok
}

// What the table answers, for those who have the manager. None of it changes
// anything.

// Table answers the same questions, for those who change nothing.
func (m *Manager) Table() *Table { return m.table }

// Find is Table.Find.
func (m *Manager) Find(key string) (Extension, bool) { return m.table.Find(key) }

// Exists is Table.Exists.
func (m *Manager) Exists(key string) bool { return m.table.Exists(key) }

// List is Table.List.
func (m *Manager) List() []Extension { return m.table.List() }

// Changed is Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// Damaged is Table.Damaged.
func (m *Manager) Damaged() error { return m.table.Damaged() }
