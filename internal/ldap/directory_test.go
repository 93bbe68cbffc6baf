package ldap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/principal"
)

func users(entries []directory.Entry) []string {
	var all []string
	for _, e := range entries {
		name := e.Name.User
		if e.Group {
			name += " (group)"
		}
		all = append(all, name)
	}
	return all
}

func TestUsersAndGroupsAreFound(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{
		LDIF: ldaptest.Group("bob", ldaptest.Base) + ldaptest.Group("The (big) group", ldaptest.Base)})))
	for _, c := range []struct {
		text  string
		exact bool
		want  []string
	}{
		{"alice", true, []string{"alice"}},
		{"ALICE", true, []string{"alice"}},
		{"bob", true, []string{"bob", "bob (group)"}},
		{"outer", true, []string{"outer (group)"}},
		{"The (big) group", true, []string{"The (big) group (group)"}},
		{"al*", true, nil},
		{"The alice", true, nil},
		{"twin", true, nil},
		{"", true, nil},
		{"lic", false, []string{"alice"}},
		{"the ali", false, []string{"alice"}},
		{"(BIG)", false, []string{"The (big) group (group)"}},
		{"*", false, nil},
		{"nobody", false, nil},
		{"", false, []string{"alice", "bob", "bob (group)", "carol", "dave", "empty (group)", "inner (group)",
			"outer (group)", "The (big) group (group)"}},
	} {
		found, err := f.Search(t.Context(), c.text, c.exact)
		if got := users(found); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("search for %q, exact %t: %q, %v, want %q", c.text, c.exact, got, err, c.want)
		}
	}
	d := directory.Directory{f}
	e, ok, err := d.Lookup(t.Context(), principal.Name{Domain: "corp.example", User: "Alice"}, false)
	if err != nil || !ok || e.FullName != "The alice" ||
		!slices.Equal(e.Groups, []string{corp + `\inner`, corp + `\outer`}) {
		t.Errorf("lookup: %+v, %t, %v", e, ok, err)
	}
	if !d.Has(t.Context(), named("OUTER"), true) || d.Has(t.Context(), named("outer"), false) {
		t.Error("a group is not what it is")
	}
}

func TestAGroupWithoutNestingHasItsDirectMembers(t *testing.T) {
	set := settings(t, ldaptest.Start(t, ldaptest.Options{}))
	set.NestedGroups = false
	if i := newFixture(t, set).accepted(t, "alice", "alice-pw"); !slices.Equal(i.Groups, []string{corp + `\inner`}) {
		t.Errorf("groups: %q", i.Groups)
	}
}

func TestANameThatSeveralGroupsHaveIsNobodys(t *testing.T) {
	unit := "ou=team," + ldaptest.Groups
	ldif := "dn: " + unit + "\nobjectClass: organizationalUnit\nou: team\n\n" +
		strings.ReplaceAll(ldaptest.Group("Inner", ldaptest.DN("bob")), ldaptest.GroupDN("Inner"), "cn=Inner,"+unit)
	set := settings(t, ldaptest.Start(t, ldaptest.Options{LDIF: ldif}))
	f := newFixture(t, set)
	for user, want := range map[string][]string{"alice": {corp + `\outer`}, "bob": {}} {
		if groups, err := f.Groups(t.Context(), named(user)); err != nil || !slices.Equal(groups, want) {
			t.Errorf("groups of %s: %q, %v", user, groups, err)
		}
	}
}

func TestSearchesAndGroupsAreBounded(t *testing.T) {
	var ldif strings.Builder
	for i := range maxFound + 5 {
		ldif.WriteString(ldaptest.User(fmt.Sprintf("user%04d", i), ""))
	}
	for i := range maxGroups + 1 {
		ldif.WriteString(ldaptest.Group(fmt.Sprintf("many%04d", i), ldaptest.DN("dave")))
	}
	deep := ldaptest.DN("bob")
	for i := range maxDepth + 1 {
		name := fmt.Sprintf("deep%02d", i)
		ldif.WriteString(ldaptest.Group(name, deep))
		deep = ldaptest.GroupDN(name)
	}
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{LDIF: ldif.String()})))
	found, err := f.Search(t.Context(), "user", false)
	if err != nil || len(found) != maxFound {
		t.Errorf("found %d: %v", len(found), err)
	}
	for _, user := range []string{"dave", "bob"} {
		if _, err := f.Groups(t.Context(), named(user)); err == nil {
			t.Errorf("%s has too many groups, but got a part of them", user)
		}
	}
	if f.log.String() != "" {
		t.Errorf("a user with too many groups is not an outage:\n%s", f.log)
	}
	f.accepted(t, "alice", "alice-pw")
}

func TestMistakesInTheSettingsAreAllNamed(t *testing.T) {
	_, err := New(Settings{Domain: `a\b`, UserBase: "people", UserFilter: "(uid=*{name}*)", GroupBase: "ou=groups",
		GroupFilter: "(memberUid={name})", NestedGroups: true, BindDN: "cn=x",
		Servers: []string{"ldap://dc1.corp.example"}}, nil, nil)
	for _, key := range []string{"domain", "user-base", "user-filter", "group-filter", "bind-dn", "servers"} {
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s: no mistake in: %v", key, err)
		}
	}
	good := Settings{Domain: "corp.example", UserBase: "ou=people", UserFilter: "(uid={name})",
		Servers: []string{"ldaps://dc1"}}
	if _, err := New(good, nil, nil); err != nil {
		t.Errorf("the least that is needed: %v", err)
	}
	for _, filter := range []string{"", "uid={name}", "(uid={name}", "(uid=x)", "({name}=x)", "(uid>={name})",
		"(uid={dn})", "(mail={name}@corp.example)", "(uid={name}*)"} {
		bad := good
		bad.UserFilter = filter
		if _, err := New(bad, nil, nil); err == nil {
			t.Errorf("the user filter %q is accepted", filter)
		}
	}
	for _, url := range []string{"", "dc1", "http://dc1", "ldap://dc1", "ldaps://", "ldaps://dc1/ou=people",
		"ldaps://me@dc1", "ldap://127.0.0.1.example"} {
		bad := good
		bad.Servers = []string{url}
		if _, err := New(bad, nil, nil); err == nil {
			t.Errorf("the server %q is accepted", url)
		}
	}
}

func TestFiltersAreMadeOfTheOperatorsAndEscapedNames(t *testing.T) {
	users, err := parseUserFilter(
		"(&(objectClass=user)(|(sAMAccountName={name})(userPrincipalName={name}@corp.example)))")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := parseGroupFilter("(&(objectClass=group)(member={dn}))", true)
	if err != nil {
		t.Fatal(err)
	}
	groups.names = groupName(users.canonical)
	for _, c := range []struct{ what, got, want string }{
		{"canonical", users.canonical, "sAMAccountName"},
		{"user", users.named("a*)("),
			`(&(objectClass=user)(|(sAMAccountName=a\2a\29\28)(userPrincipalName=a\2a\29\28@corp.example)))`},
		{"users", users.containing(""), "(&(objectClass=user)(|(sAMAccountName=*)(userPrincipalName=*)))"},
		{"groups", groups.of("cn=a(b)", "x"), `(&(objectClass=group)(member=cn=a\28b\29))`},
		{"groups of two", groups.anyOf([]string{"cn=a", "cn=b"}),
			"(|(&(objectClass=group)(member=cn=a))(&(objectClass=group)(member=cn=b)))"},
		{"chain", groups.chain("cn=a"), "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:=cn=a))"},
		{"names of groups", groups.names, "sAMAccountName"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
}
