// Package extension keeps the extensions that are registered with the server,
// and decides whether a client's certificate is an extension's.
//
// [Table] is the extensions in memory; [Manager] changes them.
package extension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	maxRecord     = 512 << 10 // bytes of all that is stored of one
	maxPrivileges = 1000
	maxPrivilege  = 256 // bytes of an id or a group

	// MaxExtensions is how many there may be. All together are bounded in the bytes
	// that are stored of them and in the privileges that they declare.
	MaxExtensions = 500
	maxBytes      = 16 << 20
	maxDeclared   = 10_000
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
	record   string // its id
}

// Principal is the extension as a user.
func (e Extension) Principal() principal.Name { return principal.Extension(e.Key) }

// Require holds a commit to the extension being as it was when e says it was: a
// login that an unregistration or another certificate overtakes fails with a
// conflict.
func (e Extension) Require() store.Change {
	return store.RequireAt(store.Extension, e.record, e.Revision)
}

// id is the record's. The prefix keeps keys apart from the duties of package
// eviction.
func id(key string) string { return prefix + principal.Extension(key).Key() }

// formerID is the one that an older version gave the record.
func formerID(key string) string { return prefix + principal.Extension(key).FormerKey() }

const prefix = "ext:"

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

	id       string // the record's
	look     string // principal.Look of Key
	size     int    // of the record
	revision store.Revision
	extra    record.Extra
}

func (r *row) name() principal.Name { return principal.Extension(r.Key) }

func (r *row) extension() Extension {
	return Extension{
		Registration: Registration{Key: r.Key, SubjectName: r.SubjectName, Privileges: r.Privileges, Data: r.Data},
		Certificate:  r.Certificate, PublicKey: r.PublicKey, Registered: r.Registered, Updated: r.Updated,
		Revision: r.revision, record: r.id,
	}
}

func decode(rec store.Record) (*row, error) {
	r := &row{id: rec.ID, revision: rec.Revision, size: len(rec.Value)}
	extra, err := record.Decode(rec.Value, formatVersion, r)
	if err != nil {
		return nil, err
	}
	r.extra = extra
	if id(r.Key) != rec.ID && formerID(r.Key) != rec.ID {
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
	r.look = principal.Look(r.Key)
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
	// ErrText: a text in the data has characters that are not seen.
	ErrText = errors.New("not a text that can be shown")
)

// checkNew is check, and what is asked of what an extension says of itself now.
// An older version may have stored what it refuses.
func (r Registration) checkNew() error {
	if err := r.check(); err != nil {
		return err
	}
	for _, p := range r.Privileges {
		if !principal.ValidText(p.ID) || !principal.ValidText(p.Group) {
			return ErrPrivilege
		}
	}
	return checkTexts(r.Data, r.Key)
}

// lines are the members of the data that may have several lines. All others
// stand in lists.
var lines = map[string]bool{"summary": true, "value": true}

// checkTexts holds every text of a JSON value to what can be shown, but the key,
// which has a rule of its own.
func checkTexts(data []byte, key string) error {
	d := json.NewDecoder(bytes.NewReader(data))
	member := "" // that the next text is of
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrData, err)
		}
		text, ok := token.(string)
		if !ok {
			continue
		}
		if text != key && !principal.ValidText(text) && !(lines[member] && principal.ValidLines(text)) {
			return ErrText
		}
		member = text
	}
}

