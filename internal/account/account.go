// Package account keeps the local users of the server's own domain, with their passwords as
// Argon2id hashes.
//
// [Table] holds the users in memory. [Manager] verifies passwords and changes users. If a change
// takes access from a user, the user's sessions are ended before the call returns. The package does
// not know users of other identity sources, and does not count failed logins.
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
	// Revision is the revision of the record.
	Revision store.Revision
	record   string // id of the record
}

// Require returns the condition that the account is unchanged since a was read. A login commits
// with it, so that it fails with a conflict if the user is disabled or gets another password in
// between.
func (a Account) Require() store.Change {
	return store.RequireAt(store.Account, a.record, a.Revision)
}

const formatVersion = 1

// row is the record of an account.
type row struct {
	Domain          string    `json:"domain"`
	User            string    `json:"user"`
	FullName        string    `json:"fullName,omitempty"`
	Hash            string    `json:"hash"`
	Disabled        bool      `json:"disabled,omitempty"`
	Created         time.Time `json:"created"`
	PasswordChanged time.Time `json:"passwordChanged"`

	id       string // id of the record
	look     string // principal.Look of User
	hash     hash
	revision store.Revision
	extra    record.Extra
}

func (r *row) name() principal.Name { return principal.Name{Domain: r.Domain, User: r.User} }

func (r *row) account() Account {
	return Account{Name: r.name(), FullName: r.FullName, Disabled: r.Disabled, Created: r.Created,
		PasswordChanged: r.PasswordChanged, Revision: r.revision, record: r.id}
}

func (r *row) encode() ([]byte, error) { return record.Encode(formatVersion, r, r.extra) }

var errWrongID = errors.New("its name is not the record's")

func (t *Table) decode(rec store.Record) (*row, error) {
	r := &row{id: rec.ID, revision: rec.Revision}
	extra, err := record.Decode(rec.Value, formatVersion, r)
	if err != nil {
		return nil, err
	}
	r.extra = extra
	if r.hash, err = parseHash(r.Hash); err != nil {
		return nil, err
	}
	if n := r.name(); n.Key() != rec.ID && n.FormerKey() != rec.ID || r.User == "" {
		return nil, errWrongID
	}
	r.look = principal.Look(r.User)
	if !strings.EqualFold(r.Domain, t.domain) {
		// Under its old name it would be a user of another domain; under the new name it would be a
		// different user. So it is not served.
		return nil, fmt.Errorf("it is of the domain %q, and this server's is %q", r.Domain, t.domain)
	}
	return r, nil
}

// Table holds all local users in memory. It is safe for concurrent use.
type Table struct {
	domain string
	logger *slog.Logger
	duties eviction.Duties

	mu sync.RWMutex // guards what follows
	content
	// staged holds the records of a snapshot while the snapshot is being loaded; otherwise it is nil.
	staged *content
}

type content struct {
	users   map[string]*row // by record id
	names   principal.Index // of users
	damaged map[string]damage
}

func newContent() content {
	return content{users: map[string]*row{}, names: principal.Index{}, damaged: map[string]damage{}}
}

// damage is the reason why a record is not served.
type damage struct {
	id       string
	revision store.Revision
	err      error
}

// DefaultDomain is the domain of local users if none is configured.
const DefaultDomain = "VSPHERE.LOCAL"

// NewTable returns an empty table for the users of the domain. If domain is empty, DefaultDomain is
// used. Damaged records are logged to logger; if it is nil, slog.Default is used.
func NewTable(domain string, logger *slog.Logger) *Table {
	if domain == "" {
		domain = DefaultDomain
	}
	if logger == nil {
		logger = slog.Default()
	}
	return &Table{domain: strings.ToUpper(domain), logger: logger, content: newContent()}
}

// Domain returns the domain of all local users, in upper case.
func (t *Table) Domain() string { return t.domain }

// View returns the view through which the mirror feeds the table.
func (t *Table) View() store.View {
	return store.NewView([]store.Kind{store.Account}, t.reset, t.put, t.delete, t.whole)
}

// reset implements the view's Reset. The previous users stay in force until Whole.
func (t *Table) reset() {
	t.duties.Reset()
	t.mu.Lock()
	defer t.mu.Unlock()
	staged := newContent()
	t.staged = &staged
}

// whole implements the view's Whole.
func (t *Table) whole() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.staged != nil {
		t.content, t.staged = *t.staged, nil
	}
}

