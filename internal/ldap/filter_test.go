package ldap

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// Whatever a caller sends as a name, and a directory as a distinguished name, is one value in a filter: it adds no
// comparison, no wildcard and no operator.
func FuzzANameIsOneValueOfAFilter(f *testing.F) {
	users, err := parseUserFilter("(&(objectClass=person)(|(uid={name})(mail={name}@corp.example)))")
	if err != nil {
		f.Fatal(err)
	}
	groups, err := parseGroupFilter("(|(member={dn})(memberUid={name}))", false)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"", "alice", "*", "a*)(uid=*", `\2a`, `\`, "{name}", "{dn}", "a\x00b", "\xff", ")", "(", "jörg", "a:dn:=b",
		"~=", ">=", "cn=a,dc=b",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, dn string) {
		for text, comparisons := range map[string]int{
			users.named(name): 5, groups.of(dn, name): 3, groups.anyOf([]string{dn, name}): 7,
		} {
			_, err := ldap.CompileFilter(text)
			if err != nil || strings.Count(text, "(") != comparisons || strings.Count(text, ")") != comparisons ||
				strings.Contains(text, "*") {
				t.Errorf("%q and %q make the filter %q: %v", name, dn, text, err)
			}
		}
		wild := users.containing(name)
		if _, err := ldap.CompileFilter(wild); err != nil {
			t.Errorf("%q makes the filter %q: %v", name, wild, err)
		}
	})
}
