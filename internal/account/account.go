// Package account keeps the local users of the server's own domain, and their
// passwords as Argon2id hashes.
//
// [Table] is the users in memory; [Manager] verifies passwords and changes users.
// Whatever takes a user's access ends its sessions before it returns.
package account

import (
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

// Account is a local user.
type Account struct {
	Name            principal.Name
	FullName        string
	Disabled        bool
	Created         time.Time
	PasswordChanged time.Time
	// Revision is that of the record.
	Revision store.Revision
}

// Require holds a commit to the account being as it was when a says it was: a
// login whose user is disabled meanwhile, or gets another password, fails with
// a conflict.
func (a Account) Require() store.Change {
	return store.RequireAt(store.Account, a.Name.Key(), a.Revision)
}

const formatVersion = 1

// row is an account's record.
type row struct {
	Domain          string    `json:"domain"`
	User            string    `json:"user"`
	FullName        string    `json:"fullName,omitempty"`
	Hash            string    `json:"hash"`
	Disabled        bool      `json:"disabled,omitempty"`
	Created         time.Time `json:"created"`
	PasswordChanged time.Time `json:"passwordChanged"`

	hash     hash
	revision store.Revision
	extra    record.Extra
}

func (r *row) name() principal.Name { return principal.Name{Domain: r.Domain, User: r.User} }

func (r *row) account() Account {
	return Account{Name: r.name(), FullName: r.FullName, Disabled: r.Disabled, Created: r.Created,
		PasswordChanged: r.PasswordChanged, Revision: r.revision}
}

func (r *row) encode() ([]byte, error) { return record.Encode(formatVersion, r, r.extra) }

var errWrongID = errors.New("its name is not the record's")

func (t *Table) decode(rec store.Record) (*row, error) {
	r := &row{revision: rec.Revision}
	extra, err := record.Decode(rec.Value, formatVersion, r)
	if err != nil {
		return nil, err
	}
	r.extra = extra
	if r.hash, err = parseHash(r.Hash); err != nil {
		return nil, err
	}
	if r.name().Key() != rec.ID || r.User == "" {
		return nil, errWrongID
	}
	if !strings.EqualFold(r.Domain, t.domain) {
		// Served under its old name it would be another domain's user; served
		// under the new one, another user.
		return nil, fmt.Errorf("it is of the domain %q, and this server's is %q", r.Domain, t.domain)
	}
	return r, nil
}

// Table is all local users, in memory. It is a store.View, and safe for
// concurrent use.
type Table struct {
	domain string
	log    *slog.Logger
	duties eviction.Duties

	mu      sync.RWMutex // guards what follows
	users   map[string]*row
	damaged map[string]damage
	// staged is what a whole state that is being read has had so far; nil
	// otherwise.
	staged *content
}

type content struct {
	users   map[string]*row
	damaged map[string]damage
}

type damage struct {
	revision store.Revision
	err      error
}

// DefaultDomain is the domain of local users where nothing else is configured.
const DefaultDomain = "VSPHERE.LOCAL"

// NewTable makes an empty table for the users of the domain, empty for
// DefaultDomain. Damage is logged to log, nil for slog.Default.
func NewTable(domain string, log *slog.Logger) *Table {
	if domain == "" {
		domain = DefaultDomain
	}
	if log == nil {
		log = slog.Default()
	}
	return &Table{domain: strings.ToUpper(domain), log: log, users: map[string]*row{}, damaged: map[string]damage{}}
}

// Domain is the domain of all local users, in upper case.
func (t *Table) Domain() string { return t.domain }

// Kinds is part of store.View.
func (t *Table) Kinds() []store.Kind { return []store.Kind{store.Account} }

// Reset is part of store.View. Users stay as they were until Whole.
func (t *Table) Reset() {
	t.duties.Reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.staged = &content{users: map[string]*row{}, damaged: map[string]damage{}}
}

// Whole is part of store.View.
func (t *Table) Whole() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.staged != nil {
		t.users, t.damaged, t.staged = t.staged.users, t.staged.damaged, nil
	}
}

