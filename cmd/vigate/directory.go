package main

import (
	"os/user"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
)

// directory knows all principals that permissions can be given to.
type directory struct {
	accounts   *account.Table
	extensions *extension.Table
}

// Exists reports whether there is such a user, extension or group. No source of
// groups is configured, so there are none.
func (d directory) Exists(who principal.Name, group bool) bool {
	switch {
	case group:
		return false
	case who.Domain == login.LocalDomain:
		_, err := user.Lookup(who.User)
		return err == nil
	case who.Domain == "":
		_, ok := d.extensions.Find(who.User)
		return ok
	}
	return d.accounts.Exists(who)
}
