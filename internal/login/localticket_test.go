package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// openRoot returns a new directory that is open until the test ends.
func openRoot(t *testing.T) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func newLocal(t *testing.T) (*fixture, *LocalTickets, string) {
	t.Helper()
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	local := &LocalTickets{
		Dir: openRoot(t), Access: f.access.Table(), Sessions: f.sessions, Mirror: f.mirror, Events: f.Events,
		Now: f.clock.Now, Logger: slog.Default(), Account: accounts(self),
	}
	if err := local.Open(); err != nil {
		t.Fatal(err)
	}
	f.methods = append([]Method{tickets{local}}, f.methods...)
	err = f.access.SetPermissions(t.Context(), access.Server(event.By("test")), access.Root, []access.Permission{
		{
			Principal: principal.Name{Domain: principal.SystemDomain, User: self.Username}, Role: access.ReadOnly,
			Propagate: true,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, local, self.Username
}

// tickets is the login method for local tickets alone. All other passwords are left to the next method.
type tickets struct{ *LocalTickets }

func (tickets) Name() string { return "tickets" }

func (tickets) Challenge() string { return "" }

func (t tickets) Authenticate(ctx context.Context, a Attempt) (session.Grant, error) {
	p, _ := a.Credential.(Password)
	name, err := principal.Parse(p.User, admin.Domain)
	if err != nil || name.Domain != t.Domain() {
		return session.Grant{}, ErrNotMine
	}
	return t.Verify(ctx, name, a)
}

func onSocket() peer.Peer {
	uid := uint32(os.Geteuid())
	return peer.Peer{Address: "127.0.0.1", Local: true, UnixUID: &uid}
}

func TestALocalTicketLogsInOnceAndItsFileGoes(t *testing.T) {
	f, local, name := newLocal(t)
	ticket, err := local.Issue(t.Context(), onSocket(), name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(ticket.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file %v, %v", info, err)
	}
	secret, err := os.ReadFile(ticket.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.try(t, from(addr, "administrator", string(secret))); !errors.Is(err, ErrRejected) {
		t.Errorf("for another user: %v", err)
	}
	if err := f.try(t, from(addr, ticket.User, string(secret))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ticket.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	if err := f.try(t, from(addr, ticket.User, string(secret))); !errors.Is(err, ErrRejected) {
		t.Errorf("a second time: %v", err)
	}
}

func TestOnlyLocalCallersGetLocalTickets(t *testing.T) {
	_, local, name := newLocal(t)
	loopback := peer.Peer{Address: "127.0.0.1", Local: true}
	if _, err := local.Issue(t.Context(), loopback, name); !errors.Is(err, ErrRemote) {
		t.Errorf("loopback, switched off: %v", err)
	}
	local.Loopback = true
	if _, err := local.Issue(t.Context(), loopback, name); err != nil {
		t.Errorf("loopback, switched on: %v", err)
	}
	relayed := peer.Peer{Address: "127.0.0.1"}
	if _, err := local.Issue(t.Context(), relayed, name); !errors.Is(err, ErrRemote) {
		t.Errorf("relayed to loopback: %v", err)
	}
}

func TestLocalTicketsAreForAccountsWithARole(t *testing.T) {
	_, local, _ := newLocal(t)
	for _, name := range []string{"no-such-account", "", `VSPHERE.LOCAL\administrator`, "../x"} {
		if _, err := local.Issue(t.Context(), onSocket(), name); !errors.Is(err, ErrRejected) {
			t.Errorf("%q: %v", name, err)
		}
	}
	self := local.Account
	local.Account = func(string) (*user.User, error) {
		return &user.User{Username: "guest", Uid: "65534", Gid: "65534"}, nil
	}
	if _, err := local.Issue(t.Context(), onSocket(), "guest"); !errors.Is(err, ErrNoAccess) {
		t.Errorf("without a role: %v", err)
	}
	local.Account = self
}

func TestAnExpiredLocalTicketIsNoPasswordAndItsFileIsSwept(t *testing.T) {
	f, local, name := newLocal(t)
	ticket, err := local.Issue(t.Context(), onSocket(), name)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(ticket.Path)
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(60*time.Second - 1)
	local.Sweep()
	if _, err := os.Stat(ticket.Path); err != nil {
		t.Errorf("swept early: %v", err)
	}
	f.clock.Advance(1)
	if err := f.try(t, from(addr, ticket.User, string(secret))); !errors.Is(err, ErrRejected) {
		t.Errorf("expired: %v", err)
	}
	local.Sweep()
	if _, err := os.Stat(ticket.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestFilesOfAnEarlierRunAreRemovedAtStart(t *testing.T) {
	_, local, name := newLocal(t)
	ticket, err := local.Issue(t.Context(), onSocket(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Open(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ticket.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

func TestWhatALinkAmongTheFilesLeadsToStays(t *testing.T) {
	_, local, _ := newLocal(t)
	elsewhere := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(elsewhere, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{elsewhere, filepath.Dir(elsewhere)} {
		link := filepath.Join(local.Dir.Name(), "link")
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if err := local.Open(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the link to %s: %v", to, err)
		}
		if _, err := os.Stat(elsewhere); err != nil {
			t.Error(err)
		}
	}
	local.remove("../" + filepath.Base(elsewhere)) // no record of a ticket contains such a name
	local.remove(elsewhere)
	if _, err := os.Stat(elsewhere); err != nil {
		t.Error(err)
	}
}

// manyAccounts returns a fixture with n accounts user0, user1 and so on, which all have a role. Their files
// belong to the account that runs the test. The callers use the Unix socket: itself is the account, other
// is another one.
func manyAccounts(t *testing.T, n int) (f *fixture, local *LocalTickets, itself, other peer.Peer) {
	t.Helper()
	f, local, _ = newLocal(t)
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	local.Account = func(name string) (*user.User, error) {
		return &user.User{Username: name, Uid: self.Uid, Gid: self.Gid}, nil
	}
	var all []access.Permission
	for i := range n {
		all = append(all, access.Permission{
			Principal: principal.Name{Domain: principal.SystemDomain, User: fmt.Sprint("user", i)},
			Role:      access.ReadOnly, Propagate: true,
		})
	}
	if err := f.access.SetPermissions(t.Context(), access.Server(event.By("test")), access.Root, all); err != nil {
		t.Fatal(err)
	}
	itself, other = onSocket(), onSocket()
	*other.UnixUID++
	return f, local, itself, other
}

func TestLocalTicketsOfAnAccountAreFew(t *testing.T) {
	f, local, itself, other := manyAccounts(t, 2)
	var last LocalTicket
	for _, p := range []peer.Peer{other, itself} { // tickets that others request don't count for itself
		for i := range maxLocalAccount {
			var err error
			if last, err = local.Issue(t.Context(), p, "user0"); err != nil {
				t.Fatalf("ticket %d: %v", i, err)
			}
		}
		if _, err := local.Issue(t.Context(), p, "USER0@localos"); err == nil {
			t.Error("another spelling has tickets of its own")
		}
		if _, err := local.Issue(t.Context(), p, "user0"); !errors.Is(err, session.ErrTooManyTickets) {
			t.Errorf("one more: %v", err)
		}
		if _, err := local.Issue(t.Context(), p, "user1"); err != nil {
			t.Errorf("of another account: %v", err)
		}
	}
	secret, err := os.ReadFile(last.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.try(t, from(addr, last.User, string(secret))); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Issue(t.Context(), itself, "user0"); err != nil {
		t.Errorf("after one is used: %v", err)
	}
	f.clock.Advance(localLifetime)
	for i := range maxLocalAccount {
		if _, err := local.Issue(t.Context(), itself, "user0"); err != nil {
			t.Errorf("ticket %d, after all have expired: %v", i, err)
		}
	}
}

func TestLocalTicketsAreBoundedInAll(t *testing.T) {
	const accounts = maxLocal/maxLocalAccount + 10
	f, local, itself, other := manyAccounts(t, accounts)
	issued := 0
	for i := range accounts {
		for range maxLocalAccount {
			switch _, err := local.Issue(t.Context(), other, fmt.Sprint("user", i)); {
			case err == nil:
				issued++
			case !errors.Is(err, session.ErrTooManyTickets):
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(local.Dir.Name())
	if err != nil || issued != maxLocal || len(files) != maxLocal {
		t.Errorf("%d tickets, %d files, %v, want %d", issued, len(files), err, maxLocal)
	}
	if _, err := local.Issue(t.Context(), itself, fmt.Sprint("user", accounts-1)); err != nil {
		t.Errorf("an account that asks for its own: %v", err)
	}
	f.clock.Advance(localLifetime)
	if _, err := local.Issue(t.Context(), other, "user0"); err != nil {
		t.Errorf("after all have expired: %v", err)
	}
	if files, err = os.ReadDir(local.Dir.Name()); err != nil || len(files) != 1 {
		t.Errorf("%d files are left, %v", len(files), err)
	}
}

func TestAFileThatCannotBeGivenTakesNoPlace(t *testing.T) {
	_, local, _, other := manyAccounts(t, 1)
	local.Account = func(name string) (*user.User, error) {
		return &user.User{Username: name, Uid: "no number", Gid: "no number"}, nil
	}
	for range 2 * maxLocalAccount {
		if _, err := local.Issue(t.Context(), other, "user0"); !errors.Is(err, ErrCannotGive) {
			t.Fatal(err)
		}
	}
	if len(local.files) != 0 || len(local.counts) != 0 || local.others != 0 {
		t.Errorf("%d files, %v, %d", len(local.files), local.counts, local.others)
	}
}
