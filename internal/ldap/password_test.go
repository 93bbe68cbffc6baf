package ldap

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

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

func TestAStateThatCannotBeReadKeepsAUserOut(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := &Source{now: func() time.Time { return now }}
	for _, c := range []struct {
		attribute, value string
		in               bool
	}{
		{userAccountControl, "512", true}, {userAccountControl, "514", false},
		{userAccountControl, "-2147483134", false},
		{userAccountControl, "0x200", false}, {userAccountControl, "512 ", false},
		{userAccountControl, "9223372036854775808", false},
		{accountExpires, "never", false}, {accountExpires, "0", true}, {accountExpires, "9223372036854775807", true},
		{startTime, "20260501120000Z", true}, {startTime, "20260501120001Z", false},
		{startTime, "202605011201Z", false},
		{startTime, "2026050112Z", true}, {startTime, "20260501140000+0200", true},
		{startTime, "20260501140001+02", false}, {startTime, "20260501120000.5Z", false},
		{startTime, "tomorrow", false},
		{endTime, "20260501120000Z", false}, {endTime, "20260501120000.5Z", true}, {endTime, "yesterday", false},
		{lockedTime, permanentlyLocked, false}, {lockedTime, "20260501115900Z", true},
		{accountLock, "TRUE", false}, {accountLock, "false", true},
		{passwordSet, "0", true}, {passwordSet, "133000000000000000", true}, {passwordSet, "now", false},
		{passwordTime, "20260501120000Z", true}, {passwordTime, "now", false},
	} {
		e := ldap.NewEntry("cn=x", map[string][]string{c.attribute: {c.value}})
		if why := s.disabled(e); (why == "") != c.in {
			t.Errorf("%s: %s: %q", c.attribute, c.value, why)
		}
	}
}

func TestTheTimeOfAPasswordIsKnown(t *testing.T) {
	want := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	const windows = "134221104000000000"
	for _, c := range []struct {
		values map[string][]string
		want   time.Time
	}{
		{nil, time.Time{}},
		{map[string][]string{passwordSet: {windows}}, want},
		{map[string][]string{passwordSet: {"0"}}, time.Time{}},
		{map[string][]string{passwordTime: {"20260501120000Z"}}, want},
	} {
		if at, err := passwordChanged(ldap.NewEntry("cn=x", c.values)); err != nil || !at.Equal(c.want) {
			t.Errorf("%v: %v, want %v: %v", c.values, at.UTC(), c.want, err)
		}
	}
	s := ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, s))
	if e, err := f.User(t.Context(), named("alice")); err != nil || !e.PasswordChanged.IsZero() {
		t.Errorf("a password that was never changed: %v, %v", e.PasswordChanged, err)
	}
	before := time.Now().Truncate(time.Second) // slapd's precision
	s.Modify("dn: " + ldaptest.DN("alice") + "\nchangetype: modify\nreplace: userPassword\nuserPassword: another-pw\n")
	if e, err := f.User(t.Context(), named("alice")); err != nil || e.PasswordChanged.Before(before) ||
		e.PasswordChanged.After(time.Now()) {
		t.Errorf("a new password: %v, %v", e.PasswordChanged, err)
	}
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

// A caller that is locked is refused whatever it sends. Its guesses must not lock the user in the directory,
// where the user may log in from elsewhere.
func TestGuessesOfALockedCallerAreNotTakenToTheUsersAccount(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	for _, password := range []string{"wrong", "wrong", "wrong", "wrong", "dave-pw"} {
		a := attempt(password)
		a.Locked = true
		if _, err := f.Verify(t.Context(), named("dave"), a); !errors.Is(err, login.ErrRejected) {
			t.Errorf("a locked caller with the password %q: %v", password, err)
		}
	}
	if n := len(f.binds.idle); n != 1 {
		t.Errorf("%d connections were used for binds, want 1: the answer must take as long", n)
	}
	f.accepted(t, "dave", "dave-pw")
}

func TestNamesOfOddBytesAreNobodys(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{LDIF: ldaptest.User("kim", "") + ldaptest.User("jörg", "")})
	f := newFixture(t, settings(t, s))
	f.accepted(t, "kim", "kim-pw")
	f.accepted(t, "jörg", "jörg-pw")
	for what, name := range map[string]string{
		"a zero byte":                    "alice\x00",
		"a zero byte within":             "al\x00ice",
		"bytes that are not UTF-8":       "alice\xff",
		"half of a character":            "j\xc3rg",
		"an escape of a filter":          `al\69ce`,
		"an escape of a name":            `al\\69ce`,
		"a line break":                   "alice\n",
		"a tab":                          "\talice",
		"two spaces":                     "alice  ",
		"a space that is not ASCII":      "alice\u00a0",
		"a space of no width":            "alice\u200b",
		"a mark of direction":            "\u202ealice",
		"a letter of another script":     "аlice", // the first letter is Cyrillic
		"a composition of two":           "jo\u0308rg",
		"a distinguished name":           ldaptest.DN("alice"),
		"a name with several values":     "alice+uid=bob",
		"a comma":                        "alice,ou=people",
		"a comparison that is not equal": "alice)(!(uid=bob",
		"a rule":                         "alice:dn:",
		"the longest name":               strings.Repeat("a", 512),
		"a name that is too long":        strings.Repeat("a", 1<<16),
	} {
		if err := f.rejected(t, name, "alice-pw"); err != nil && !unknown(err) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := f.Groups(t.Context(), named(name)); !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: groups: %v", what, err)
		}
		for _, exact := range []bool{true, false} {
			if found, err := f.Search(t.Context(), name, exact); err != nil || len(found) != 0 {
				t.Errorf("%s: a search finds %+v, %v", what, found, err)
			}
		}
	}
	// The letter K and the sign of the unit Kelvin differ only in case, so this is the same name.
	if i := f.accepted(t, "\u212aim", "kim-pw"); i.Name != named("kim") {
		t.Errorf("another case of kim is %s", i.Name)
	}
	if f.log.String() != "" {
		t.Errorf("strangers can fill the log:\n%s", f.log)
	}
}

// The distinguished name of a user is a part of the filter for its groups.
func TestADistinguishedNameWithCharactersOfFiltersFindsItsOwnGroups(t *testing.T) {
	const odd = `cn=O\2cBrien \28x\29 \2a \5c \23,` + ldaptest.People
	user := strings.Replace(ldaptest.User("odd", ""), ldaptest.DN("odd"), odd, 1)
	user = strings.Replace(user, "\ncn: odd of people", `
cn: O,Brien (x) * \ #`, 1)
	s := ldaptest.Start(t, ldaptest.Options{LDIF: user + ldaptest.Group("own", odd) + ldaptest.Group("bobs",
		ldaptest.DN("bob"))})
	f := newFixture(t, settings(t, s))
	if i := f.accepted(t, "odd", "odd-pw"); !slices.Equal(i.Groups, []string{corp + `\own`}) {
		t.Errorf("groups: %q", i.Groups)
	}
}
