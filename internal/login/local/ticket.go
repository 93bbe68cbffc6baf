// Package local is the login by tickets of accounts of the operating system. A caller on the same machine asks
// for a ticket of an account. The server writes the ticket to a file that only the account can read. So a
// caller that knows the ticket is the account.
//
// [Tickets] issues tickets and verifies them as passwords: it is the login.PasswordSource of the domain of
// these accounts. The package bounds how many tickets there are, and how often callers have accounts looked
// up.
package local

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Method is the name of logins by local ticket in sessions and metrics.
const Method = "local ticket"

// lifetime is how long a local ticket is valid.
const lifetime = 60 * time.Second

// The bounds of unexpired tickets of this node. Each is a file and a record, and any local caller can
// request one. docs/operations.md lists the bounds.
const (
	maxTickets = 1000 // tickets in all
	maxAccount = 8    // tickets of one account
)

// secretBytes is the number of random bytes of a ticket's password. The password consists of their
// hexadecimal digits. A client may send it with a final newline.
const (
	secretBytes = 32
	maxPassword = 2*secretBytes + 1
)

var (
	// ErrRemote is returned if the caller does not count as local.
	ErrRemote = errors.New("caller is not local")
	// ErrCannotGive is returned if the server can't create a file that only the account can read.
	ErrCannotGive = errors.New("file can't be given to the account")
)

// Tickets issues and verifies tickets of operating-system accounts. A ticket is a password that can be used
// once.
//
// Dir, Access, Sessions, Mirror and Events are required. Open must be called before any other method;
// afterwards it is safe for concurrent use.
type Tickets struct {
	Dir      *os.Root // a directory that only the server can write to
	Loopback bool     // callers from loopback addresses count as local, not only those of the Unix socket
	Access   *access.Table
	Sessions *session.Manager
	Mirror   *store.Mirror
	Events   *event.Log
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // nil: crypto/rand
	Logger   *slog.Logger     // nil: slog.Default
	// Account looks up an operating-system account. If nil, os/user.Lookup is used.
	Account func(name string) (*user.User, error)

	lookups *lookups // created by Open

	mu     sync.Mutex            // guards the following
	files  map[string]ticketFile // files of tickets, including those about to be written, by name
	counts map[owner]int         // number of files
	others int                   // number of files whose tickets were not requested by their account
}

// ticketFile is the file of a ticket.
type ticketFile struct {
	expires time.Time
	owner   owner
}

// owner is the account of a ticket, and whether the account requested it. Tickets that an account
// requests for itself count separately, so that others can't prevent it from getting its own.
type owner struct {
	account string // principal.Name.Key
	itself  bool   // as the kernel says about callers of the Unix socket
}

// Ticket is the result of Issue: the name of the account, and the path of the file.
type Ticket struct{ User, Path string }

// Open prepares t, and removes the files of earlier runs from the directory.
func (t *Tickets) Open() error {
	if t.Now == nil {
		t.Now = time.Now
	}
	t.Logger = cmp.Or(t.Logger, slog.Default())
	t.lookups = newLookups(t.Now)
	t.files, t.counts, t.others = map[string]ticketFile{}, map[owner]int{}, 0
	left, err := fs.ReadDir(t.Dir.FS(), ".")
	if err != nil {
		return fmt.Errorf("read directory of local tickets: %w", err)
	}
	for _, f := range left {
		if err := t.Dir.Remove(f.Name()); err != nil {
			return fmt.Errorf("remove old local ticket: %w", err)
		}
	}
	return nil
}

// Issue creates a ticket for the account. Errors: ErrRemote, login.ErrRejected if there is no such account,
// login.ErrNoAccess, ErrCannotGive, session.ErrTooManyTickets, login.ErrBusy, or the store's.
func (t *Tickets) Issue(ctx context.Context, p peer.Peer, name string) (Ticket, error) {
	if p.UnixUID == nil && (!t.Loopback || !p.Local) {
		return Ticket{}, ErrRemote
	}
	who, err := accountName(name)
	if err != nil {
		return Ticket{}, err
	}
	network := "loopback" // one name, because a caller can use all addresses of 127.0.0.0/8
	if p.UnixUID != nil {
		network = p.Network()
	}
	var ticket Ticket
	account, err := t.lookup(ctx, network, who)
	if err == nil {
		ticket, err = t.issue(ctx, p, who, account)
	}
	t.lookups.ended(network, err)
	return ticket, err
}

