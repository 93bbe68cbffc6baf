package ldap

import (
	"context"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// Found is what a server of a directory answers to Probe.
type Found struct {
	Server string // its URL
	// Users and Groups are how many the settings select. More than 1,000 are not counted.
	Users, Groups int
	Err           error
}

// Probe connects to each server as the service account and counts users and groups. It is for an
// operator who wants to know whether the settings are right. It returns one result for each server, in
// the order of the settings. It doesn't matter whether a server has failed before.
func (s *Source) Probe(ctx context.Context) []Found {
	var all []Found
	for _, one := range s.search.servers.all {
		f := Found{Server: one.url}
		f.Err = s.probe(ctx, one, &f)
		all = append(all, f)
	}
	return all
}

func (s *Source) probe(ctx context.Context, one *server, f *Found) error {
	ctx, cancel := context.WithTimeoutCause(ctx, workTimeout, errSlow)
	defer cancel()
	list := s.search.servers
	c, err := list.dial(ctx, one)
	if err != nil {
		return err
	}
	defer c.close()
	return c.run(ctx, func() error {
		if err := list.login(c); err != nil {
			return err
		}
		users, err := s.probeCount(c, s.base, s.users.containing(""))
		if err != nil {
			return fmt.Errorf("find users: %w", err)
		}
		f.Users = users
		if s.groupBase == "" {
			return nil
		}
		if f.Groups, err = s.probeCount(c, s.groupBase, s.groups.containing("")); err != nil {
			return fmt.Errorf("find groups: %w", err)
		}
		return nil
	})
}

func (s *Source) probeCount(c *connection, base, filter string) (int, error) {
	const noAttributes = "1.1"
	found, _, err := c.find(query{base: base, scope: ldap.ScopeWholeSubtree, filter: filter, limit: maxFound,
		attributes: []string{noAttributes}})
	return len(found), err
}
