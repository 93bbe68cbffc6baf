package local

import (
	"context"
	"log/slog"
	"os"
	"os/user"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

// fixture is a domain over a store in memory, with a gate for passwords and local tickets.
type fixture struct {
	*domain.Domain
	gate  *login.Gate
	clock *testclock.Clock
}

// newFixture returns a fixture, its tickets, and the name of the account that runs the test. It is the only
// account, and it has a role.
func newFixture(t *testing.T) (*fixture, *Tickets, string) {
	t.Helper()
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{clock: testclock.New(time.Time{})}
	f.Domain, err = domain.New(domain.Options{
		Store: storetest.NewMemory(f.clock.Now), Base: setting.Defaults(), Thumbprint: func() string { return "00" },
		Exists: func(principal.Name, bool) bool { return true },
		Cost:   account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: f.clock.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	local := &Tickets{
		Dir: openRoot(t), Access: f.Access.Table(), Sessions: f.Sessions, Mirror: f.Mirror, Events: f.Events,
		Now: f.clock.Now, Logger: slog.New(slog.DiscardHandler), Account: accounts(self),
	}
	if err := local.Open(); err != nil {
		t.Fatal(err)
	}
	passwords, err := login.NewPasswords(f.Accounts, local)
	if err != nil {
		t.Fatal(err)
	}
	f.gate = f.NewGate(login.GateOptions{Methods: []login.Method{passwords}})
	storetest.Follow(t, f.Mirror)
	if _, err := f.Accounts.Bootstrap(t.Context(), []byte("the administrator's password")); err != nil {
		t.Fatal(err)
	}
	f.permit(t, self.Username)
	return f, local, self.Username
}

// permit gives the accounts of the operating system a role.
func (f *fixture) permit(t *testing.T, names ...string) {
	t.Helper()
	var all []access.Permission
	for _, name := range names {
		all = append(all, access.Permission{
			Principal: principal.Name{Domain: principal.SystemDomain, User: name}, Role: access.ReadOnly,
			Propagate: true,
		})
	}
	if err := f.Access.SetPermissions(t.Context(), access.Server(event.By("test")), access.Root, all); err != nil {
		t.Fatal(err)
	}
}

// try logs in with a name and a password.
func (f *fixture) try(t *testing.T, name, password string) error {
	t.Helper()
	_, _, err := f.gate.Login(context.Background(), login.Attempt{
		Credential: login.Password{User: name, Secret: secret.New(password)},
		Peer:       peer.Peer{Address: "192.0.2.1"},
	}, nil)
	return err
}

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

// accounts returns a lookup of operating-system accounts that knows only the account self.
func accounts(self *user.User) func(string) (*user.User, error) {
	return func(name string) (*user.User, error) {
		if name != self.Username {
			return nil, user.UnknownUserError(name)
		}
		return self, nil
	}
}
