// Package extension keeps the extensions that are registered with the server,
// and decides whether a client's certificate is an extension's.
//
// [Table] is the extensions in memory; [Manager] changes them.
package extension

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/eviction"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
)

// Bounds of what is registered.
const (
	// MaxKey is the longest key in bytes.
	MaxKey        = 480
	maxData       = 256 << 10
	maxPrivileges = 1000
	maxPrivilege  = 256 // bytes of an id or a group
)

// Privilege is one that an extension declares.
type Privilege struct {
	ID    string `json:"id"`
	Group string `json:"group,omitempty"`
}

// Registration is what an extension says of itself.
type Registration struct {
	// Key names it. Keys compare without case, as all principals do.
	Key string
	// SubjectName is the subject of its certificate, as RFC 4514 writes it;
	// empty: it doesn't log in by subject name.
	SubjectName string
	// Privileges are those that it declares.
	Privileges []Privilege
	// Data is all that it says, as one JSON value, which this package doesn't
	// look into.
	Data []byte
}

// Extension is a registered extension. Its slices are shared: nobody may write
// to them.
type Extension struct {
	Registration
	Certificate []byte // DER; nil: it doesn't log in by certificate
	PublicKey   string // PEM; may be empty
	Registered  time.Time
	Updated     time.Time // when it last said something of itself
	// Revision is that of the record.
	Revision store.Revision
}

// Principal is the extension as a user.
func (e Extension) Principal() principal.Name { return principal.Extension(e.Key) }

// Require holds a commit to the extension being as it was when e says it was: a
// login that an unregistration or another certificate overtakes fails with a
// conflict.
func (e Extension) Require() store.Change {
	return store.RequireAt(store.Extension, id(e.Key), e.Revision)
}

// id is the record's. The prefix keeps keys apart from the duties of package
// eviction.
func id(key string) string { return "ext:" + principal.Extension(key).Key() }

const formatVersion = 1

// row is an extension's record.
type row struct {
	Key         string          `json:"key"`
	SubjectName string          `json:"subject,omitempty"`
	Privileges  []Privilege     `json:"privileges,omitempty"`
	Data        json.RawMessage `json:"data"`
	Certificate []byte          `json:"certificate,omitempty"`
	PublicKey   string          `json:"publicKey,omitempty"`
	Registered  time.Time       `json:"registered"`
	Updated     time.Time       `json:"updated"`

	revision store.Revision
	extra    record.Extra
}

func (r *row) extension() Extension {
	return Extension{
		Registration: Registration{Key: r.Key, SubjectName: r.SubjectName, Privileges: r.Privileges, Data: r.Data},
		Certificate:  r.Certificate, PublicKey: r.PublicKey, Registered: r.Registered, Updated: r.Updated,
		Revision: r.revision,
	}
}