// put implements the view's Put. A user whose record can't be read exists but can't log in.
func (t *Table) put(rec store.Record) {
	if t.duties.Put(rec) {
		return
	}
	r, err := t.decode(rec)
	if err != nil {
		err = &store.DamagedError{Where: fmt.Sprintf("account %q", rec.ID), Cause: err}
		t.logger.Error("account can't be read: its user can't log in", "err", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	to := t.target()
	to.remove(rec.ID)
	if err != nil {
		to.damaged[rec.ID] = damage{rec.ID, rec.Revision, err}
		return
	}
	to.users[rec.ID] = r
	to.names.Put(r.name(), r.id)
	if ids := to.names.Find(r.name()); len(ids) > 1 {
		t.logger.Error("users have the same name: none of them can log in until all but one are removed", "records",
			ids)
	}
}

// delete implements the view's Delete.
func (t *Table) delete(_ store.Kind, id string) {
	if t.duties.Delete(id) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.target().remove(id)
}

func (c content) remove(id string) {
	if r := c.users[id]; r != nil {
		c.names.Delete(r.name(), id)
	}
	delete(c.users, id)
	delete(c.damaged, id)
}

// target returns the content that changes apply to. Callers hold mu.
func (t *Table) target() content {
	if t.staged != nil {
		return *t.staged
	}
	return t.content
}

// errSameName means that an older version, which compared names less strictly, has stored several
// users whose names are now the same. None of them is served, because rights that were given to one
// would apply to another.
var errSameName = errors.New("another user has the same name")

// get returns the user's record, which must not be changed, or the reason why it is not served.
// Both are nil if there is no such user.
func (t *Table) get(name principal.Name) (*row, *damage) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, id := range []string{name.Key(), name.FormerKey()} {
		if d, ok := t.damaged[id]; ok {
			return nil, &d
		}
	}
	ids := t.names.Find(name)
	switch len(ids) {
	case 0:
		return nil, nil
	case 1:
		return t.users[ids[0]], nil
	}
	meant := t.users[ids[0]]
	for _, id := range ids {
		if r := t.users[id]; r.User == name.User {
			meant = r
		}
	}
	return nil, &damage{meant.id, meant.revision, meant.clash()}
}

func (r *row) clash() error {
	return &store.DamagedError{Where: fmt.Sprintf("account %q", r.id), Cause: errSameName}
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

// Enabled reports whether there is such a user that is not disabled.
func (t *Table) Enabled(name principal.Name) bool {
	a, ok := t.Find(name)
	return ok && !a.Disabled
}

// Damaged returns why accounts can't be read, or nil if all can be.
func (t *Table) Damaged() error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var all []error
	for _, id := range slices.Sorted(maps.Keys(t.damaged)) {
		all = append(all, t.damaged[id].err)
	}
	for _, ids := range t.names {
		if len(ids) > 1 {
			all = append(all, t.users[ids[0]].clash())
		}
	}
	return errors.Join(all...)
}

// Search returns the users whose user name contains the text or, if exact is set, is equal to it,
// ignoring case. They are sorted by name. An empty text matches all names.
func (t *Table) Search(text string, exact bool) []Account {
	var found []Account
	t.mu.RLock()
	defer t.mu.RUnlock()
	if exact && text != "" {
		for _, id := range t.names.Find(principal.Name{Domain: t.domain, User: text}) {
			found = append(found, t.users[id].account())
		}
		return found
	}
	text = principal.Fold(text)
	for _, key := range slices.Sorted(maps.Keys(t.names)) {
		for _, id := range t.names[key] {
			if r := t.users[id]; strings.Contains(principal.Fold(r.User), text) {
				found = append(found, r.account())
			}
		}
	}
	return found
}

// Alike reports whether there is a user whose name a reader could mistake for this one: see
// principal.Alike.
func (t *Table) Alike(user string) bool {
	look := principal.Look(user)
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, r := range t.users {
		if r.look == look {
			return true
		}
	}
	return false
}

// MaxUsers is the maximum number of users.
const MaxUsers = 10_000

// count returns the number of users, including those whose records can't be read.
func (t *Table) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.users) + len(t.damaged)
}

// Limits of names, in bytes.
const (
	maxUser     = 128
	maxFullName = 512
)

// checkName returns an error if a new user of the domain may not have the name.
func (t *Table) checkName(n principal.Name) error {
	if !strings.EqualFold(n.Domain, t.domain) {
		return fmt.Errorf("%w: not of this domain", ErrName)
	}
	if err := principal.CheckNew(n.User, maxUser); err != nil {
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	return nil
}

func validFullName(s string) bool { return len(s) <= maxFullName && principal.ValidText(s) }
