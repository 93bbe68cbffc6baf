// Package client is a Go client for the Virtual Infrastructure JSON API (VI JSON): the vSphere Web
// Services API in JSON, which vCenter 8.0U1 and later, and compatible servers, serve under
// /sdk/vim25/{release}.
//
// It has a typed function for each of the 22 methods and properties of SessionManager.
// [Client.Invoke] and [Client.Property] call all other managed objects. The types of requests and
// results are those of github.com/vmware/govmomi/vim25/types.
//
//	c, err := client.New(ctx, client.Config{URL: "https://vc.example.com"})
//	…
//	session, err := c.Login(ctx, "administrator@vsphere.local", password, "")
//	…
//	defer c.Logout(context.WithoutCancel(ctx))
//
// # Sessions
//
// Every kind of login gives the client a session token. The client sends it with each request, in
// the header vmware-api-session-id. A client has one session at a time and is safe for concurrent
// use. With [Client.Token] and [Client.SetToken] a program can save a session and use it in another
// process. A [Token] never shows its value unless [Token.Reveal] is called.
//
// [NewFromEnv] takes the server and the user from environment variables, package sessionfile saves
// sessions in files, and package bridge shares a session with govmomi.
//
// [Client.KeepAlive] prevents the session's idle timeout, and asks the server how long that is. If
// [Config].Login is set and a call fails with NotAuthenticated, the client logs in again and repeats
// the call once. All waiting calls share one login. The client does not log in again for a login
// itself, after Logout, or after the server has refused the credentials, because more attempts could
// lock the account.
//
// # Errors
//
// A fault of the API is returned as a [*FaultError]. [As] finds the API's fault in it by its own
// type or by any of its supertypes. For example, a NotAuthenticated fault is also a NoPermission
// fault:
//
//	var denied *types.NoPermission
//	if client.As(err, &denied) {
//		log.Print(denied.PrivilegeId)
//	}
//
// The standard errors.As does not accept pointers to the fault types of vim25/types, because these
// do not implement error. It accepts the interfaces of that package, such as
// types.BaseInvalidLogin, and [*FaultError]. The functions of govmomi's package fault also work on
// these errors.
//
// An error response without a fault, such as 503 if the server has too many sessions, is returned
// as an [*HTTPError] with the status, the server's reason and the Retry-After header. A login on a
// live session is [ErrLoggedIn]. The text of an error never holds a
// password, token or ticket of the call.
//
// # Retries
//
// A read of a property is repeated after a broken connection and after the statuses 502, 503 and
// 504. The number of repetitions is limited, and Retry-After is obeyed. Methods are never repeated,
// because only the caller knows whether it is harmless to call one twice. Redirects are not
// followed, because they would send the token to another server.
package client
