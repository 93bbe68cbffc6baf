package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/recheck"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store/storetest"
)

// site is a server's domain and gate with the directory.
type site struct {
	*domain.Domain
	gate *login.Gate
	t    *testing.T
}

func newSite(t *testing.T, f *fixture) *site {
	t.Helper()
	d, err := domain.New(domain.Options{
		Store: storetest.NewMemory(time.Now), Base: setting.Defaults(), Thumbprint: func() string { return "" },
		Sources: []directory.Source{f}, Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Patience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Follow(t, d.Mirror)
	if _, err := d.Accounts.Bootstrap(t.Context(), []byte("a long enough password")); err != nil {
		t.Fatal(err)
	}
	passwords, err := login.NewPasswords(d.Accounts, f)
	if err != nil {
		t.Fatal(err)
	}
	return &site{d, d.NewGate(login.GateOptions{Methods: []login.Method{passwords}}), t}
}

func (s *site) login(user, password string) (*session.Live, error) {
	a := attempt(password)
	a.Credential = login.Password{User: user, Secret: secret.New(password)}
	l, _, err := s.gate.Login(context.Background(), a, nil)
	return l, err
}

// grant gives a role to a user or group.
func (s *site) grant(name string, group bool, role int32) error {
	p := access.Permission{Principal: named(name), Group: group, Role: role}
	return s.Access.SetPermissions(s.t.Context(), access.Server(event.By("test")), access.Root, []access.Permission{p})
}

func TestUsersOfADirectoryLogInByTheRolesOfTheirGroups(t *testing.T) {
	server := ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, server))
	s := newSite(t, f)
	if err := s.grant("Outer", true, access.ReadOnly); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nobody", "outer", "twin"} {
		if err := s.grant(name, false, access.ReadOnly); !errors.Is(err, access.ErrPrincipal) {
			t.Errorf("a permission for %s, who is no user: %v", name, err)
		}
	}
	alice, err := s.login(`corp.example\Alice`, "alice-pw")
	if err != nil {
		t.Fatal(err)
	}
	if !s.Access.Table().Has(login.SubjectOf(alice), access.SystemView) {
		t.Error("alice has no privilege by a nested group")
	}
	if _, err := s.login("bob@corp.example", "bob-pw"); !errors.Is(err, login.ErrNoAccess) {
		t.Errorf("bob, who is in no group: %v", err)
	}
	if _, err := s.login(`CORP.EXAMPLE\alice`, "wrong"); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a wrong password: %v", err)
	}

	checker := &recheck.Checker{Sessions: s.Sessions, Sources: []recheck.Source{f}, Logger: f.reports.logger}
	server.Modify("dn: " + ldaptest.GroupDN("inner") + "\nchangetype: modify\ndelete: member\nmember: " +
		ldaptest.DN("alice") + "\n-\nadd: member\nmember: " + ldaptest.DN("bob") + "\n")
	if err := checker.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i := alice.Identity(); len(i.Groups) != 0 || s.Access.Table().HasRole(login.Subject(i)) {
		t.Errorf("alice is still in %q", i.Groups)
	}
	bob, err := s.login(`corp.example\bob`, "bob-pw")
	if err != nil || !slices.Equal(bob.Identity().Groups, []string{`CORP.EXAMPLE\inner`, `CORP.EXAMPLE\outer`}) {
		t.Fatalf("bob, who is in the group now: %v", err)
	}
	server.Modify("dn: " + ldaptest.DN("alice") + "\nchangetype: modify\nreplace: pwdAccountLockedTime\n" +
		"pwdAccountLockedTime: 000001010000Z\n")
	if err := checker.Check(t.Context()); err != nil || s.Sessions.Alive(alice) || !s.Sessions.Alive(bob) {
		t.Errorf("alice, who is locked, lives: %t; bob lives: %t; %v", s.Sessions.Alive(alice),
			s.Sessions.Alive(bob), err)
	}
}

func TestADirectoryThatIsDownConcernsItsOwnUsersOnly(t *testing.T) {
	server := ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, server))
	s := newSite(t, f)
	if err := s.grant("alice", false, access.ReadOnly); err != nil {
		t.Fatal(err)
	}
	alice, err := s.login(`corp.example\alice`, "alice-pw")
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	// More than would lock the user or the address: an outage is no failed login.
	for range 120 {
		if _, err := s.login(`corp.example\alice`, "alice-pw"); !errors.Is(err, directory.ErrUnavailable) {
			t.Fatalf("login without a directory: %v", err)
		}
	}
	if _, err := s.login("administrator", "a long enough password"); err != nil {
		t.Errorf("a local user: %v", err)
	}
	checker := &recheck.Checker{Sessions: s.Sessions, Sources: []recheck.Source{f}, Logger: f.reports.logger}
	if err := checker.Check(t.Context()); !errors.Is(err, directory.ErrUnavailable) || !s.Sessions.Alive(alice) {
		t.Errorf("alice lives: %t; %v", s.Sessions.Alive(alice), err)
	}
	if n := s.Events.Query(event.Filter{Types: []string{"BadUsernameSessionEvent"}, MaxCount: 10}); len(n) > 0 {
		t.Errorf("failed logins were posted: %+v", n)
	}
	server.Restart()
	f.clock.Advance(deadTime)
	if _, err := s.login(`corp.example\alice`, "alice-pw"); err != nil {
		t.Errorf("the directory is there again: %v", err)
	}
	if f.log.lines("level=ERROR") != 1 {
		t.Errorf("log:\n%s", f.log)
	}
}

func TestAProbeSaysWhatEachServerAnswers(t *testing.T) {
	up, down := ldaptest.Start(t, ldaptest.Options{}), ldaptest.Start(t, ldaptest.Options{})
	down.Kill()
	found := newFixture(t, settings(t, up, down)).Probe(t.Context())
	if len(found) != 2 || found[0] != (Found{Server: up.LDAPS, Users: 8, Groups: 3}) {
		t.Fatalf("found %+v", found)
	}
	if err := found[1].Err; err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a server that is down: %v", err)
	}
	set := settings(t, up)
	set.GroupBase = "ou=nowhere," + ldaptest.Base
	err := newFixture(t, set).Probe(t.Context())[0].Err
	if err == nil || !strings.Contains(err.Error(), "find groups") {
		t.Errorf("a base that does not exist: %v", err)
	}
	set.BindPasswordFile = file(t, "wrong")
	err = newFixture(t, set).Probe(t.Context())[0].Err
	if err == nil || !strings.Contains(err.Error(), "bind as") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password of the service account: %v", err)
	}
}
