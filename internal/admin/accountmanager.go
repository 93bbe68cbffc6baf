package admin

import (
	"context"
	"errors"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// accountManager is the local users. DisableUser, EnableUser and UnlockUser are
// vigate's own: the API has no words for them.
func (a *api) accountManager() *vim.Object {
	return &vim.Object{
		Type: "HostLocalAccountManager", ID: "ha-localacctmgr",
		Methods: []vim.Method{
			vim.NewVoid("CreateUser", access.HostManageUserGroups, a.createUser, vim.Audited, vim.ChangesAuthority(ruleNewUser), vim.Faults("AlreadyExists", "InvalidArgument")),
			vim.NewVoid("DisableUser", access.HostManageUserGroups, a.disableUser, vim.Audited, vim.ChangesAuthority(ruleUserAccess), vim.Faults("UserNotFound", "AuthMinimumAdminPermission")),
			vim.NewVoid("EnableUser", access.HostManageUserGroups, a.enableUser, vim.Audited, vim.ChangesAuthority(ruleUserAccess), vim.Faults("UserNotFound")),
			vim.NewVoid("RemoveUser", access.HostManageUserGroups, a.removeUser, vim.Audited, vim.ChangesAuthority(ruleUserAccess), vim.Faults("UserNotFound", "AuthMinimumAdminPermission")),
			vim.NewVoid("UnlockUser", access.HostManageUserGroups, a.unlockUser, vim.Audited, vim.ChangesAuthority(ruleUnlock), vim.Faults("UserNotFound", "NoPermission")),
			// Of another user than oneself: Host.Local.ManageUserGroups.
			vim.NewVoid("UpdateUser", vim.View, a.updateUser, vim.Audited, vim.ChangesAuthority(rulePassword), vim.Faults("UserNotFound", "InvalidArgument", "NoPermission")),
		},
		Errors: accountErrors,
	}
}

// accountErrors are those of local users.
var accountErrors = []vim.Mapping{
	lastAdministrator, tooMany,
	vim.Map(account.ErrExists, vim.Plain[types.AlreadyExists]),
	vim.Map(account.ErrTooMany, vim.Plain[types.LimitExceeded]),
	vim.Map(account.ErrNotFound, vim.Plain[types.UserNotFound]),
	vim.Map(account.ErrName, vim.Argument("user.id")),
	vim.Map(account.ErrFullName, vim.Argument("user.description")),
	vim.Map(account.ErrPassword, vim.Argument("user.password")),
	vim.Map(account.ErrBusy, vim.Busy),
}

// DisableUserRequestType is the request of DisableUser: the user can't log in any
// more, and its sessions end. Not part of the published API.
type DisableUserRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName string                       `xml:"userName" json:"userName"`
}

// EnableUserRequestType is the request of EnableUser, which takes DisableUser
// back. Not part of the published API.
type EnableUserRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName string                       `xml:"userName" json:"userName"`
}

// UnlockUserRequestType is the request of UnlockUser: failed logins of the user,
// from wherever, are forgotten. Not part of the published API.
type UnlockUserRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName string                       `xml:"userName" json:"userName"`
}

// accountSpec is what the two methods that take one are given. What only a POSIX
// account has is refused, and not dropped.
func accountSpec(c *vim.Call, s types.BaseHostAccountSpec) (*types.HostAccountSpec, error) {
	if s == nil {
		return nil, vim.InvalidArgument("user", errors.New("unset"))
	}
	spec := s.GetHostAccountSpec()
	c.Note("target", spec.Id)
	if posix, ok := s.(*types.HostPosixAccountSpec); ok {
		switch {
		case posix.PosixId != 0:
			return nil, vim.InvalidArgument("user.posixId", errors.New("users have no POSIX id"))
		case posix.ShellAccess != nil && *posix.ShellAccess:
			return nil, vim.InvalidArgument("user.shellAccess", errors.New("there is no shell"))
		}
	}
	return spec, nil
}