// issue creates a ticket for the account if it has a role.
func (t *Tickets) issue(
	ctx context.Context, p peer.Peer, who principal.Name, account *user.User,
) (Ticket, error) {
	if !t.Access.HasRole(access.Subject{Principal: who}) {
		return Ticket{}, login.ErrNoAccess
	}
	// The name and the content of the file are independent secrets: the caller learns the name, and
	// only the account learns the content.
	fileName, err := t.random(16)
	if err != nil {
		return Ticket{}, err
	}
	password, err := t.password()
	if err != nil {
		return Ticket{}, err
	}
	itself := p.UnixUID != nil && account.Uid == strconv.FormatUint(uint64(*p.UnixUID), 10)
	expires := t.Now().Add(lifetime)
	if limit := t.take(fileName, ticketFile{expires, owner{who.Key(), itself}}); limit != nil {
		return Ticket{}, fmt.Errorf("issue local ticket: %w", limit)
	}
	if err := t.write(fileName, password, account); err != nil {
		t.remove(fileName)
		return Ticket{}, err
	}
	_, err = t.Mirror.Commit(ctx,
		store.Create(store.Ticket, recordID(who, password), []byte(fileName), expires),
		t.Events.Change(event.Event{
			Type: "EventEx", ID: "vigate.ticket.local.issued", User: who.String(), Address: p.Address,
			Subject: who.String(),
		}))
	if err != nil {
		t.remove(fileName)
		return Ticket{}, fmt.Errorf("issue local ticket: %w", err)
	}
	return Ticket{User: who.String(), Path: filepath.Join(t.Dir.Name(), fileName)}, nil
}

// accountName parses the name of an account: without a domain, or in the domain of operating-system
// accounts.
func accountName(name string) (principal.Name, error) {
	n, err := principal.Parse(name, principal.SystemDomain)
	if err != nil || n.Domain != principal.SystemDomain {
		return principal.Name{}, fmt.Errorf("local ticket: not an account's name: %w", login.ErrRejected)
	}
	return n, nil
}

// lookup returns the account, for a caller from the network. Errors: login.ErrRejected if there is no
// such account, login.ErrBusy, or ctx's.
func (t *Tickets) lookup(ctx context.Context, network string, who principal.Name) (*user.User, error) {
	leave, err := t.lookups.enter(ctx, network)
	if err != nil {
		return nil, err
	}
	defer leave()
	find := t.Account
	if find == nil {
		find = user.Lookup
	}
	u, err := find(who.User)
	if err != nil || u.Username != who.User {
		return nil, fmt.Errorf("local ticket: no such account: %w", login.ErrRejected)
	}
	return u, nil
}

// password returns a new password.
func (t *Tickets) password() (secret.Text, error) {
	p, err := t.random(secretBytes)
	return secret.New(p), err
}

