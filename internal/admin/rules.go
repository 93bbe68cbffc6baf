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

// The rules of the rows that change authority, as the rows declare them. All are
// judged by one function, vim.API.MayChange (or access.Lacking inside package
// access): the caller needs every privilege that the change gives or takes away.
const (
	rulePermissions = "every privilege that any user, group or extension gains or loses by it"
	ruleRoles       = "every privilege that is added to the role or removed from it, and that anybody gains or loses by it"
	ruleNewRole     = "nothing: nobody has the role yet"
	ruleNewUser     = "every privilege that permissions give a user of that name"
	rulePassword    = "for another user's password: every privilege of that user; never as an impersonator of the user"
	ruleUnlock      = "every privilege of the user or extension"
	ruleUserAccess  = "every privilege of the user; never as an impersonator of the user"
	ruleRegister    = "with a subject name, by which it can log in: every privilege of the extension"
	ruleUpdate      = "for another subject name: every privilege of the extension; never as an impersonator of it"
	ruleWayIn       = "every privilege of the extension; never as an impersonator of it"
	ruleUnregister  = "every privilege that the extension has or can log in for; never as an impersonator of it"
)

// grantor is the caller, for changes of roles and permissions.
func (a *api) grantor(ctx context.Context, c *vim.Call) access.Grantor {
	g := a.Grantor(c)
	g.Groups = func(name principal.Name) []string { return a.Directory.groups(ctx, name) }
	return g
}

// userAuthority is what a local user may do once it is logged in.
func (a *api) userAuthority(ctx context.Context, name principal.Name) access.Set {
	return a.Access.Authority(access.Subject{Principal: name, Groups: a.Directory.groups(ctx, name)})
}

// extensionAuthority is what an extension may do once it is logged in.
func (a *api) extensionAuthority(key string) access.Set {
	return a.Access.Authority(access.Subject{Principal: principal.Extension(key), Extension: true})
}

var errBorrowed = errors.New("an impersonator can't change how its target gets in")

// judgeAccess has the change of whether, or how, a principal gets in judged:
// authority is what the principal may do, privilege that of the row. An
// impersonator has the target's authority for a while, and must not keep it.
func (a *api) judgeAccess(
	c *vim.Call, who principal.Name, privilege access.Privilege, authority func() (before, after access.Set),
) error {
	return a.Judge(c, func() error {
		if err := notBorrowed(c, who, privilege); err != nil {
			return err
		}
		before, after := authority()
		return a.MayChange(c, before, after)
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

// judgeUser judges that the user gets in after the change, or no longer does.
func (a *api) judgeUser(ctx context.Context, c *vim.Call, name principal.Name, comesIn bool) error {
	return a.judgeAccess(c, name, access.HostManageUserGroups, func() (before, after access.Set) {
		if comesIn {
			return access.Set{}, a.userAuthority(ctx, name)
		}
		return a.userAuthority(ctx, name), access.Set{}
	})
}

// judgeUnlock judges that failed logins of the principals are forgotten, which gives
// whoever guesses their passwords more tries.
func (a *api) judgeUnlock(ctx context.Context, c *vim.Call, all ...principal.Name) error {
	return a.Judge(c, func() error {
		for _, who := range all {
			authority := a.userAuthority(ctx, who)
			if a.isExtension(who, false) {
				authority = a.extensionAuthority(who.User)
			}
			if err := a.MayChange(c, access.Set{}, authority); err != nil {
				return err
			}
		}
		return nil
	})
}

// judgeUpdateUser judges a change of a user's description or password. own: the
// user makes it itself, whose own password is how it gets in already.
func (a *api) judgeUpdateUser(ctx context.Context, c *vim.Call, name principal.Name, own bool, spec *types.HostAccountSpec) error {
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
		return a.MayChange(c, access.Set{}, a.userAuthority(ctx, name))
	})
}

// judgeExtension judges that whoever makes the change can be the extension
// afterwards, or that the extension can't log in any more as it could: both
// need all that the extension may do.
func (a *api) judgeExtension(c *vim.Call, key string) error {
	return a.judgeAccess(c, principal.Extension(key), access.ExtensionUpdate, func() (before, after access.Set) {
		return access.Set{}, a.extensionAuthority(key)
	})
}

// judgeRegister judges the way in that an extension is registered with. Without
// one it can't log in, and has no authority yet.
func (a *api) judgeRegister(c *vim.Call, r extension.Registration) error {
	return a.judgeAccess(c, principal.Extension(r.Key), access.ExtensionRegister, func() (before, after access.Set) {
		if r.SubjectName == "" {
			return access.Set{}, access.Set{}
		}
		return access.Set{}, a.extensionAuthority(r.Key)
	})
}

// judgeUpdate is judgeExtension where the update changes the subject name.
func (a *api) judgeUpdate(c *vim.Call, r extension.Registration) error {
	return a.judgeAccess(c, principal.Extension(r.Key), access.ExtensionUpdate, func() (before, after access.Set) {
		if e, ok := a.Extensions.Find(r.Key); !ok || e.SubjectName == r.SubjectName {
			return access.Set{}, access.Set{}
		}
		return access.Set{}, a.extensionAuthority(r.Key)
	})
}

// judgeUnregister judges what the extension loses: what permissions give it, and
// what being an extension gives one that can log in.
func (a *api) judgeUnregister(c *vim.Call, key string) error {
	return a.judgeAccess(c, principal.Extension(key), access.ExtensionUnregister, func() (before, after access.Set) {
		e, known := a.Extensions.Find(key)
		wayIn := !known || len(e.Certificate) > 0 || e.SubjectName != ""
		return a.Access.Authority(access.Subject{Principal: principal.Extension(key), Extension: wayIn}), access.Set{}
	})
}