// localUser reads the name of a local user.
func (a *api) localUser(spelling string) (principal.Name, error) {
	name, err := principal.Parse(spelling, a.Accounts.Domain())
	if err != nil {
		return principal.Name{}, account.ErrNotFound
	}
	return name, nil
}

func (a *api) createUser(ctx context.Context, c *vim.Call, r *types.CreateUserRequestType) error {
	spec, err := accountSpec(c, r.User)
	if err != nil {
		return err
	}
	name, err := a.localUser(spec.Id)
	if err != nil {
		return account.ErrName
	}
	if err := a.judgeUser(ctx, c, name, true); err != nil {
		return err
	}
	s := c.Session.Session()
	return vim.About(a.Accounts.Create(ctx, s.Actor(), name, []byte(spec.Password), spec.Description), name.String())
}

// updateUser changes what is given. A user may change its own password; its
// other sessions then end. An impersonating session is not the user that it
// acts as.
func (a *api) updateUser(ctx context.Context, c *vim.Call, r *types.UpdateUserRequestType) error {
	spec, err := accountSpec(c, r.User)
	if err != nil {
		return err
	}
	s := c.Session.Session()
	name, err := a.localUser(spec.Id)
	own := err == nil && s.Origin == nil && name.Equal(s.Identity.Name)
	if fault := a.judgeUpdateUser(ctx, c, name, own, spec); fault != nil {
		return fault
	}
	if err != nil {
		return vim.About(err, spec.Id)
	}
	var u account.Update
	if spec.Description != "" {
		u.FullName = &spec.Description
	}
	keep := ""
	if spec.Password != "" {
		u.Password = []byte(spec.Password)
		if own {
			keep = s.Key.String()
		}
	}
	return vim.About(a.Accounts.Update(ctx, s.Actor(), name, u, keep), spec.Id)
}

func (a *api) removeUser(ctx context.Context, c *vim.Call, r *types.RemoveUserRequestType) error {
	return a.onUser(ctx, c, r.UserName, false, a.Accounts.Remove)
}

func (a *api) disableUser(ctx context.Context, c *vim.Call, r *DisableUserRequestType) error {
	return a.onUser(ctx, c, r.UserName, false, a.Accounts.Disable)
}

func (a *api) enableUser(ctx context.Context, c *vim.Call, r *EnableUserRequestType) error {
	return a.onUser(ctx, c, r.UserName, true, a.Accounts.Enable)
}

// onUser has do change whether the user gets in.
func (a *api) onUser(ctx context.Context, c *vim.Call, spelling string, comesIn bool,
	do func(context.Context, event.Actor, principal.Name) error) error {
	c.Note("target", spelling)
	name, err := a.localUser(spelling)
	if err != nil {
		return vim.About(err, spelling)
	}
	if err := a.judgeUser(ctx, c, name, comesIn); err != nil {
		return err
	}
	s := c.Session.Session()
	return vim.About(do(ctx, s.Actor(), name), spelling)
}

// unlockUser forgets the failed logins of any principal: users of other domains
// and extensions are locked like local users.
func (a *api) unlockUser(ctx context.Context, c *vim.Call, r *UnlockUserRequestType) error {
	c.Note("target", r.UserName)
	name, err := principal.Parse(r.UserName, a.Gate.DefaultDomain)
	if err != nil {
		return vim.About(account.ErrNotFound, r.UserName)
	}
	all := []principal.Name{name}
	if !strings.ContainsAny(r.UserName, `\@`) {
		all = append(all, principal.Extension(r.UserName)) // an extension's key
	}
	if err := a.judgeUnlock(ctx, c, all...); err != nil {
		return err
	}
	locked, known := false, a.Directory.Has(ctx, name, false)
	for _, who := range all {
		locked = a.Gate.Throttle.Unlock(who) || locked
		known = known || a.isExtension(who, false)
	}
	switch {
	case !locked && !known:
		return vim.About(account.ErrNotFound, r.UserName)
	case !locked:
		return nil
	}
	return a.Post(ctx, c, event.Event{Type: "EventEx", ID: "vigate.account.unlocked", Subject: name.String()})
}
