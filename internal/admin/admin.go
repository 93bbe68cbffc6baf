// Package admin serves the managed objects with which clients administer the server:
// AuthorizationManager (roles and permissions), UserDirectory (search for users and groups),
// HostLocalAccountManager (local users), ExtensionManager and OptionManager (settings).
//
// [Serve] adds them to an API. Their methods check the arguments and the caller's authority for the
// change, call the managers of the domain, and convert errors to faults. The data and the rules
// that do not depend on the API are in the packages access, account, extension and setting.
// [Directory] and [Source] are the users and groups of identity sources.
package admin

import (
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/vim"
)

// Domain holds the managers that only this package needs.
type Domain struct {
	Accounts  *account.Manager
	Directory directory.Directory
}

// api implements the methods and properties of the package's objects.
type api struct {
	*vim.API
	Domain
	extensions extensionCache
}

// Serve adds the package's objects to the API. It must be called before the first request.
func Serve(to *vim.API, d Domain) error {
	a := &api{API: to, Domain: d}
	for _, o := range []*vim.Object{
		a.authorizationManager(), a.extensionManager(), a.userDirectory(), a.accountManager(), a.optionManager(),
	} {
		if err := to.Add(o); err != nil {
			return err
		}
	}
	return nil
}
