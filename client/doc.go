// Package client is a client of the Virtual Infrastructure JSON API (VI JSON):
// the vSphere Web Services API as vCenter 8.0U1 and later, and servers
// compatible with it, serve it under /sdk/vim25/{release}.
//
// It knows all 22 methods and properties of SessionManager as typed calls and
// can call every other managed object through [Client.Invoke] and
// [Client.Property]. The types of requests and answers are those of
// github.com/vmware/govmomi/vim25/types.
//
//	c, err := client.New(ctx, client.Config{URL: "https://vc.example.com"})
//	…
//	session, err := c.Login(ctx, "administrator@vsphere.local", password, "")
//	…
//	defer c.Logout(context.WithoutCancel(ctx))
//
// # Sessions
//
// A login, of whatever kind, gives the client the session's token, which then
// goes with every request in the header vmware-api-session-id. A client has one
// session at a time and is safe for concurrent use. [Client.Token] and
// [Client.SetToken] carry a session from one process to the next; a [Token]
// never shows its value unless [Token.Reveal] is called.
//
// [Client.KeepAlive] keeps the session from idling out. With [Config.Login] set,
// a call that is answered with NotAuthenticated logs in again, one login for all
// callers that wait, and is sent once more. This never happens for a login
// itself, after Logout, or after the server has refused the login function's
// credentials (which would lock the account).
//
// # Errors
//
// A fault of the API is a [*FaultError]. [As] takes the API's fault out of it,
// by its own type or by any of its supertypes, so a NotAuthenticated fault is
// also a NoPermission:
//
//	var denied *types.NoPermission
//	if client.As(err, &denied) {
//		log.Print(denied.PrivilegeId)
//	}
//
// The fault types of vim25/types do not implement error, so the standard
// errors.As refuses pointers to them; it does take the interfaces of that
// package, such as types.BaseInvalidLogin, and [*FaultError] itself. The
// functions of govmomi's fault package work on these errors as well.
//
// An answer without a fault, such as 503 where a server has too many sessions,
// is an [*HTTPError] with the status and the Retry-After. No error text holds a
// password, a token or a ticket that the call was made with.
//
// # Retries
//
// Reads of properties are tried again after a broken connection and after 502,
// 503 and 504, a bounded number of times, honouring Retry-After. Methods are
// never tried again, whatever they do: only the caller knows whether calling
// twice is harmless. Redirects are not followed, since they would carry the
// token elsewhere.
package client
