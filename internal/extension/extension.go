// Package extension keeps the extensions that are registered with the server, and authenticates
// extensions by their certificates.
//
// [Table] holds the extensions in memory and answers questions. [Manager] changes them. A change of
// the way in which an extension logs in ends the extension's sessions. The package does not start
// sessions, and does not interpret what an extension registers beyond its key, subject name and
// privileges.
package extension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vigate/vigate/internal/eviction"
	"github.com/vigate/vigate/internal/named"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
)

// Limits of a registration.
const (
	// maxKey is the maximum length of a key in bytes.
	maxKey        = 480
	maxData       = 256 << 10
	maxRecord     = 512 << 10 // bytes of one stored record
	maxPrivileges = 1000
	maxPrivilege  = 256 // bytes of an id or a group

	// MaxExtensions is the maximum number of extensions. The size of all their records and the
	// number of the privileges that they declare together are limited as well.
	MaxExtensions = 500
	maxBytes      = 16 << 20
	maxDeclared   = 10_000
)

// Privilege is a privilege that an extension declares.
type Privilege struct {
	ID    string `json:"id"`
	Group string `json:"group,omitempty"`
}

// Registration is the data with which an extension is registered.
type Registration struct {
	// Key is the name of the extension. Keys are compared without case, like the names of all
	// principals.
	Key string
	// SubjectName is the subject of the extension's certificate in the form of RFC 4514. If empty,
	// the extension can't log in by subject name.
	SubjectName string
	// Privileges are the privileges that the extension declares.
	Privileges []Privilege
	// Data is the whole registration as one JSON value. This package does not interpret it.
	Data []byte
}

// Extension is a registered extension. Its slices are shared: callers must not change them.
type Extension struct {
	Registration
	Certificate []byte // DER; nil: it doesn't log in by certificate
	PublicKey   string // PEM; may be empty
	Registered  time.Time
	Updated     time.Time // time of the last registration or update
	// Revision is the revision of the record.
	Revision store.Revision
	record   string // id of the record
}

// Principal returns the name of the principal that the extension is.
func (e Extension) Principal() principal.Name { return principal.Extension(e.Key) }

// Require returns the condition that the extension is unchanged since e was read. A login commits
// with it, so that it fails with a conflict if the extension is unregistered or gets another
// certificate in between.
func (e Extension) Require() store.Change {
	return store.RequireAt(store.Extension, e.record, e.Revision)
}

// id returns the id of the extension's record. The prefix distinguishes keys from the records of
// package eviction.
func id(key string) string { return prefix + principal.Extension(key).Key() }

// formerID returns the id that an older version gave to the record.
func formerID(key string) string { return prefix + principal.Extension(key).FormerKey() }

const prefix = "ext:"

const formatVersion = 1

// row is the record of an extension.
type row struct {
	Key         string          `json:"key"`
	SubjectName string          `json:"subject,omitempty"`
	Privileges  []Privilege     `json:"privileges,omitempty"`
	Data        json.RawMessage `json:"data"`
	Certificate []byte          `json:"certificate,omitempty"`
	PublicKey   string          `json:"publicKey,omitempty"`
	Registered  time.Time       `json:"registered"`
	Updated     time.Time       `json:"updated"`

	id       string // id of the record
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
	return r, nil
}

var (
	// ErrKey is returned if a key is not valid.
	ErrKey = errors.New("not an extension's key")
	// ErrSubjectName is returned if a text is not a distinguished name.
	ErrSubjectName = errors.New("not a distinguished name")
	// ErrPrivilege is returned if the id or group of a privilege is not valid, or if an id occurs
	// twice.
	ErrPrivilege = errors.New("not a list of privileges")
	// ErrData is returned if the data is not JSON or too long.
	ErrData = errors.New("not an extension's data")
	// ErrText is returned if a text in the data contains invisible characters.
	ErrText = errors.New("not a text that can be shown")
)

// checkNew is check with rules that apply to new registrations only. An older version may have
// stored what it refuses.
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

// lines are the members of the data that may contain several lines. All others are shown in lists.
var lines = map[string]bool{"summary": true, "value": true}

