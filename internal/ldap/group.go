package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/vigate/vigate/internal/principal"
)

// groupsOf returns the groups of an entry, in the form of principal.Name.String, sorted. A group whose
// name can't be that of a principal, or is shared with another group, is left out. It is an error if
// there are too many: a part of the groups would be a random part of the user's rights.
func (s *Source) groupsOf(c *connection, dn, name string) ([]string, error) {
	found, err := s.groupEntries(c, dn, name)
	if err != nil {
		return nil, err
	}
	var all []principal.Name
	for _, e := range found {
		if n, err := s.canonical(e, s.groups.names); err == nil {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b principal.Name) int { return strings.Compare(a.Key(), b.Key()) })
	if all, err = s.unshared(c, slices.CompactFunc(all, principal.Name.Equal)); err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = n.String()
	}
	return names, nil
}

// unshared returns those of the names of groups that only one group has. Permissions are given to a
// name. So whoever may create a group anywhere below the base could otherwise give it the rights of
// another group. Active Directory itself keeps the names of accounts apart.
func (s *Source) unshared(c *connection, names []principal.Name) ([]principal.Name, error) {
	if strings.EqualFold(s.groups.names, accountName) {
		return names, nil
	}
	owners := map[string]map[string]bool{} // entries by name
	for some := range slices.Chunk(names, groupsAtOne) {
		found, err := s.findGroups(c, s.groups.named(some...))
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			for _, v := range values(e, s.groups.names) {
				name := principal.Fold(v)
				if owners[name] == nil {
					owners[name] = map[string]bool{}
				}
				owners[name][principal.Fold(e.DN)] = true
			}
		}
	}
	return slices.DeleteFunc(names, func(n principal.Name) bool {
		return len(owners[principal.Fold(n.User)]) != 1
	}), nil
}

func (s *Source) groupEntries(c *connection, dn, name string) ([]*ldap.Entry, error) {
	switch {
	case s.groupBase == "":
		return nil, nil
	case s.nested && c.chain:
		return s.findGroups(c, s.groups.chain(dn))
	case s.nested:
		return s.nestedGroups(c, dn)
	}
	return s.findGroups(c, s.groups.of(dn, name))
}

func (s *Source) findGroups(c *connection, filter string) ([]*ldap.Entry, error) {
	found, more, err := c.find(query{base: s.groupBase, scope: ldap.ScopeWholeSubtree, filter: filter, limit: maxGroups,
		attributes: []string{s.groups.names}})
	if err == nil && more {
		err = fmt.Errorf("%w: more than %d, or more than the server returns", errGroups, maxGroups)
	}
	return found, err
}

// errGroups means that an entry has more groups than a session can have.
var errGroups = errors.New("too many groups")

// nestedGroups finds the groups of an entry level by level. Each group is followed once, so a cycle
// ends the search.
func (s *Source) nestedGroups(c *connection, dn string) ([]*ldap.Entry, error) {
	var all []*ldap.Entry
	seen := map[string]bool{}
	level := []string{dn}
	for depth := 0; len(level) > 0; depth++ {
		if depth == maxDepth {
			return nil, fmt.Errorf("%w: nested more than %d levels deep", errGroups, maxDepth)
		}
		var next []string
		for members := range slices.Chunk(level, groupsAtOne) {
			found, err := s.findGroups(c, s.groups.anyOf(members))
			if err != nil {
				return nil, err
			}
			for _, e := range found {
				if key := principal.Fold(e.DN); !seen[key] {
					seen[key] = true
					all, next = append(all, e), append(next, e.DN)
				}
			}
		}
		if len(all) > maxGroups {
			return nil, fmt.Errorf("%w: more than %d", errGroups, maxGroups)
		}
		level = next
	}
	return all, nil
}
