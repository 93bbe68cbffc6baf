package ldap

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/vigate/vigate/internal/principal"
)

const (
	nameMark = "{name}"
	dnMark   = "{dn}"
)

// comparison matches one comparison of a filter that contains a mark: its attribute and its value.
var comparison = regexp.MustCompile(`\(([A-Za-z][A-Za-z0-9;.-]*)=([^()*]*\{(?:name|dn)\}[^()*]*)\)`)

// checkFilter returns an error if the text is not a filter, or if a mark is not part of the value of
// an equality. A value that contains a wildcard is not one.
func checkFilter(text string) error {
	if text == "" {
		return errors.New("is needed")
	}
	if _, err := ldap.CompileFilter(strings.NewReplacer(nameMark, "x", dnMark, "x").Replace(text)); err != nil {
		return fmt.Errorf("is not a filter: %w", err)
	}
	marks := 0
	for _, c := range comparison.FindAllStringSubmatch(text, -1) {
		marks += strings.Count(c[2], nameMark) + strings.Count(c[2], dnMark)
	}
	if marks != strings.Count(text, nameMark)+strings.Count(text, dnMark) {
		return fmt.Errorf("must have %s and %s only as values that are compared by =, without *", nameMark, dnMark)
	}
	return nil
}

// userFilter selects users. Its zero value selects nobody.
type userFilter struct {
	text      string
	canonical string   // the attribute of the canonical name
	spellings []string // pairs of an attribute and the value that it is compared with
}

func parseUserFilter(text string) (userFilter, error) {
	if err := checkFilter(text); err != nil {
		return userFilter{}, err
	}
	if strings.Contains(text, dnMark) {
		return userFilter{}, fmt.Errorf("can't have %s", dnMark)
	}
	f := userFilter{text: text}
	for _, c := range comparison.FindAllStringSubmatch(text, -1) {
		f.spellings = append(f.spellings, c[1], c[2])
		if f.canonical == "" && c[2] == nameMark {
			f.canonical = c[1]
		}
	}
	if f.canonical == "" {
		return userFilter{}, fmt.Errorf("must compare an attribute with %s alone, such as (uid=%s)", nameMark, nameMark)
	}
	return f, nil
}

// attributes returns the attributes that decide whether and as whom an entry matches.
func (f userFilter) attributes() []string {
	all := []string{f.canonical}
	for i := 0; i < len(f.spellings); i += 2 {
		if !slices.Contains(all, f.spellings[i]) {
			all = append(all, f.spellings[i])
		}
	}
	return all
}

// named returns the filter for the user with the name.
func (f userFilter) named(name string) string {
	return strings.ReplaceAll(f.text, nameMark, ldap.EscapeFilter(name))
}

// matches reports whether the entry has the name. Directories compare more loosely than package
// principal does: they ignore spaces and invisible characters, for example. If that were accepted,
// one user would have many names, and each would have guesses of its own at the password.
func (f userFilter) matches(e *ldap.Entry, name string) bool {
	for i := 0; i < len(f.spellings); i += 2 {
		want := principal.Fold(strings.ReplaceAll(f.spellings[i+1], nameMark, name))
		for _, v := range values(e, f.spellings[i]) {
			if principal.Fold(v) == want {
				return true
			}
		}
	}
	return false
}

// containing returns the filter for users whose name or full name contains the text.
func (f userFilter) containing(text string) string {
	all := comparison.ReplaceAllString(f.text, "($1=*)")
	if text == "" {
		return all
	}
	return "(&" + all + contains(text, append([]string{f.canonical}, fullNames...)) + ")"
}

// groupFilter selects groups. Its zero value selects none.
type groupFilter struct {
	text  string
	names string // the attribute of the canonical name
}

func parseGroupFilter(text string, nested bool) (groupFilter, error) {
	if err := checkFilter(text); err != nil {
		return groupFilter{}, err
	}
	named, member := strings.Contains(text, nameMark), strings.Contains(text, dnMark)
	switch {
	case nested && (named || !member):
		// The groups of a group are found by the group's DN: its name could be that of a user.
		return groupFilter{}, fmt.Errorf("must have %s and can't have %s with nested-groups", dnMark, nameMark)
	case !named && !member:
		return groupFilter{}, fmt.Errorf("must have %s or %s", dnMark, nameMark)
	}
	return groupFilter{text: text}, nil
}

// groupName returns the attribute of the canonical names of groups, given that of users. In Active
// Directory the common name is not unique, and the account name is.
func groupName(users string) string {
	if strings.EqualFold(users, accountName) {
		return accountName
	}
	return "cn"
}

// of returns the filter for the groups of which the entry is a member.
func (f groupFilter) of(dn, name string) string {
	return strings.NewReplacer(dnMark, ldap.EscapeFilter(dn), nameMark, ldap.EscapeFilter(name)).Replace(f.text)
}

// anyOf returns the filter for the groups of which one of the entries is a member.
func (f groupFilter) anyOf(dns []string) string {
	if len(dns) == 1 {
		return f.of(dns[0], "")
	}
	var b strings.Builder
	b.WriteString("(|")
	for _, dn := range dns {
		b.WriteString(f.of(dn, ""))
	}
	b.WriteString(")")
	return b.String()
}

// chain returns the filter for the groups of which the entry is a member, directly or through other
// groups. Only Active Directory has this matching rule.
func (f groupFilter) chain(dn string) string {
	text := strings.ReplaceAll(f.text, "="+dnMark+")", ":"+matchingRuleInChain+":="+dnMark+")")
	return strings.ReplaceAll(text, dnMark, ldap.EscapeFilter(dn))
}

// all returns the filter for all groups. A group without members is found by its class.
func (f groupFilter) all() string {
	return comparison.ReplaceAllString(f.text, "(|($1=*)(objectClass=group)(objectClass=groupOfNames)"+
		"(objectClass=groupOfUniqueNames)(objectClass=groupOfMembers)(objectClass=posixGroup))")
}

// named returns the filter for the groups with one of the names.
func (f groupFilter) named(names ...principal.Name) string {
	var b strings.Builder
	b.WriteString("(&" + f.all() + "(|")
	for _, n := range names {
		b.WriteString("(" + f.names + "=" + ldap.EscapeFilter(n.User) + ")")
	}
	b.WriteString("))")
	return b.String()
}

// containing returns the filter for groups whose name or description contains the text.
func (f groupFilter) containing(text string) string {
	if text == "" {
		return "(&" + f.all() + "(" + f.names + "=*))"
	}
	return "(&" + f.all() + contains(text, []string{f.names, groupText}) + ")"
}

// contains returns the filter for entries one of whose attributes contains the text.
func contains(text string, attributes []string) string {
	var b strings.Builder
	b.WriteString("(|")
	for _, a := range attributes {
		b.WriteString("(" + a + "=*" + ldap.EscapeFilter(text) + "*)")
	}
	b.WriteString(")")
	return b.String()
}

// checkDN returns an error if the text is not a distinguished name.
func checkDN(text string, needed bool) error {
	if text == "" {
		if needed {
			return errors.New("is needed")
		}
		return nil
	}
	if _, err := ldap.ParseDN(text); err != nil {
		return fmt.Errorf("is not a distinguished name: %w", err)
	}
	return nil
}
