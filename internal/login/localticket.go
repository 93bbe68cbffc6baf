package login

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
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// LocalMethod is what sessions and metrics call the way in by a local ticket.
const LocalMethod = "local ticket"

// localLifetime is how long a local ticket can be used.
const localLifetime = 60 * time.Second

// The most unexpired tickets that there may be on this node at a time: each is a
// file and a record, and any local caller can ask. docs/operations.md lists them.
const (
	maxLocal        = 1000 // in all
	maxLocalAccount = 8    // of one account
)

// localSecret is how many random bytes a ticket's password has. The password is
// their hexadecimal digits; a client may send the file's last newline with it.
const (
	localSecret      = 32
	maxLocalPassword = 2*localSecret + 1
)

var (
	// ErrRemote: the caller is not on this machine, as far as local tickets go.
	ErrRemote = errors.New("caller is not local")
	// ErrCannotGive: the server can't make a file that only the account reads.
	ErrCannotGive = errors.New("file can't be given to the account")
)

// LocalTickets proves operating-system accounts: the server writes a one-time
// password into a file that only the account can read, and whoever can tell it
// is the account. It is the PasswordSource of the domain of operating-system accounts.
type LocalTickets struct {
	Dir      *os.Root // nobody but the server can write there
	Loopback bool     // loopback callers count as local, not those of the Unix socket alone
	Access   *access.Table
	Sessions *session.Manager
	Mirror   *store.Mirror
	Events   *event.Log
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // nil: crypto/rand
	Log      *slog.Logger     // nil: slog.Default
	// Account looks up an operating-system account; nil: os/user.Lookup.
	Account func(name string) (*user.User, error)

	lookups *lookups // made by Open

	mu     sync.Mutex           // guards what follows
	files  map[string]localFile // of tickets issued or about to be, by name
	counts map[localOwner]int   // of files
	others int                  // files of tickets that others than their account asked for
}

// localFile is the file of a ticket.
type localFile struct {
	expires time.Time
	owner   localOwner
}

// localOwner is an account, and whether its tickets were asked for by itself, as
// the kernel says of callers of the Unix socket. Those count apart, so that others
// who ask for tickets of an account can't keep it from having its own.
type localOwner struct {
	account string // principal.Name.Key
	itself  bool
}

// LocalTicket is what the caller gets.
type LocalTicket struct{ User, Path string }

// Open removes what an earlier run left in the directory.
func (t *LocalTickets) Open() error {
	if t.Now == nil {
		t.Now = time.Now
	}
	t.Log = cmp.Or(t.Log, slog.Default())
	t.lookups = newLookups(t.Now)
	t.files, t.counts, t.others = map[string]localFile{}, map[localOwner]int{}, 0
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

// Issue gives the account a ticket. Errors: ErrRemote, ErrRejected for a name
// that is no account, ErrNoAccess, ErrCannotGive, session.ErrTooManyTickets, ErrBusy.
func (t *LocalTickets) Issue(ctx context.Context, p peer.Peer, name string) (LocalTicket, error) {
	if p.UnixUID == nil && (!t.Loopback || !p.Local) {
		return LocalTicket{}, ErrRemote
	}
	who, err := localName(name)
	if err != nil {
		return LocalTicket{}, err
	}
	network := "loopback" // a caller has all of 127.0.0.0/8
	if p.UnixUID != nil {
		network = p.Network()
	}
	var ticket LocalTicket
	account, err := t.lookup(ctx, network, who)
	if err == nil {
		ticket, err = t.issue(ctx, p, who, account)
	}
	t.lookups.ended(network, err)
	return ticket, err
}

// issue gives the account a ticket if it has a role.
func (t *LocalTickets) issue(ctx context.Context, p peer.Peer, who principal.Name, account *user.User) (LocalTicket, error) {
	if !t.Access.HasRole(access.Subject{Principal: who}) {
		return LocalTicket{}, ErrNoAccess
	}
	// Two independent secrets: the name of the file is told to the caller, its
	// content only to the account.
	fileName, err := t.random(16)
	if err != nil {
		return LocalTicket{}, err
	}
	password, err := t.password()
	if err != nil {
		return LocalTicket{}, err
	}
	itself := p.UnixUID != nil && account.Uid == strconv.FormatUint(uint64(*p.UnixUID), 10)
	expires := t.Now().Add(localLifetime)
	if !t.take(fileName, localFile{expires, localOwner{who.Key(), itself}}) {
		return LocalTicket{}, fmt.Errorf("issue local ticket: %w", session.ErrTooManyTickets)
	}
	if err := t.write(fileName, password, account); err != nil {
		t.remove(fileName)
		return LocalTicket{}, err
	}
	_, err = t.Mirror.Commit(ctx,
		store.Create(store.Ticket, localID(who, password), []byte(fileName), expires),
		t.Events.Change(event.Event{
			Type: "EventEx", ID: "vigate.ticket.local.issued", User: who.String(), Address: p.Address, Subject: who.String(),
		}))
	if err != nil {
		t.remove(fileName)
		return LocalTicket{}, fmt.Errorf("issue local ticket: %w", err)
	}
	return LocalTicket{User: who.String(), Path: filepath.Join(t.Dir.Name(), fileName)}, nil
}

// localName is the name of an account: bare, or in the domain of operating-system
// accounts.
func localName(name string) (principal.Name, error) {
	n, err := principal.Parse(name, principal.SystemDomain)
	if err != nil || n.Domain != principal.SystemDomain {
		return principal.Name{}, fmt.Errorf("local ticket: not an account's name: %w", ErrRejected)
	}
	return n, nil
}

// lookup finds the account for a caller of the network. Errors: ErrRejected if
// there is none, ErrBusy, ctx's.
func (t *LocalTickets) lookup(ctx context.Context, network string, who principal.Name) (*user.User, error) {
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
		return nil, fmt.Errorf("local ticket: no such account: %w", ErrRejected)
	}
	return u, nil
}

