package extension

import (
	"bytes"
	"crypto/x509"
)

// Find returns the extension with the key.
func (t *Table) Find(key string) (Extension, bool) {
	if r, _ := t.get(key); r != nil {
		return r.extension(), true
	}
	return Extension{}, false
}

// Holder returns the extension whose registered certificate is, byte for byte, the given one. If
// several extensions have registered it, it is nobody's, because it can't tell who uses it. The caller
// checks that the client holds the private key.
func (t *Table) Holder(c *x509.Certificate) (Extension, bool) {
	key := ""
	t.mu.RLock()
	for r := range t.rows.All() {
		if len(c.Raw) == 0 || !bytes.Equal(r.Certificate, c.Raw) {
			continue
		}
		if key != "" {
			t.mu.RUnlock()
			return Extension{}, false
		}
		key = r.Key
	}
	t.mu.RUnlock()
	if key == "" {
		return Extension{}, false
	}
	return t.Find(key) // it knows which extensions are not served
}

// Exists reports whether there is such an extension.
func (t *Table) Exists(key string) bool {
	_, ok := t.Find(key)
	return ok
}

// The following methods of Manager only read the table. They are for callers that have just the
// manager.

// Table returns the table, for callers that only read.
func (m *Manager) Table() *Table { return m.table }

// Find calls Table.Find.
func (m *Manager) Find(key string) (Extension, bool) { return m.table.Find(key) }

// Exists calls Table.Exists.
func (m *Manager) Exists(key string) bool { return m.table.Exists(key) }

// List calls Table.List.
func (m *Manager) List() []Extension { return m.table.List() }

// Changed calls Table.Changed.
func (m *Manager) Changed() <-chan struct{} { return m.table.Changed() }

// Damaged calls Table.Damaged.
func (m *Manager) Damaged() error { return m.table.Damaged() }
