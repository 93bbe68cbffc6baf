package local

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/session"
)

func onSocket() peer.Peer {
	uid := uint32(os.Geteuid())
	return peer.Peer{Address: "127.0.0.1", Local: true, UnixUID: &uid}
}

func TestALocalTicketLogsInOnceAndItsFileGoes(t *testing.T) {
	f, local, name := newFixture(t)
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
	if err := f.try(t, "administrator", string(secret)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("for another user: %v", err)
	}
	if err := f.try(t, ticket.User, string(secret)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ticket.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
	if err := f.try(t, ticket.User, string(secret)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a second time: %v", err)
	}
}

func TestOnlyLocalCallersGetLocalTickets(t *testing.T) {
	_, local, name := newFixture(t)
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
	_, local, _ := newFixture(t)
	for _, name := range []string{"no-such-account", "", `VSPHERE.LOCAL\administrator`, "../x"} {
		if _, err := local.Issue(t.Context(), onSocket(), name); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%q: %v", name, err)
		}
	}
	self := local.Account
	local.Account = func(string) (*user.User, error) {
		return &user.User{Username: "guest", Uid: "65534", Gid: "65534"}, nil
	}
	if _, err := local.Issue(t.Context(), onSocket(), "guest"); !errors.Is(err, login.ErrNoAccess) {
		t.Errorf("without a role: %v", err)
	}
	local.Account = self
}

func TestAnExpiredLocalTicketIsNoPasswordAndItsFileIsSwept(t *testing.T) {
	f, local, name := newFixture(t)
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
	if err := f.try(t, ticket.User, string(secret)); !errors.Is(err, login.ErrRejected) {
		t.Errorf("expired: %v", err)
	}
	local.Sweep()
	if _, err := os.Stat(ticket.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

func TestFilesOfAnEarlierRunAreRemovedAtStart(t *testing.T) {
	_, local, name := newFixture(t)
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
	_, local, _ := newFixture(t)
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
func manyAccounts(t *testing.T, n int) (f *fixture, local *Tickets, itself, other peer.Peer) {
	t.Helper()
	f, local, _ = newFixture(t)
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	local.Account = func(name string) (*user.User, error) {
		return &user.User{Username: name, Uid: self.Uid, Gid: self.Gid}, nil
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("user", i)
	}
	f.permit(t, names...)
	itself, other = onSocket(), onSocket()
	*other.UnixUID++
	return f, local, itself, other
}

func TestLocalTicketsOfAnAccountAreFew(t *testing.T) {
	f, local, itself, other := manyAccounts(t, 2)
	var last Ticket
	for _, p := range []peer.Peer{other, itself} { // tickets that others request don't count for itself
		for i := range maxAccount {
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
	if err := f.try(t, last.User, string(secret)); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Issue(t.Context(), itself, "user0"); err != nil {
		t.Errorf("after one is used: %v", err)
	}
	f.clock.Advance(lifetime)
	for i := range maxAccount {
		if _, err := local.Issue(t.Context(), itself, "user0"); err != nil {
			t.Errorf("ticket %d, after all have expired: %v", i, err)
		}
	}
}

func TestLocalTicketsAreBoundedInAll(t *testing.T) {
	const accounts = maxTickets/maxAccount + 10
	f, local, itself, other := manyAccounts(t, accounts)
	issued := 0
	for i := range accounts {
		for range maxAccount {
			switch _, err := local.Issue(t.Context(), other, fmt.Sprint("user", i)); {
			case err == nil:
				issued++
			case !errors.Is(err, session.ErrTooManyTickets):
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(local.Dir.Name())
	if err != nil || issued != maxTickets || len(files) != maxTickets {
		t.Errorf("%d tickets, %d files, %v, want %d", issued, len(files), err, maxTickets)
	}
	if _, err := local.Issue(t.Context(), itself, fmt.Sprint("user", accounts-1)); err != nil {
		t.Errorf("an account that asks for its own: %v", err)
	}
	f.clock.Advance(lifetime)
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
	for range 2 * maxAccount {
		if _, err := local.Issue(t.Context(), other, "user0"); !errors.Is(err, ErrCannotGive) {
			t.Fatal(err)
		}
	}
	if len(local.files) != 0 || len(local.counts) != 0 || local.others != 0 {
		t.Errorf("%d files, %v, %d", len(local.files), local.counts, local.others)
	}
}
