package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/login"
)

func TestARightPasswordGivesTheDirectorysNameAndAllGroups(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	i := f.accepted(t, "ALICE", "alice-pw")
	if i.Name != named("alice") || i.FullName != "The alice" || i.Extension {
		t.Errorf("identity: %+v", i)
	}
	// The groups are nested in a cycle.
	if want := []string{corp + `\inner`, corp + `\outer`}; !slices.Equal(i.Groups, want) {
		t.Errorf("groups: %q, want %q", i.Groups, want)
	}
	if i := f.accepted(t, "bob", "bob-pw"); len(i.Groups) != 0 {
		t.Errorf("groups of a user in no group: %q", i.Groups)
	}
}

func TestOtherPasswordsAndUsersAreRejectedAlike(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{LDIF: ldaptest.User("mustchange", "pwdReset: TRUE\n")})
	f := newFixture(t, settings(t, s))
	for _, c := range []struct{ user, password string }{
		{"alice", "wrong"},
		{"nobody", "nobody-pw"},
		{"carol", "carol-pw"}, // locked by an administrator
		{"twin", "twin-pw"},   // two users have the name
		{"twin", "other-pw"},
		{"double", "double-pw"}, // it has two names, and neither is the one of its entry
		{"mustchange", "mustchange-pw"},
		{"alice", ""},
		{"nobody", ""},
		{"alice", "\x00"},
		{"alice", strings.Repeat("x", maxPassword+1)},
		{"*", "alice-pw"},
		{"al*", "alice-pw"},
		{"alice)(uid=alice", "alice-pw"},
		{`alice\`, "alice-pw"},
		{"", "alice-pw"},
		{strings.Repeat("a", 512), "alice-pw"},
		{"The alice", "alice-pw"}, // its full name
		// The directory takes these for alice.
		{" alice", "alice-pw"},
		{"alice ", "alice-pw"},
		{"ali\u00adce", "alice-pw"},
		{"\uff41lice", "alice-pw"},
	} {
		f.rejected(t, c.user, c.password)
	}
	if f.log.String() != "" {
		t.Errorf("strangers can fill the log:\n%s", f.log)
	}
}

func TestAUserIsLockedAfterWrongPasswords(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	for range 3 {
		f.rejected(t, "dave", "wrong")
	}
	f.rejected(t, "dave", "dave-pw")
	// Strangers can cause that, so it does not end the sessions that dave has.
	if _, err := f.Groups(t.Context(), named("dave")); err != nil {
		t.Errorf("groups of a user that is locked for a while: %v", err)
	}
}

func TestANameThatIsPartOfAFilterFindsItsOwnUserOnly(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	const evil = "evil*)(uid=*"
	err := f.search.do(t.Context(), func(c *connection) error {
		found, more, err := c.find(query{base: f.base, scope: 2, filter: f.users.named(evil), limit: 10,
			attributes: []string{"uid"}})
		if err == nil && (more || len(found) != 1 || found[0].GetAttributeValue("uid") != evil) {
			t.Errorf("found %d entries, more: %t", len(found), more)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// No principal can have such a name.
	if err := f.rejected(t, evil, evil+"-pw"); !errors.Is(err, errUnusable) {
		t.Errorf("error: %v", err)
	}
}

func TestAnUnknownNameCostsABindToo(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	f.rejected(t, "nobody", "nobody-pw")
	if n := len(f.binds.idle); n != 1 {
		t.Errorf("%d connections were used for binds, want 1", n)
	}
	g := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	g.rejected(t, "alice", "")
	if len(g.binds.idle)+len(g.search.idle) != 0 {
		t.Error("an empty password was taken to the directory")
	}
}

func TestTheStatesOfActiveDirectoryAreKnown(t *testing.T) {
	user := func(name, control, expires string) string {
		return "dn: cn=" + name + "," + ldaptest.People + "\nobjectClass: user\ncn: " + name + "\nsn: x\n" +
			"userPassword: " + name + "-pw\ninstanceType: 4\nnTSecurityDescriptor: x\n" +
			"objectCategory: " + ldaptest.Base + "\nuserAccountControl: " + control +
			"\naccountExpires: " + expires + "\n\n"
	}
	s := ldaptest.Start(t, ldaptest.Options{
		Schemas: []string{"nis", "msuser"},
		LDIF: user("valid", "512", "9223372036854775807") + user("always", "512", "0") + user("off", "514", "0") +
			user("past", "512", "129120000000000000"),
	})
	set := settings(t, s)
	set.UserFilter = "(&(objectClass=user)(cn={name}))"
	set.GroupBase = ""
	f := newFixture(t, set)
	f.accepted(t, "valid", "valid-pw")
	f.accepted(t, "always", "always-pw")
	f.rejected(t, "off", "off-pw")
	f.rejected(t, "past", "past-pw")
}

func TestGroupsOfAUserThatIsGoneOrDisabledAreRejected(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, s))
	groups, err := f.Groups(t.Context(), named("Alice"))
	if want := []string{corp + `\inner`, corp + `\outer`}; err != nil || !slices.Equal(groups, want) {
		t.Errorf("groups: %q, %v", groups, err)
	}
	for _, user := range []string{"nobody", "carol", "twin"} {
		if _, err := f.Groups(t.Context(), named(user)); !errors.Is(err, login.ErrRejected) {
			t.Errorf("groups of %s: %v", user, err)
		}
	}
	s.Modify("dn: " + ldaptest.DN("alice") + "\nchangetype: delete\n")
	if _, err := f.Groups(t.Context(), named("alice")); !errors.Is(err, login.ErrRejected) {
		t.Errorf("groups of a user that is gone: %v", err)
	}
}

func TestACallerThatGoesAwayIsNoOutage(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, s))
	s.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := f.Verify(ctx, named("alice"), attempt("alice-pw"))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("error: %v", err)
	}
	s.Resume()
	f.accepted(t, "alice", "alice-pw")
	if f.log.String() != "" {
		t.Errorf("log:\n%s", f.log)
	}
}
