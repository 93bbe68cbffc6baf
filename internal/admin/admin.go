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
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/vim"
)

// Options configures the objects. Locked and Unlock are required.
type Options struct {
	// Locked reports of each of the principals whether failed logins have locked it.
	Locked func([]principal.Name) []bool
	// Unlock forgets the failed logins of a principal and reports whether there were any.
	Unlock func(principal.Name) bool
	// PublicKey returns the public key of the TLS certificate in PEM. If nil, clients get none.
	PublicKey func() string
}

// api implements the methods and properties of the package's objects.
type api struct {
	*vim.API
	*domain.Domain
	Options

	cache extensionCache
}

// Serve adds the package's objects to the API, which works on the domain. It must be called before
// the first request.
func Serve(to *vim.API, d *domain.Domain, o Options) error {
	a := &api{API: to, Domain: d, Options: o}
	return to.Add(
		a.authorizationManager(), a.extensionManager(), a.userDirectory(), a.accountManager(), a.optionManager(),
	)
}