func (r Registration) check() error {
	folded := principal.Extension(r.Key).Key()
	switch { // what versions before CheckNew took, too
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

// Table is all extensions, in memory. It is safe for concurrent use.
type Table struct {
	changed func()
	logger  *slog.Logger
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
	names   principal.Index // of rows
	damaged map[string]damage
}

// damage is why a record is not served.
type damage struct {
	id       string
	revision store.Revision
	err      error
}

func newContent() content {
	return content{rows: map[string]*row{}, names: principal.Index{}, damaged: map[string]damage{}}
}

// NewTable makes an empty table. changed, nil for none, is called after each
// change, from one goroutine at a time. Damage is logged to log, nil for
// slog.Default.
func NewTable(changed func(), logger *slog.Logger) *Table {
	if changed == nil {
		changed = func() {}
	}
	if logger == nil {
		logger = slog.Default()
	}
	return &Table{changed: changed, logger: logger, content: newContent()}
}

// View is what the mirror feeds the table by.
func (t *Table) View() store.View {
	return store.NewView([]store.Kind{store.Extension}, t.reset, t.put, t.delete, t.whole)
}

// reset is the view's Reset. Extensions stay as they were until Whole.
func (t *Table) reset() {
	t.duties.Reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	staged := newContent()
	t.staged = &staged
}

// whole is the view's Whole.
func (t *Table) whole() {
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

// put is the view's Put. An extension whose record can't be read can't log
// in and declares nothing.
func (t *Table) put(rec store.Record) {
	if t.duties.Put(rec) {
		return
	}
	r, err := decode(rec)
	if err != nil {
		err = &store.DamagedError{Where: fmt.Sprintf("extension %q", rec.ID), Cause: err}
		t.logger.Error("extension can't be read: it can't log in", "err", err)
	}
	t.edit(func(c content) {
		c.remove(rec.ID)
		if err != nil {
			c.damaged[rec.ID] = damage{rec.ID, rec.Revision, err}
			return
		}
		c.rows[rec.ID] = r
		c.names.Put(r.name(), r.id)
		if ids := c.names.Find(r.name()); len(ids) > 1 {
			t.logger.Error("extensions have the same key: none of them can log in until all but one are unregistered",
				"records", ids)
		}
	})
}

// delete is the view's Delete.
func (t *Table) delete(_ store.Kind, id string) {
	if t.duties.Delete(id) {
		return
	}
	t.edit(func(c content) { c.remove(id) })
}

func (c content) remove(id string) {
	if r := c.rows[id]; r != nil {
		c.names.Delete(r.name(), id)
	}
	delete(c.rows, id)
	delete(c.damaged, id)
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

// errSameKey: an older version, which compared keys less strictly, has stored
// several extensions of one key. What is meant for one would be another's.
var errSameKey = errors.New("another extension's key is the same")

// get returns the extension's record, which nobody may write to, or why it is not
// served. Both nil: there is none.
func (t *Table) get(key string) (*row, *damage) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range []string{id(key), formerID(key)} {
		if d, ok := t.damaged[id]; ok {
			return nil, &d
		}
	}
	ids := t.names.Find(principal.Extension(key))
	switch len(ids) {
	case 0:
		return nil, nil
	case 1:
		return t.rows[ids[0]], nil
	}
	meant := t.rows[ids[0]]
	for _, id := range ids {
		if r := t.rows[id]; r.Key == key {
			meant = r
		}
	}
	return nil, &damage{meant.id, meant.revision, meant.clash()}
}

func (r *row) clash() error {
	return &store.DamagedError{Where: fmt.Sprintf("extension %q", r.id), Cause: errSameKey}
}

// Alike reports whether there is an extension whose key a reader takes for this
// name: see principal.Alike.
func (t *Table) Alike(name string) bool {
	look := principal.Look(name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.rows {
		if r.look == look {
			return true
		}
	}
	return false
}

// room returns ErrTooMany if r, in place of old, nil for none, makes the extensions
// too many, or what they say and declare too much.
func (t *Table) room(old, r *row) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count, size, declared := len(t.rows)+len(t.damaged), r.size, len(r.Privileges)
	if old == nil {
		count++
	}
	for _, other := range t.rows {
		if old == nil || other.id != old.id {
			size, declared = size+other.size, declared+len(other.Privileges)
		}
	}
	grows := old == nil || r.size > old.size
	declares := len(r.Privileges) > 0 && (old == nil || len(r.Privileges) > len(old.Privileges))
	if old == nil && count > MaxExtensions || grows && size > maxBytes || declares && declared > maxDeclared {
		return ErrTooMany
	}
	return nil
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
	for _, ids := range t.names {
		if len(ids) > 1 {
			all = append(all, t.rows[ids[0]].clash())
		}
	}
	return errors.Join(all...)
}
