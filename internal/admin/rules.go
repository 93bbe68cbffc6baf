package admin

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// The rules for methods that change authority, as their rows declare them. All of them are checked
// by one function, api.mayChange (or access.Lacking inside package access): the caller needs
// every privilege that the change gives or takes away.
const (
	rulePermissions = "every privilege that any user, group or extension gains or loses by it"
	ruleRoles       = "every privilege that is added to the role or removed from it, and " +
		"that anybody gains or loses by it"
	ruleNewRole    = "nothing: nobody has the role yet"
	ruleNewUser    = "every privilege that permissions give a user of that name"
	rulePassword   = "for another user's password: every privilege of that user; never as an impersonator of the user"
	ruleUnlock     = "every privilege of the user or extension"
	ruleUserAccess = "every privilege of the user; never as an impersonator of the user"
	ruleRegister   = "with a subject name, by which it can log in: every privilege of the extension"
	ruleUpdate     = "for another subject name: every privilege of the extension; never as an impersonator of it"
	ruleWayIn      = "every privilege of the extension; never as an impersonator of it"
	ruleUnregister = "every privilege that the extension has or can log in for; never as an impersonator of it"
)

// grantor returns the caller as the grantor of a change of roles or permissions.
func (a *api) grantor(ctx context.Context, c *vim.Call) access.Grantor {
	g := a.Grantor(c)
	g.Groups = func(name principal.Name) []string { return a.Directory.Groups(ctx, name) }
	return g
}

// mayChange is the rule for changes of authority: the caller must have every privilege by which the
// principal's authority before and after the change differs. The zero Set is that of a principal
// without authority: it does not exist, is disabled, or can't log in.
func (a *api) mayChange(c *vim.Call, before, after access.Set) error {
	lacks := access.Lacking(a.Authority(c), before, after)
	if len(lacks) == 0 {
		return nil
	}
	return vim.NoPermission(vim.RootFolder(), errors.New("changes more than the caller has"), lacks...)
}

// userAuthority returns the privileges that a local user has after a login.
func (a *api) userAuthority(ctx context.Context, name principal.Name) access.Set {
	return a.Access.Authority(access.Subject{Principal: name, Groups: a.Directory.Groups(ctx, name)})
}

// extensionAuthority returns the privileges that an extension has after a login.
func (a *api) extensionAuthority(key string) access.Set {
	return a.Access.Authority(access.Subject{Principal: principal.Extension(key), Extension: true})
}

var errBorrowed = errors.New("an impersonator can't change how its target logs in")

// judgeAccess checks a change of whether or how a principal can log in. authority returns the
// principal's authority before and after the change, and privilege is that of the row. An
// impersonator has the target's authority for a limited time, and must not be able to keep it by
// such a change.
func (a *api) judgeAccess(
	c *vim.Call, who principal.Name, privilege access.Privilege, authority func() (before, after access.Set),
) error {
	return a.Judge(c, func() error {
		if err := notBorrowed(c, who, privilege); err != nil {
			return err
		}
		before, after := authority()
		return a.mayChange(c, before, after)
	})
}

// notBorrowed refuses an impersonator of the principal itself.
func notBorrowed(c *vim.Call, who principal.Name, privilege access.Privilege) error {
	identity, origin := c.Session.Who()
	if origin != nil && identity.Name.Equal(who) {
		return vim.NoPermission(c.Object, errBorrowed, privilege)
	}
	return nil
}

// judgeUser checks a change after which the user can log in, or can no longer log in.
func (a *api) judgeUser(ctx context.Context, c *vim.Call, name principal.Name, canLogIn bool) error {
	return a.judgeAccess(c, name, access.HostManageUserGroups, func() (before, after access.Set) {
		if canLogIn {
			return access.Set{}, a.userAuthority(ctx, name)
		}
		return a.userAuthority(ctx, name), access.Set{}
	})
}

// judgeUnlock checks that the caller may delete the counts of failed logins of the principals.
// Deleting them gives anyone who guesses passwords more attempts.
func (a *api) judgeUnlock(ctx context.Context, c *vim.Call, all ...principal.Name) error {
	return a.Judge(c, func() error {
		for _, who := range all {
			authority := a.userAuthority(ctx, who)
			if a.isExtension(who, false) {
				authority = a.extensionAuthority(who.User)
			}
			if err := a.mayChange(c, access.Set{}, authority); err != nil {
				return err
			}
		}
		return nil
	})
}

// judgeUpdateUser checks a change of a user's description or password. own means that the user
// changes itself: it can already log in, so a new password gives it no more authority.
func (a *api) judgeUpdateUser(
	ctx context.Context, c *vim.Call, name principal.Name, own bool, spec *types.HostAccountSpec,
) error {
	return a.Judge(c, func() error {
		if (!own || spec.Description != "") && !a.Has(c, access.HostManageUserGroups) {
			return vim.NoPermission(c.Object, nil, access.HostManageUserGroups)
		}
		if own || spec.Password == "" {
			return nil
		}
		if err := notBorrowed(c, name, access.HostManageUserGroups); err != nil {
			return err
		}
		return a.mayChange(c, access.Set{}, a.userAuthority(ctx, name))
	})
}

// judgeExtension checks a change after which the caller may be able to log in as the extension, or
// after which the extension can't log in as before. Both require the extension's whole authority.
func (a *api) judgeExtension(c *vim.Call, key string) error {
	return a.judgeAccess(c, principal.Extension(key), access.ExtensionUpdate, func() (before, after access.Set) {
		return access.Set{}, a.extensionAuthority(key)
	})
}

// judgeRegister checks the registration of an extension with a subject name, with which it can log
// in. An extension without a subject name can't log in, so it has no authority yet.
func (a *api) judgeRegister(c *vim.Call, r extension.Registration) error {
	return a.judgeAccess(c, principal.Extension(r.Key), access.ExtensionRegister, func() (before, after access.Set) {
		if r.SubjectName == "" {
			return access.Set{}, access.Set{}
		}
		return access.Set{}, a.extensionAuthority(r.Key)
	})
}

// judgeUpdate does the same check as judgeExtension if the update changes the subject name.
func (a *api) judgeUpdate(c *vim.Call, r extension.Registration) error {
	return a.judgeAccess(c, principal.Extension(r.Key), access.ExtensionUpdate, func() (before, after access.Set) {
		if e, ok := a.Extensions.Find(r.Key); !ok || e.SubjectName == r.SubjectName {
			return access.Set{}, access.Set{}
		}
		return access.Set{}, a.extensionAuthority(r.Key)
	})
}

// judgeUnregister checks the loss of the extension's authority: the privileges from permissions
// and, if it can log in, the privileges that every extension has.
func (a *api) judgeUnregister(c *vim.Call, key string) error {
	return a.judgeAccess(c, principal.Extension(key), access.ExtensionUnregister, func() (before, after access.Set) {
		e, known := a.Extensions.Find(key)
		canLogIn := !known || len(e.Certificate) > 0 || e.SubjectName != ""
		return a.Access.Authority(access.Subject{Principal: principal.Extension(key),
			Extension: canLogIn}), access.Set{}
	})
}