func decode(rec store.Record) (*row, error) {
	r := &row{revision: rec.Revision}
	extra, err := record.Decode(rec.Value, formatVersion, r)
	if err != nil {
		return nil, err
	}
	r.extra = extra
	if id(r.Key) != rec.ID {
		return nil, errors.New("its key is not the record's")
	}
	if err := r.extension().check(); err != nil {
		return nil, err
	}
	if len(r.Certificate) > 0 {
		if _, err := parseCertificate(r.Certificate); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var (
	// ErrKey: not an extension's key.
	ErrKey = errors.New("not an extension's key")
	// ErrSubjectName: not a distinguished name.
	ErrSubjectName = errors.New("not a distinguished name")
	// ErrPrivilege: not a privilege's id or group, or one id twice.
	ErrPrivilege = errors.New("not a list of privileges")
	// ErrData: not JSON, or too long.
	ErrData = errors.New("not an extension's data")
)

func (r Registration) check() error {
	folded := principal.Extension(r.Key).Key()
	switch {
	case r.Key == "" || len(folded) > MaxKey || !clean(r.Key, MaxKey) || strings.TrimSpace(r.Key) != r.Key ||
		strings.ContainsAny(r.Key, `\@`):
		return ErrKey
	case len(r.Privileges) > maxPrivileges:
		return ErrPrivilege
	case len(r.Data) > maxData || !json.Valid(r.Data):
		return ErrData
	}
	if r.SubjectName != "" {
		if _, err := parseName(r.SubjectName); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, p := range r.Privileges {
		if p.ID == "" || seen[p.ID] || !clean(p.ID, maxPrivilege) || !clean(p.Group, maxPrivilege) {
			return ErrPrivilege
		}
		seen[p.ID] = true
	}
	return nil
}

func clean(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// Table is all extensions, in memory. It is a store.View, and safe for
// concurrent use.
type Table struct {
	changed func()
	log     *slog.Logger
	duties  eviction.Duties

	mu sync.RWMutex // guards what follows
	content
	// staged is what a whole state that is being read has had so far; nil
	// otherwise.
	staged *content
	wake   chan struct{} // closed at the next change; nil while nobody waits
}

type content struct {
	rows    map[string]*row // by record id
	damaged map[string]damage
}

type damage struct {
	revision store.Revision
	err      error
}

func newContent() content {
	return content{rows: map[string]*row{}, damaged: map[string]damage{}}
}

// NewTable makes an empty table. changed, nil for none, is called after each
// change, from one goroutine at a time. Damage is logged to log, nil for
// slog.Default.
func NewTable(changed func(), log *slog.Logger) *Table {
	if changed == nil {
		changed = func() {}
	}
	if log == nil {
		log = slog.Default()
	}
	return &Table{changed: changed, log: log, content: newContent()}
}

// Kinds is part of store.View.
func (t *Table) Kinds() []store.Kind { return []store.Kind{store.Extension} }

// Reset is part of store.View. Extensions stay as they were until Whole.
func (t *Table) Reset() {
	t.duties.Reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	staged := newContent()
	t.staged = &staged
}

// Whole is part of store.View.
func (t *Table) Whole() {
	t.mu.Lock()
	if t.staged != nil {
		t.content, t.staged = *t.staged, nil
	}
	t.broadcast()
	t.mu.Unlock()
	t.changed()
}

// Changed is closed at the next change of the extensions.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake == nil {
		t.wake = make(chan struct{})
	}
	return t.wake
}

// broadcast wakes who waits for a change. Callers hold mu.
func (t *Table) broadcast() {
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
}

// Put is part of store.View. An extension whose record can't be read can't log
// in and declares nothing.
func (t *Table) Put(rec store.Record) {
	if t.duties.Put(rec) {
		return
	}
	r, err := decode(rec)
	if err != nil {
		err = &store.DamagedError{Where: fmt.Sprintf("extension %q", rec.ID), Cause: err}
		t.log.Error("extension can't be read: it can't log in", "error", err)
	}
	t.edit(func(c content) {
		delete(c.rows, rec.ID)
		delete(c.damaged, rec.ID)
		if err != nil {
			c.damaged[rec.ID] = damage{rec.Revision, err}
		} else {
			c.rows[rec.ID] = r
		}
	})
}

// Delete is part of store.View.
func (t *Table) Delete(_ store.Kind, id string) {
	if t.duties.Delete(id) {
		return
	}
	t.edit(func(c content) {
		delete(c.rows, id)
		delete(c.damaged, id)
	})
}

func (t *Table) edit(change func(content)) {
	t.mu.Lock()
	loading := t.staged != nil
	if loading {
		change(*t.staged)
	} else {
		change(t.content)
		t.broadcast()
	}
	t.mu.Unlock()
	if !loading {
		t.changed()
	}
}

// get returns the extension's record, which nobody may write to, or why it can't
// be read. Both nil: there is none.
func (t *Table) get(key string) (*row, *damage) {
	id := id(key)
	t.mu.RLock()
	defer t.mu.RUnlock()
	if d, ok := t.damaged[id]; ok {
		return nil, &d
	}
	return t.rows[id], nil
}

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

// List returns all extensions, sorted by key.
func (t *Table) List() []Extension {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []Extension
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		all = append(all, t.rows[id].extension())
	}
	return all
}

// Declared returns the privileges that extensions declare, in the order of their
// keys. Where two declare one, that of the first counts.
func (t *Table) Declared() []Privilege {
	var all []Privilege
	seen := map[string]bool{}
	for _, e := range t.List() {
		for _, p := range e.Privileges {
			if !seen[p.ID] {
				seen[p.ID] = true
				all = append(all, p)
			}
		}
	}
	return all
}

// Damaged returns why extensions can't be read, nil where all can.
func (t *Table) Damaged() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []error
	for _, id := range slices.Sorted(maps.Keys(t.damaged)) {
		all = append(all, t.damaged[id].err)
	}
	return errors.Join(all...)
}
