// Package admin serves the managed objects with which clients administer the server:
// AuthorizationManager (roles and permissions), UserDirectory (search for users and groups),
// HostLocalAccountManager (local users), ExtensionManager and OptionManager (settings).
//
// [Serve] adds them to an API. Their methods check the arguments and the caller's authority for the
// change, call the managers of the domain, and convert errors to faults. The data and the rules
// that do not depend on the API are in the packages access, account, extension and setting.
// The users and groups of identity sources are in package directory.
package admin

import (
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/vim"
)

// api implements the methods and properties of the package's objects.
type api struct {
	*vim.API
	// The managers that only this package needs.
	Accounts  *account.Manager
	Directory directory.Directory

	extensions extensionCache
}

// Serve adds the package's objects to the API, which works on the domain d. It must be called before the first request.
func Serve(to *vim.API, d *domain.Domain) error {
	a := &api{API: to, Accounts: d.Accounts, Directory: d.Directory}
	for _, o := range []*vim.Object{
		a.authorizationManager(), a.extensionManager(), a.userDirectory(), a.accountManager(), a.optionManager(),
	} {
		if err := to.Add(o); err != nil {
			return err
		}
	}
	return nil
}
