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
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/eviction"
	"github.com/vigate/vigate/internal/named"
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

	mu    sync.RWMutex // guards what follows
	users *named.Records[*row]
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
	return &Table{
		domain: strings.ToUpper(domain), logger: logger,
		users: named.New[*row](named.Options{Kind: "account", Same: errSameName}),
	}
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
	t.users.Reset()
}

// whole implements the view's Whole.
func (t *Table) whole() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users.Whole()
}

// put implements the view's Put. A user whose record can't be read exists but can't log in.
func (t *Table) put(rec store.Record) {
	if t.duties.Put(rec) {
		return
	}
	r, err := t.decode(rec)
	var same []string
	t.mu.Lock()
	if err != nil {
		err = t.users.Damage(rec.ID, rec.Revision, err)
	} else {
		same = t.users.Put(named.Entry[*row]{ID: r.id, Revision: r.revision, Name: r.name(), Value: r})
	}
	t.mu.Unlock()
	if err != nil {
		t.logger.Error("account can't be read: its user can't log in", "err", err)
	}
	if same != nil {
		t.logger.Error("users have the same name: none of them can log in until all but one are removed", "records",
			same)
	}
}

// delete implements the view's Delete.
func (t *Table) delete(_ store.Kind, id string) {
	if t.duties.Delete(id) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users.Delete(id)
}

// errSameName means that an older version, which compared names less strictly, has stored several
// users whose names are now the same. None of them is served, because rights that were given to one
// would apply to another.
var errSameName = errors.New("another user has the same name")

// get returns the user's record, which must not be changed, or the reason why it is not served.
// Both are nil if there is no such user.
func (t *Table) get(name principal.Name) (*row, *named.Damage) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.users.Get(name)
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
	return t.users.Damaged()
}

// Search returns the users whose user name contains the text or, if exact is set, is equal to it,
// ignoring case. They are sorted by name. An empty text matches all names.
func (t *Table) Search(text string, exact bool) []Account {
	var found []Account
	t.mu.RLock()
	defer t.mu.RUnlock()
	if exact && text != "" {
		for _, r := range t.users.Find(principal.Name{Domain: t.domain, User: text}) {
			found = append(found, r.account())
		}
		return found
	}
	text = principal.Fold(text)
	for r := range t.users.Sorted() {
		if strings.Contains(principal.Fold(r.User), text) {
			found = append(found, r.account())
		}
	}
	return found
}

// Alike reports whether there is a user whose name a reader could mistake for this one: see
// principal.Alike.
func (t *Table) Alike(user string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.users.Alike(user)
}

// MaxUsers is the maximum number of users.
const MaxUsers = 10_000

// count returns the number of users, including those whose records can't be read.
func (t *Table) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.users.Len()
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
