package login

import (
	"errors"
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
)

func newLocal(t *testing.T) (*fixture, *LocalTickets, string) {
	t.Helper()
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	local := &LocalTickets{
		Dir: filepath.Join(t.TempDir(), "local"), Access: f.Access, Mirror: f.Mirror, Events: f.Events,
		Now: f.clock.Now, Log: slog.Default(), Account: accounts(self),
	}
	if err := local.Open(); err != nil {
		t.Fatal(err)
	}
	f.Methods = append([]Method{local}, f.Methods...)
	err = f.access.SetPermissions(t.Context(), access.Server(event.By("test")), access.Root, []access.Permission{
		{Principal: principal.Name{Domain: LocalDomain, User: self.Username}, Role: access.ReadOnly, Propagate: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, local, self.Username
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
