// Package admin serves the objects by which the server is administered: who may
// what, who there is, which extensions are registered, and the settings.
package admin

import (
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/vim"
)

// Domain is what these objects work on beside what all do.
type Domain struct {
	Accounts  *account.Manager
	Directory Directory
}

// api is the API that these objects are part of, and their own domain.
type api struct {
	*vim.API
	Domain
	extensions extensionCache
}

// Serve adds the package's objects to the API. It is called before the first
// request.
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
