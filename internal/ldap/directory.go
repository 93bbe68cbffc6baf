package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
)

// User returns a user that has proved who it is in another way, such as Kerberos, or that has a session
// already. Its groups have the form of principal.Name.String and are sorted.
//
// Errors: login.ErrRejected if there is no such user, or if it is disabled; login.ErrBusy;
// directory.ErrUnavailable.
func (s *Source) User(ctx context.Context, name principal.Name) (directory.Entry, error) {
	var found directory.Entry
	err := s.ask(ctx, func(c *connection) error {
		u, err := s.principal(c, name)
		if err != nil {
			return err
		}
		if u.disabled != "" {
			return fmt.Errorf("%w: the account %s", login.ErrRejected, u.disabled)
		}
		found = directory.Entry{Name: u.name, FullName: u.fullName, PasswordChanged: u.password}
		found.Groups, err = s.groupsOf(c, u.dn, u.name.User)
		return err
	})
	switch {
	case unknown(err):
		return directory.Entry{}, fmt.Errorf("%w: %w", login.ErrRejected, err)
	case err != nil:
		return directory.Entry{}, err
	}
	return found, nil
}

// Groups returns the groups of a user, with the errors of User.
func (s *Source) Groups(ctx context.Context, name principal.Name) ([]string, error) {
	u, err := s.User(ctx, name)
	return u.Groups, err
}

// principal finds the user with the canonical name.
func (s *Source) principal(c *connection, name principal.Name) (user, error) {
	u, err := s.user(c, name.User)
	if err == nil && !u.name.Equal(name) {
		err = fmt.Errorf("it is another name of a user: %w", errUnknown)
	}
	return u, err
}

// ask calls f with a connection of the service account, when it is the caller's turn.
func (s *Source) ask(ctx context.Context, f func(*connection) error) error {
	leave, err := s.turns.Enter(ctx, "", false)
	if err != nil {
		return fmt.Errorf("ask directory: %w", err)
	}
	defer leave()
	return s.reports.of(s.search.do(ctx, f))
}

// Search finds users and groups. It returns at most 1,000 users and 1,000 groups. Only if exact is
// set, the entries have their groups, and those of a user include nested ones.
func (s *Source) Search(ctx context.Context, text string, exact bool) ([]directory.Entry, error) {
	var found []directory.Entry
	search := s.contained
	if exact {
		search = s.named
	}
	err := s.ask(ctx, func(c *connection) (err error) {
		found, err = search(c, text)
		return err
	})
	return found, err
}

// named returns the user and the group with the name.
func (s *Source) named(c *connection, text string) ([]directory.Entry, error) {
	name := principal.Name{Domain: s.domain, User: text}
	if text == "" || len(text) > principal.MaxLength {
		return nil, nil
	}
	var all []directory.Entry
	switch u, err := s.principal(c, name); {
	case err == nil:
		e := directory.Entry{Name: u.name, FullName: u.fullName}
		if e.Groups, err = s.groupsOf(c, u.dn, u.name.User); err != nil {
			return nil, err
		}
		all = append(all, e)
	case !unknown(err):
		return nil, err
	}
	switch g, err := s.group(c, name); {
	case err == nil:
		all = append(all, g)
	case !unknown(err):
		return nil, err
	}
	return all, nil
}

// group finds the group with the name. Exactly one group must have it: permissions are given to the
// name.
func (s *Source) group(c *connection, name principal.Name) (directory.Entry, error) {
	if s.groupBase == "" {
		return directory.Entry{}, errUnknown
	}
	found, more, err := c.find(query{base: s.groupBase, scope: ldap.ScopeWholeSubtree,
		filter: s.groups.named(name), limit: 2, attributes: []string{s.groups.names, groupText}})
	switch {
	case err != nil:
		return directory.Entry{}, err
	case len(found) == 0:
		return directory.Entry{}, errUnknown
	case more || len(found) > 1:
		return directory.Entry{}, errAmbiguous
	}
	e, err := s.asGroup(found[0])
	if err != nil || !e.Name.Equal(name) {
		return directory.Entry{}, errors.Join(errUnknown, err)
	}
	if !strings.Contains(s.groups.text, nameMark) {
		e.Groups, err = s.groupsOf(c, found[0].DN, "")
	}
	return e, err
}

func (s *Source) asGroup(e *ldap.Entry) (directory.Entry, error) {
	name, err := s.canonical(e, s.groups.names)
	return directory.Entry{Name: name, FullName: text(e, groupText), Group: true}, err
}

// contained returns the users and groups whose name or full name contains the text, sorted by name.
func (s *Source) contained(c *connection, text string) ([]directory.Entry, error) {
	if len(text) > principal.MaxLength {
		return nil, nil
	}
	var all []directory.Entry
	add := func(e directory.Entry) {
		fold := principal.Fold(text)
		if strings.Contains(principal.Fold(e.Name.User), fold) || strings.Contains(principal.Fold(e.FullName), fold) {
			all = append(all, e)
		}
	}
	users, _, err := c.find(query{base: s.base, scope: ldap.ScopeWholeSubtree, filter: s.users.containing(text),
		limit: maxFound, attributes: slices.Concat(s.users.attributes(), fullNames)})
	if err != nil {
		return nil, err
	}
	for _, e := range users {
		if u, err := s.asUser(e); err == nil {
			add(directory.Entry{Name: u.name, FullName: u.fullName})
		}
	}
	if s.groupBase != "" {
		groups, _, err := c.find(query{base: s.groupBase, scope: ldap.ScopeWholeSubtree,
			filter: s.groups.containing(text), limit: maxFound, attributes: []string{s.groups.names, groupText}})
		if err != nil {
			return nil, err
		}
		for _, e := range groups {
			if g, err := s.asGroup(e); err == nil {
				add(g)
			}
		}
	}
	return unique(all), nil
}

// unique sorts the entries by name and removes those that share their name with another of the same
// kind: such a name is nobody's.
func unique(all []directory.Entry) []directory.Entry {
	id := func(e directory.Entry) string { return fmt.Sprintf("%s\x00%t", e.Name.Key(), e.Group) }
	count := map[string]int{}
	for _, e := range all {
		count[id(e)]++
	}
	all = slices.DeleteFunc(all, func(e directory.Entry) bool { return count[id(e)] > 1 })
	slices.SortFunc(all, func(a, b directory.Entry) int { return strings.Compare(id(a), id(b)) })
	return all
}
