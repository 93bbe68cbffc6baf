// Package directory finds users and groups in identity sources: the server's own users, the
// accounts of its operating system, and other directories. A [Directory] is a list of [Source]
// values. The package only looks up names. Package login checks credentials.
package directory

import (
	"context"
	"errors"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/principal"
)

// ErrUnavailable is returned by a source that can't be reached or can't answer, wrapped together with the
// cause. It says nothing about any user.
var ErrUnavailable = errors.New("directory is not available")

// Entry is a user or a group of an identity source.
type Entry struct {
	Name     principal.Name
	FullName string
	Group    bool
	// Groups are the groups of which the entry is a member, in the form of principal.Name.String. A
	// source may leave them out in the results of a search that is not exact.
	Groups []string
	// PasswordChanged is when the password of a user was changed last. It is zero if the source does not know.
	PasswordChanged time.Time
}

// Source is an identity source. Each source has one domain.
type Source interface {
	// Domain returns the source's domain in upper case.
	Domain() string
	// Search returns the entries whose name or full name contains the text. If exact is set, it
	// returns the entries whose name is the text. It ignores case. An empty text is contained in
	// all names, but it is nobody's exact name. A source that can't be listed finds exact names
	// only.
	Search(ctx context.Context, text string, exact bool) ([]Entry, error)
}

// Directory is the list of identity sources. The source of the default domain is the first.
// Extensions are in no source, so that an administrator does not give them permissions by accident.
type Directory []Source

// LocalUsers returns the source of the server's own users. It has no groups.
func LocalUsers(t *account.Table) Source { return localUsers{t} }

type localUsers struct{ *account.Table }

func (l localUsers) Search(_ context.Context, text string, exact bool) ([]Entry, error) {
	var found []Entry
	if exact {
		if text == "" {
			return nil, nil
		}
		for _, a := range l.Table.Search(text, true) {
			found = append(found, Entry{Name: a.Name, FullName: a.FullName})
		}
		return found, nil
	}
	text = principal.Fold(text)
	for _, a := range l.Table.Search("", false) {
		if strings.Contains(principal.Fold(a.Name.User), text) || strings.Contains(principal.Fold(a.FullName), text) {
			found = append(found, Entry{Name: a.Name, FullName: a.FullName})
		}
	}
	return found, nil
}

// SystemUsers returns the source of the operating system's accounts. It finds exact names only, so
// that clients can't list the accounts of the machine. If lookup is nil, os/user.Lookup is used.
func SystemUsers(lookup func(string) (*user.User, error)) Source {
	if lookup == nil {
		lookup = user.Lookup
	}
	return systemUsers(lookup)
}

type systemUsers func(string) (*user.User, error)

func (systemUsers) Domain() string { return principal.SystemDomain }

func (s systemUsers) Search(_ context.Context, text string, exact bool) ([]Entry, error) {
	if !exact || text == "" {
		return nil, nil
	}
	u, err := s(text)
	if err != nil {
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			err = nil
		}
		return nil, err
	}
	return []Entry{{Name: principal.Name{Domain: principal.SystemDomain, User: u.Username}, FullName: u.Name}}, nil
}

// Open returns a source for a domain whose users and groups can't be looked up, for example those of
// an OpenID Connect issuer. A Directory takes every name in the domain for a user and for a group that
// exist, so that they can get permissions. A search finds nobody.
func Open(domain string) Source { return open(strings.ToUpper(domain)) }

type open string

func (o open) Domain() string { return string(o) }

func (open) Search(context.Context, string, bool) ([]Entry, error) { return nil, nil }

// Source returns the source of the domain, or nil. An empty domain is the default domain.
func (d Directory) Source(domain string) Source {
	for _, s := range d {
		if domain == "" || strings.EqualFold(s.Domain(), domain) {
			return s
		}
	}
	return nil
}

// Open reports whether the users and groups of the domain can't be looked up.
func (d Directory) Open(domain string) bool {
	_, ok := d.Source(domain).(open)
	return ok
}

// Lookup returns the entry with the exact name, and whether it exists. In the domain of an Open source
// every name does. The error is that of the source.
func (d Directory) Lookup(ctx context.Context, name principal.Name, group bool) (Entry, bool, error) {
	s := d.Source(name.Domain)
	if s == nil || name.Domain == "" {
		return Entry{}, false, nil
	}
	if d.Open(name.Domain) {
		return Entry{Name: name, Group: group}, principal.ValidText(name.User), nil
	}
	found, err := s.Search(ctx, name.User, true)
	if err != nil {
		return Entry{}, false, err
	}
	i := slices.IndexFunc(found, func(e Entry) bool { return e.Group == group && e.Name.Equal(name) })
	if i < 0 {
		return Entry{}, false, nil
	}
	return found[i], true, nil
}

// Find is Lookup for callers that treat an unreachable source as "no such entry".
func (d Directory) Find(ctx context.Context, name principal.Name, group bool) (Entry, bool) {
	e, ok, _ := d.Lookup(ctx, name, group)
	return e, ok
}

// Has reports whether the user or group exists. If its source is unreachable, it reports false.
func (d Directory) Has(ctx context.Context, name principal.Name, group bool) bool {
	_, ok := d.Find(ctx, name, group)
	return ok
}

// Groups returns the groups of a user that its source reports without a login.
func (d Directory) Groups(ctx context.Context, name principal.Name) []string {
	e, _ := d.Find(ctx, name, false)
	return e.Groups
}
