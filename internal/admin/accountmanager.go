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
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// accountManager describes the managed object HostLocalAccountManager, which manages the local
// users. DisableUser, EnableUser, RetrieveUserStates and UnlockUser are methods of vigate: the vSphere
// API has no equivalent.
func (a *api) accountManager() *vim.Object {
	return &vim.Object{
		Type: "HostLocalAccountManager", ID: "ha-localacctmgr",
		Methods: []vim.Method{
			vim.NewVoid("CreateUser", access.HostManageUserGroups, a.createUser, vim.Audited,
				vim.ChangesAuthority(ruleNewUser), vim.Faults("AlreadyExists", "InvalidArgument")),
			vim.NewVoid("DisableUser", access.HostManageUserGroups, a.disableUser, vim.Audited,
				vim.ChangesAuthority(ruleUserAccess), vim.Faults("UserNotFound", "AuthMinimumAdminPermission")),
			vim.NewVoid("EnableUser", access.HostManageUserGroups, a.enableUser, vim.Audited,
				vim.ChangesAuthority(ruleUserAccess), vim.Faults("UserNotFound")),
			vim.NewVoid("RemoveUser", access.HostManageUserGroups, a.removeUser, vim.Audited,
				vim.ChangesAuthority(ruleUserAccess), vim.Faults("UserNotFound", "AuthMinimumAdminPermission")),
			vim.NewMethod("RetrieveUserStates", access.HostManageUserGroups, a.retrieveUserStates),
			vim.NewVoid("UnlockUser", access.HostManageUserGroups, a.unlockUser, vim.Audited,
				vim.ChangesAuthority(ruleUnlock), vim.Faults("UserNotFound", "NoPermission")),
			// To update another user, the caller needs Host.Local.ManageUserGroups.
			vim.NewVoid("UpdateUser", vim.View, a.updateUser, vim.Audited, vim.ChangesAuthority(rulePassword),
				vim.Faults("UserNotFound", "InvalidArgument", "NoPermission")),
		},
		Errors: accountErrors,
	}
}

// accountErrors maps the errors of local users to faults.
var accountErrors = []vim.Mapping{
	lastAdministrator, tooMany,
	vim.Map(account.ErrExists, vim.Plain[types.AlreadyExists]),
	vim.Map(account.ErrTooMany, vim.Plain[types.LimitExceeded]),
	vim.Map(account.ErrNotFound, vim.Plain[types.UserNotFound]),
	vim.Map(account.ErrName, vim.Argument("user.id", "is not a valid name of a user of this server")),
	vim.Map(account.ErrFullName, vim.Argument("user.description", "is too long, or has invisible characters")),
	vim.Map(account.ErrPassword, func(err error) *vim.Fault {
		return vim.InvalidArgument("user.password", err).Saying("length", account.MinPassword, account.MaxPassword)
	}),
	vim.Map(account.ErrBusy, vim.Busy),
}

// DisableUserRequestType is the request of DisableUser. The user can no longer log in, and its
// sessions end. The method is not part of the published API.
type DisableUserRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName string                       `xml:"userName" json:"userName"`
}

// EnableUserRequestType is the request of EnableUser, which reverses DisableUser. The method is not
// part of the published API.
type EnableUserRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName string                       `xml:"userName" json:"userName"`
}

// UnlockUserRequestType is the request of UnlockUser. It deletes the counts of the user's failed
// logins from all addresses. The method is not part of the published API.
type UnlockUserRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName string                       `xml:"userName" json:"userName"`
}

// RetrieveUserStatesRequestType is the request of RetrieveUserStates. The method is not part of the
// published API.
type RetrieveUserStatesRequestType struct {
	This     types.ManagedObjectReference `xml:"_this" json:"-"`
	UserName []string                     `xml:"userName" json:"userName"`
}

// VigateUserState says whether a user or an extension is disabled or locked. One whose record can't
// be read is neither. The names of the type and its members are part of the protocol.
type VigateUserState struct {
	UserName string `xml:"userName" json:"userName"` // as in the request
	Disabled bool   `xml:"disabled" json:"disabled"` // always false for users of other domains
	// Locked is true after too many failed logins, from at least one address. In a cluster, each node
	// counts those of its own.
	Locked bool `xml:"locked" json:"locked"`
}

// accountSpec checks the account specification of a request. Members that only POSIX accounts have
// are refused instead of ignored.
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
			return nil, vim.InvalidArgument("user.shellAccess", errors.New("users have no shell access"))
		}
	}
	return spec, nil
}

// localUser parses the name of a local user.
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
	err = a.Accounts.Create(ctx, c.Session.Actor(), name, []byte(spec.Password), spec.Description)
	return vim.About(err, name.String())
}

// updateUser changes the members that are set in the request. A user may change its own password;
// its other sessions then end. An impersonated user does not count as the user itself.
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
		u.Password = secret.New(spec.Password)
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

// onUser calls do, which changes whether the user can log in, after checking the caller's
// authority.
func (a *api) onUser(ctx context.Context, c *vim.Call, spelling string, canLogIn bool,
	do func(context.Context, event.Actor, principal.Name) error) error {
	c.Note("target", spelling)
	name, err := a.localUser(spelling)
	if err != nil {
		return vim.About(err, spelling)
	}
	if err := a.judgeUser(ctx, c, name, canLogIn); err != nil {
		return err
	}
	return vim.About(do(ctx, c.Session.Actor(), name), spelling)
}

// retrieveUserStates returns the states of users, in the order of the request. A name without a domain
// may be the key of an extension as well, as for unlockUser. A user who does not exist is not disabled.
func (a *api) retrieveUserStates(
	ctx context.Context, c *vim.Call, r *RetrieveUserStatesRequestType,
) ([]VigateUserState, error) {
	all, names := make([]VigateUserState, len(r.UserName)), make([]principal.Name, len(r.UserName))
	extensions := make([]principal.Name, len(r.UserName))
	for i, spelling := range r.UserName {
		if err := a.Work(ctx, c, 1); err != nil {
			return nil, err
		}
		all[i].UserName = spelling
		name, err := principal.Parse(spelling, a.DefaultDomain())
		if err != nil {
			continue // nobody has the name
		}
		names[i] = name
		if !strings.ContainsAny(spelling, `\@`) {
			extensions[i] = principal.Extension(spelling)
		}
		if u, ok := a.Accounts.Table().Find(name); ok {
			all[i].Disabled = u.Disabled
		}
	}
	for _, of := range [][]principal.Name{names, extensions} {
		for i, locked := range a.Locked(of) {
			all[i].Locked = all[i].Locked || locked
		}
	}
	return all, nil
}

// unlockUser deletes the counts of failed logins of any principal. Users of other domains and
// extensions are locked in the same way as local users.
func (a *api) unlockUser(ctx context.Context, c *vim.Call, r *UnlockUserRequestType) error {
	c.Note("target", r.UserName)
	name, err := principal.Parse(r.UserName, a.DefaultDomain())
	if err != nil {
		return vim.About(account.ErrNotFound, r.UserName)
	}
	all := []principal.Name{name}
	if !strings.ContainsAny(r.UserName, `\@`) {
		all = append(all, principal.Extension(r.UserName)) // the name may be the key of an extension
	}
	if err := a.judgeUnlock(ctx, c, all...); err != nil {
		return err
	}
	locked, known := false, a.Directory.Has(ctx, name, false)
	for _, who := range all {
		locked = a.Unlock(who) || locked
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
