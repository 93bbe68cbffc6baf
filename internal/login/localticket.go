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

// LocalMethod is the name of logins by local ticket in sessions and metrics.
const LocalMethod = "local ticket"

// localLifetime is how long a local ticket is valid.
const localLifetime = 60 * time.Second

// The bounds of unexpired tickets of this node. Each is a file and a record, and any local caller can
// request one. docs/operations.md lists the bounds.
const (
	maxLocal        = 1000 // tickets in all
	maxLocalAccount = 8    // tickets of one account
)

// localSecret is the number of random bytes of a ticket's password. The password consists of their
// hexadecimal digits. A client may send it with a final newline.
const (
	localSecret      = 32
	maxLocalPassword = 2*localSecret + 1
)

var (
	// ErrRemote is returned if the caller does not count as local.
	ErrRemote = errors.New("caller is not local")
	// ErrCannotGive is returned if the server can't create a file that only the account can read.
	ErrCannotGive = errors.New("file can't be given to the account")
)

// LocalTickets issues and verifies tickets of operating-system accounts. A ticket is a password that can
// be used once. The server writes it to a file that only the account can read, so a caller that knows
// the password is the account. LocalTickets is the PasswordSource of the domain of these accounts.
//
// Dir, Access, Sessions, Mirror and Events are required. Open must be called before any other method;
// afterwards it is safe for concurrent use.
type LocalTickets struct {
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

	mu     sync.Mutex           // guards the following
	files  map[string]localFile // files of tickets, including those about to be written, by name
	counts map[localOwner]int   // number of files
	others int                  // number of files whose tickets were not requested by their account
}

// localFile is the file of a ticket.
type localFile struct {
	expires time.Time
	owner   localOwner
}

// localOwner is the account of a ticket, and whether the account requested it. Tickets that an account
// requests for itself count separately, so that others can't prevent it from getting its own.
type localOwner struct {
	account string // principal.Name.Key
	itself  bool   // as the kernel says about callers of the Unix socket
}

// LocalTicket is the result of Issue: the name of the account, and the path of the file.
type LocalTicket struct{ User, Path string }

// Open prepares t, and removes the files of earlier runs from the directory.
func (t *LocalTickets) Open() error {
	if t.Now == nil {
		t.Now = time.Now
	}
	t.Logger = cmp.Or(t.Logger, slog.Default())
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

// Issue creates a ticket for the account. Errors: ErrRemote, ErrRejected if there is no such account,
// ErrNoAccess, ErrCannotGive, session.ErrTooManyTickets, ErrBusy, or the store's.
func (t *LocalTickets) Issue(ctx context.Context, p peer.Peer, name string) (LocalTicket, error) {
	if p.UnixUID == nil && (!t.Loopback || !p.Local) {
		return LocalTicket{}, ErrRemote
	}
	who, err := localName(name)
	if err != nil {
		return LocalTicket{}, err
	}
	network := "loopback" // one name, because a caller can use all addresses of 127.0.0.0/8
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

// issue creates a ticket for the account if it has a role.
func (t *LocalTickets) issue(
	ctx context.Context, p peer.Peer, who principal.Name, account *user.User,
) (LocalTicket, error) {
	if !t.Access.HasRole(access.Subject{Principal: who}) {
		return LocalTicket{}, ErrNoAccess
	}
	// The name and the content of the file are independent secrets: the caller learns the name, and
	// only the account learns the content.
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
			Type: "EventEx", ID: "vigate.ticket.local.issued", User: who.String(), Address: p.Address,
			Subject: who.String(),
		}))
	if err != nil {
		t.remove(fileName)
		return LocalTicket{}, fmt.Errorf("issue local ticket: %w", err)
	}
	return LocalTicket{User: who.String(), Path: filepath.Join(t.Dir.Name(), fileName)}, nil
}

// localName parses the name of an account: without a domain, or in the domain of operating-system
// accounts.
func localName(name string) (principal.Name, error) {
	n, err := principal.Parse(name, principal.SystemDomain)
	if err != nil || n.Domain != principal.SystemDomain {
		return principal.Name{}, fmt.Errorf("local ticket: not an account's name: %w", ErrRejected)
	}
	return n, nil
}

// lookup returns the account, for a caller from the network. Errors: ErrRejected if there is no such
// account, ErrBusy, or ctx's.
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

// password returns a new password.
func (t *LocalTickets) password() (secret.Text, error) {
	p, err := t.random(localSecret)
	return secret.New(p), err
}

// random returns the hexadecimal digits of this number of random bytes.
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

// write creates the file with mode 0600, makes the account its owner, and then writes the secret. After
// an error, the caller must remove the file.
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

// localID returns the id of a ticket's record. It depends on the account, so that the password is valid
// for no other account.
func localID(who principal.Name, password secret.Text) string {
	h := sha256.Sum256([]byte(who.Key() + "\x00" + password.Reveal()))
	return "local/" + hex.EncodeToString(h[:])
}

// Domain implements PasswordSource.
func (t *LocalTickets) Domain() string { return principal.SystemDomain }

// Verify implements PasswordSource. It returns ErrNotMine for a password that is no unspent ticket of
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
				Type: "EventEx", ID: "vigate.ticket.local.used", User: who.String(), Address: a.Peer.Address,
				Subject: who.String(),
			}),
		},
		// Earlier versions stored the path instead of the name.
		Spent: func() { t.remove(filepath.Base(string(r.Value))) },
	}, nil
}

// Sweep removes the files of expired tickets. Call it every few seconds.
func (t *LocalTickets) Sweep() {
	for _, fileName := range t.expired() {
		t.remove(fileName)
	}
}

// expired returns the names of the files of expired tickets.
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

// take reports whether there may be one more file, and counts it. If there are too many, it sweeps
// first.
func (t *LocalTickets) take(fileName string, f localFile) bool {
	if t.tryTake(fileName, f) {
		return true
	}
	t.Sweep()
	return t.tryTake(fileName, f)
}

// tryTake is take without the sweep.
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

// remove removes a file, and no longer counts it.
func (t *LocalTickets) remove(fileName string) {
	t.forget(fileName)
	if err := t.Dir.Remove(fileName); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Logger.Error("file of local ticket not removed", "err", err)
	}
}