// checkTexts checks that every text of a JSON value can be displayed, except the key, which has a
// rule of its own.
func checkTexts(data []byte, key string) error {
	d := json.NewDecoder(bytes.NewReader(data))
	member := "" // name of the member that the next text belongs to
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
	switch { // the rules of versions before checkNew, too
	case r.Key == "" || len(folded) > maxKey || !clean(r.Key, maxKey) || strings.TrimSpace(r.Key) != r.Key ||
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

// Table holds all extensions in memory. It is safe for concurrent use.
type Table struct {
	changed func()
	logger  *slog.Logger
	duties  eviction.Duties

	mu   sync.RWMutex // guards what follows
	rows *named.Records[*row]
	wake chan struct{} // closed at the next change; nil while nobody waits
}

// NewTable returns an empty table. changed, if not nil, is called after each change, by one
// goroutine at a time. Damaged records are logged to logger; if it is nil, slog.Default is used.
func NewTable(changed func(), logger *slog.Logger) *Table {
	if changed == nil {
		changed = func() {}
	}
	if logger == nil {
		logger = slog.Default()
	}
	return &Table{
		changed: changed, logger: logger,
		rows: named.New[*row](named.Options{Kind: "extension", Prefix: prefix, Same: errSameKey}),
	}
}

// View returns the view through which the mirror feeds the table.
func (t *Table) View() store.View {
	return store.NewView([]store.Kind{store.Extension}, t.reset, t.put, t.delete, t.whole)
}

// reset implements the view's Reset. The previous extensions stay in force until Whole.
func (t *Table) reset() {
	t.duties.Reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows.Reset()
}

// whole implements the view's Whole.
func (t *Table) whole() {
	t.mu.Lock()
	t.rows.Whole()
	t.broadcast()
	t.mu.Unlock()
	t.changed()
}

// Changed returns a channel that is closed at the next change of the extensions.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake == nil {
		t.wake = make(chan struct{})
	}
	return t.wake
}

// broadcast wakes the callers that wait for a change. Callers hold mu.
func (t *Table) broadcast() {
	if t.wake != nil {
		close(t.wake)
		t.wake = nil
	}
}

// put implements the view's Put. An extension whose record can't be read can't log in and declares
// no privileges.
func (t *Table) put(rec store.Record) {
	if t.duties.Put(rec) {
		return
	}
	r, err := decode(rec)
	var same []string
	t.edit(func() {
		if err != nil {
			err = t.rows.Damage(rec.ID, rec.Revision, err)
			return
		}
		same = t.rows.Put(named.Entry[*row]{ID: r.id, Revision: r.revision, Name: r.name(), Value: r})
	})
	if err != nil {
		t.logger.Error("extension can't be read: it can't log in", "err", err)
	}
	if same != nil {
		t.logger.Error("extensions have the same key: none of them can log in until all but one are unregistered",
			"records", same)
	}
}

// delete implements the view's Delete.
func (t *Table) delete(_ store.Kind, id string) {
	if t.duties.Delete(id) {
		return
	}
	t.edit(func() { t.rows.Delete(id) })
}

// edit makes a change, and tells it to those that wait, unless it is part of a state that is being loaded.
func (t *Table) edit(change func()) {
	t.mu.Lock()
	change()
	loading := t.rows.Loading()
	if !loading {
		t.broadcast()
	}
	t.mu.Unlock()
	if !loading {
		t.changed()
	}
}

// errSameKey means that an older version, which compared keys less strictly, has stored several
// extensions whose keys are now the same. None of them is served, because rights that were given to
// one would apply to another.
var errSameKey = errors.New("another extension has the same key")

// get returns the extension's record, which must not be changed, or the reason why it is not
// served. Both are nil if there is no such extension.
func (t *Table) get(key string) (*row, *named.Damage) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.Get(principal.Extension(key))
}

// Alike reports whether there is an extension whose key a reader could mistake for this name: see
// principal.Alike.
func (t *Table) Alike(name string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.Alike(name)
}

// room returns ErrTooMany if r, which replaces old (nil if r is new), would exceed the limits on
// the number of extensions, their size or their privileges.
func (t *Table) room(old, r *row) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	count, size, declared := t.rows.Len(), r.size, len(r.Privileges)
	if old == nil {
		count++
	}
	for other := range t.rows.All() {
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
	for r := range t.rows.Sorted() {
		all = append(all, r.extension())
	}
	return all
}

// Declared returns the privileges that extensions declare, in the order of the extensions' keys. If
// two extensions declare the same privilege, the first declaration counts.
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

// Damaged returns why extensions can't be read, or nil if all can be.
func (t *Table) Damaged() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.rows.Damaged()
}