func (t *LocalTickets) password() (secret.Text, error) {
	p, err := t.random(localSecret)
	return secret.New(p), err
}

// random is so many random bytes in hex.
func (t *LocalTickets) random(bytes int) (string, error) {
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

// write makes the file, new, mode 0600, owned by the account before the secret
// is in it. After an error the caller removes it.
func (t *LocalTickets) write(fileName string, password secret.Text, u *user.User) (err error) {
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

// localID ties the password to the account that it was issued to.
func localID(who principal.Name, password secret.Text) string {
	h := sha256.Sum256([]byte(who.Key() + "\x00" + password.Reveal()))
	return "local/" + hex.EncodeToString(h[:])
}

// Domain is part of PasswordSource.
func (t *LocalTickets) Domain() string { return principal.SystemDomain }

// Verify is part of PasswordSource. It returns ErrNotMine for a password that is no unspent ticket of
// this server.
func (t *LocalTickets) Verify(ctx context.Context, who principal.Name, a Attempt) (session.Grant, error) {
	p, ok := a.Credential.(Password)
	if !ok || len(p.Secret.Reveal()) > maxLocalPassword {
		return session.Grant{}, ErrNotMine
	}
	r, err := t.Sessions.Ticket(ctx, localID(who, secret.New(strings.TrimSuffix(p.Secret.Reveal(), "\n"))))
	if errors.Is(err, session.ErrBadTicket) {
		return session.Grant{}, ErrNotMine
	} else if err != nil {
		return session.Grant{}, fmt.Errorf("read local ticket: %w", err)
	}
	full := who.User
	if u, err := t.lookup(ctx, a.Peer.Network(), who); err == nil && u.Name != "" {
		full = u.Name
	}
	return session.Grant{
		Identity: session.Identity{Name: who, FullName: full},
		Method:   LocalMethod,
		Scope:    session.Scope{Local: true},
		Tickets:  []store.Record{r},
		Changes: []store.Change{
			t.Events.Change(event.Event{
				Type: "EventEx", ID: "vigate.ticket.local.used", User: who.String(), Address: a.Peer.Address, Subject: who.String(),
			}),
		},
		// Earlier versions wrote the path.
		Spent: func() { t.remove(filepath.Base(string(r.Value))) },
	}, nil
}

// Sweep removes the files of tickets that expired unused.
func (t *LocalTickets) Sweep() {
	for _, fileName := range t.expired() {
		t.remove(fileName)
	}
}

func (t *LocalTickets) expired() []string {
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

// take counts a file that is about to be written, and reports whether there may
// be one more. It sweeps if that is what it takes.
func (t *LocalTickets) take(fileName string, f localFile) bool {
	if t.tryTake(fileName, f) {
		return true
	}
	t.Sweep()
	return t.tryTake(fileName, f)
}

func (t *LocalTickets) tryTake(fileName string, f localFile) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[f.owner] >= maxLocalAccount || !f.owner.itself && t.others >= maxLocal {
		return false
	}
	t.files[fileName] = f
	t.counts[f.owner]++
	if !f.owner.itself {
		t.others++
	}
	return true
}

// forget is the opposite of tryTake.
func (t *LocalTickets) forget(fileName string) {
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

func (t *LocalTickets) remove(fileName string) {
	t.forget(fileName)
	if err := t.Dir.Remove(fileName); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Log.Error("file of local ticket not removed", "err", err)
	}
}