// Put is part of store.View. A user whose record can't be read is there, but
// can't log in.
func (t *Table) Put(rec store.Record) {
	if t.duties.Put(rec) {
		return
	}
	r, err := t.decode(rec)
	if err != nil {
		err = &store.DamagedError{Where: fmt.Sprintf("account %q", rec.ID), Cause: err}
		t.log.Error("account can't be read: its user can't log in", "error", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	to := t.target()
	if err != nil {
		delete(to.users, rec.ID)
		to.damaged[rec.ID] = damage{rec.Revision, err}
		return
	}
	delete(to.damaged, rec.ID)
	to.users[rec.ID] = r
}

// Delete is part of store.View.
func (t *Table) Delete(_ store.Kind, id string) {
	if t.duties.Delete(id) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	to := t.target()
	delete(to.users, id)
	delete(to.damaged, id)
}

// target is what changes go to. Callers hold mu.
func (t *Table) target() content {
	if t.staged != nil {
		return *t.staged
	}
	return content{t.users, t.damaged}
}

// get returns the user's record, which nobody may write to, or why it can't be
// read. Both nil: there is none.
func (t *Table) get(name principal.Name) (*row, *damage) {
	key := name.Key()
	t.mu.RLock()
	defer t.mu.RUnlock()
	if d, ok := t.damaged[key]; ok {
		return nil, &d
	}
	return t.users[key], nil
}

// Find returns the user with the name.
func (t *Table) Find(name principal.Name) (Account, bool) {
	if r, _ := t.get(name); r != nil {
		return r.account(), true
	}
	return Account{}, false
}

// Exists reports whether there is such a user.
func (t *Table) Exists(name principal.Name) bool {
	_, ok := t.Find(name)
	return ok
}

// Enabled reports whether there is such a user and it is not disabled.
func (t *Table) Enabled(name principal.Name) bool {
	a, ok := t.Find(name)
	return ok && !a.Disabled
}

// Damaged returns why accounts can't be read, nil where all can.
func (t *Table) Damaged() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []error
	for _, id := range slices.Sorted(maps.Keys(t.damaged)) {
		all = append(all, t.damaged[id].err)
	}
	return errors.Join(all...)
}

// Search returns the users whose user name contains the text or, with exact, is
// the text, without regard to case, sorted by name. An empty text is in all
// names.
func (t *Table) Search(text string, exact bool) []Account {
	text = strings.ToLower(text)
	t.mu.RLock()
	defer t.mu.RUnlock()
	var found []Account
	for _, r := range t.users {
		user := strings.ToLower(r.User)
		if exact && text != "" && user != text || !strings.Contains(user, text) {
			continue
		}
		found = append(found, r.account())
	}
	slices.SortFunc(found, func(a, b Account) int { return strings.Compare(a.Name.Key(), b.Name.Key()) })
	return found
}

// similar reports whether there is another user whose name a reader takes for the
// same: to strings.EqualFold, unlike to principal.Name.Equal, a long s is an s.
func (t *Table) similar(name principal.Name) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.users {
		if strings.EqualFold(r.User, name.User) {
			return true
		}
	}
	return false
}

// Bounds of names, in bytes.
const (
	maxUser     = 128
	maxFullName = 512
)

// validName reports whether a user of the domain can be called so.
func (t *Table) validName(n principal.Name) bool {
	return strings.EqualFold(n.Domain, t.domain) && n.User != "" && len(n.User) <= maxUser &&
		utf8.ValidString(n.User) && strings.TrimSpace(n.User) == n.User &&
		!strings.ContainsAny(n.User, `\@`) && !strings.ContainsFunc(n.User, unicode.IsControl)
}

func validFullName(s string) bool {
	return len(s) <= maxFullName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