// random returns the hexadecimal digits of this number of random bytes.
func (t *Tickets) random(bytes int) (string, error) {
	r := t.Random
	if r == nil {
		r = rand.Reader
	}
	b := make([]byte, bytes)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("make local ticket: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// write creates the file with mode 0600, makes the account its owner, and then writes the secret. After
// an error, the caller must remove the file.
func (t *Tickets) write(fileName string, password secret.Text, u *user.User) (err error) {
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	if errUID != nil || errGID != nil {
		return ErrCannotGive
	}
	f, err := t.Dir.OpenFile(fileName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write local ticket: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if uid != os.Geteuid() {
		if err := f.Chown(uid, gid); err != nil {
			return fmt.Errorf("%w: %w", ErrCannotGive, err)
		}
	}
	if _, err := f.WriteString(password.Reveal()); err != nil {
		return fmt.Errorf("write local ticket: %w", err)
	}
	return nil
}

// recordID returns the id of a ticket's record. It depends on the account, so that the password is valid
// for no other account.
func recordID(who principal.Name, password secret.Text) string {
	h := sha256.Sum256([]byte(who.Key() + "\x00" + password.Reveal()))
	return "local/" + hex.EncodeToString(h[:])
}

// Domain implements login.PasswordSource.
func (t *Tickets) Domain() string { return principal.SystemDomain }

// Verify implements login.PasswordSource. It returns login.ErrNotMine for a password that is no unspent ticket of
// this server.
func (t *Tickets) Verify(ctx context.Context, who principal.Name, a login.Attempt) (session.Grant, error) {
	p, ok := a.Credential.(login.Password)
	if !ok || len(p.Secret.Reveal()) > maxPassword {
		return session.Grant{}, login.ErrNotMine
	}
	r, err := t.Sessions.Ticket(ctx, recordID(who, secret.New(strings.TrimSuffix(p.Secret.Reveal(), "\n"))))
	if errors.Is(err, session.ErrBadTicket) {
		return session.Grant{}, login.ErrNotMine
	} else if err != nil {
		return session.Grant{}, fmt.Errorf("read local ticket: %w", err)
	}
	full := who.User
	if u, err := t.lookup(ctx, a.Peer.Network(), who); err == nil && u.Name != "" {
		full = u.Name
	}
	return session.Grant{
		Identity: session.Identity{Name: who, FullName: full},
		Method:   Method,
		Scope:    session.Scope{Local: true},
		Tickets:  []store.Record{r},
		Changes: []store.Change{
			t.Events.Change(event.Event{
				Type: "EventEx", ID: "vigate.ticket.local.used", User: who.String(), Address: a.Peer.Address,
				Subject: who.String(),
			}),
		},
		// Earlier versions stored the path instead of the name.
		Spent: func() { t.remove(filepath.Base(string(r.Value))) },
	}, nil
}

// Sweep removes the files of expired tickets. Call it every few seconds.
func (t *Tickets) Sweep() {
	for _, fileName := range t.expired() {
		t.remove(fileName)
	}
}

// expired returns the names of the files of expired tickets.
func (t *Tickets) expired() []string {
	now := t.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var old []string
	for fileName, f := range t.files {
		if !now.Before(f.expires) {
			old = append(old, fileName)
		}
	}
	return old
}

// take counts one more file, or returns the limit that it would exceed. If there are too many, it sweeps
// first.
func (t *Tickets) take(fileName string, f ticketFile) *session.LimitError {
	if t.tryTake(fileName, f) == nil {
		return nil
	}
	t.Sweep()
	return t.tryTake(fileName, f)
}

// tryTake is take without the sweep.
func (t *Tickets) tryTake(fileName string, f ticketFile) *session.LimitError {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n := t.counts[f.owner]; {
	case n >= maxAccount:
		return &session.LimitError{Limit: "tickets", Max: maxAccount, Live: n}
	case !f.owner.itself && t.others >= maxTickets:
		return &session.LimitError{Limit: "tickets", Max: maxTickets, Live: t.others}
	}
	t.files[fileName] = f
	t.counts[f.owner]++
	if !f.owner.itself {
		t.others++
	}
	return nil
}

// forget is the opposite of tryTake.
func (t *Tickets) forget(fileName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.files[fileName]
	if !ok {
		return
	}
	delete(t.files, fileName)
	if t.counts[f.owner]--; t.counts[f.owner] == 0 {
		delete(t.counts, f.owner)
	}
	if !f.owner.itself {
		t.others--
	}
}

// remove removes a file, and no longer counts it.
func (t *Tickets) remove(fileName string) {
	t.forget(fileName)
	if err := t.Dir.Remove(fileName); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Logger.Error("file of local ticket not removed", "err", err)
	}
}
