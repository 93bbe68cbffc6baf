// Package sessionmanager serves the managed object SessionManager: the login methods, tickets,
// impersonation, the list of sessions and their end, locales and the service message. Its rows are
// the server's whole surface for sessions; read [Serve] and the table first.
//
// The methods check their arguments and call package login for credentials and package session for
// sessions. The package has no state of its own. A second object, VigateSessions, is no part of the API: it
// says what the limits of sessions are, and how each session logged in.
package sessionmanager

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/vim"
)

// Options configures the object. All fields except LocalTickets, ID and Front are required before the first
// call.
type Options struct {
	// Gate decides about logins.
	Gate *login.Gate
	// LocalTickets issues local tickets. If nil, they are not supported.
	LocalTickets *local.Tickets
	// HostName is the name under which clients reach the server. Tickets contain it.
	HostName string
	// ID is the moId of the object. If empty, it is "SessionManager". A front has that of its upstream.
	ID string
	// Front is set for the object of a front.
	Front *Front
	// SHA1 and SHA256 return the thumbprints of the TLS certificate in the form AA:BB:…. Tickets
	// contain them.
	SHA1, SHA256 func() string
}

// Front is how the object of a front differs from that of this server itself. Extensions can't log in
// to a front, and nobody can impersonate there.
type Front struct {
	// Message returns the upstream's service message, for a session. This server's own message is put
	// before it. If nil, the upstream has none.
	Message func(context.Context, *session.Live) (string, error)
	// PassThrough is set if the users of the front are those of the upstream. They log in with
	// passwords only, and don't see the service message of this server.
	PassThrough bool
}

// manager implements the methods and properties of SessionManager.
type manager struct {
	*vim.API
	domain *domain.Domain
	Options
}

// Serve adds SessionManager to the API, which works on the domain, and VigateSessions, which says more about
// sessions. It must be called before the first request.
func Serve(to *vim.API, d *domain.Domain, o Options) error {
	m := &manager{to, d, o}
	return errors.Join(to.Add(m.object()), to.Add(m.facts()))
}

// object returns the table of SessionManager's 16 methods and 6 properties.
func (m *manager) object() *vim.Object {
	return &vim.Object{
		Type: "SessionManager", ID: cmp.Or(m.ID, "SessionManager"),
		Methods: []vim.Method{
			vim.NewMethod("AcquireCloneTicket", vim.View, m.acquireCloneTicket, vim.Audited),
			vim.NewMethod("AcquireGenericServiceTicket", vim.Anonymous, m.acquireGenericServiceTicket,
				vim.Audited, vim.Faults("InvalidArgument")),
			vim.NewMethod("AcquireLocalTicket", vim.Anonymous, m.acquireLocalTicket,
				vim.Audited, vim.Faults("InvalidLogin", "NoPermission", "NotSupported", "InvalidRequest")),
			starts("CloneSession", m.cloneSession, nil, vim.Faults("InvalidLogin", "NotSupported")),
			vim.NewMethod("ImpersonateUser", access.ImpersonateUser, m.impersonateUser,
				vim.Audited, vim.ChangesAuthority(ruleImpersonate), vim.Faults("InvalidLogin", "InvalidLocale")),
			starts("Login", m.login, func(r *types.LoginRequestType) string { return r.Locale },
				vim.Faults("InvalidLogin", "NoPermission", "InvalidLocale")),
			starts("LoginBySSPI", m.loginBySSPI, func(r *types.LoginBySSPIRequestType) string { return r.Locale },
				vim.Errors(vim.Map(login.ErrNotMine, noKerberos)),
				vim.Faults("SSPIChallenge", "InvalidLogin", "NoPermission", "InvalidLocale", "NotSupported")),
			starts("LoginByToken", m.loginByToken, func(r *types.LoginByTokenRequestType) string { return r.Locale },
				vim.NeedsProof, vim.Faults("InvalidLogin", "NoPermission", "InvalidLocale")),
			vim.NewVoid("LoginExtension", vim.Anonymous, m.loginExtension, vim.Audited, vim.Faults("NotSupported"),
				vim.Locale(func(r *LoginExtensionRequestType) string { return r.Locale })),
			starts("LoginExtensionByCertificate", m.loginExtensionByCertificate,
				func(r *types.LoginExtensionByCertificateRequestType) string { return r.Locale },
				vim.Faults("InvalidLogin", "InvalidLocale", "NoClientCertificate")),
			starts("LoginExtensionBySubjectName", m.loginExtensionBySubjectName,
				func(r *types.LoginExtensionBySubjectNameRequestType) string { return r.Locale },
				vim.Faults("InvalidLogin", "InvalidLocale", "NoClientCertificate", "NoSubjectName",
					"InvalidClientCertificate")),
			vim.NewVoid("Logout", vim.View, m.logout, vim.Audited, vim.OwnSession),
			vim.NewMethod("SessionIsActive", access.ValidateSession, m.sessionIsActive),
			vim.NewVoid("SetLocale", vim.View, m.setLocale, vim.Faults("InvalidLocale")),
			vim.NewVoid("TerminateSession", access.TerminateSession, m.terminateSession,
				vim.Audited, vim.Faults("NotFound", "InvalidArgument")),
			vim.NewVoid("UpdateServiceMessage", access.GlobalMessage, m.updateServiceMessage,
				vim.Faults("InvalidArgument")),
		},
		Properties: []vim.Property{
			vim.NewProperty("currentSession", vim.Anonymous, m.currentSession, vim.Watched(m.ownSessionChanged)),
			vim.NewProperty("defaultLocale", vim.Anonymous, m.defaultLocale, vim.Watched(m.settingsChanged)),
			vim.NewProperty("message", vim.View, m.message, vim.Watched(m.settingsChanged)),
			vim.NewProperty("messageLocaleList", vim.Anonymous, m.messageLocaleList),
			vim.NewStreamed("sessionList", access.TerminateSession, m.sessionList, vim.Watched(m.sessionsChanged)),
			vim.NewProperty("supportedLocaleList", vim.Anonymous, m.supportedLocaleList),
		},
		Errors: sessionErrors,
	}
}

// starts returns the row of a login method: it starts a session, returns it, and is audited. of returns
// the locale in a request; it may be nil.
func starts[A any](
	name string, run func(context.Context, *vim.Call, *A) (vim.Result, error), of func(*A) string,
	opts ...func(*vim.Method),
) vim.Method {
	m := vim.NewMethod(name, vim.Anonymous, run, append(opts, vim.Audited)...)
	if of != nil {
		vim.Locale(of)(&m)
	}
	m.Result = reflect.TypeFor[types.UserSession]()
	return m
}

// LoginExtensionRequestType is the request of LoginExtension, which the API has withdrawn and still
// names. govmomi has no type for it.
type LoginExtensionRequestType struct {
	This                    types.ManagedObjectReference `xml:"_this" json:"-"`
	ExtensionKey            string                       `xml:"extensionKey" json:"extensionKey"`
	Base64SignedCredentials string                       `xml:"base64SignedCredentials" json:"base64SignedCredentials"`
	Locale                  string                       `xml:"locale,omitempty" json:"locale,omitempty"`
}

// retryLimit is when a client should try again after a limit of sessions. Their number falls slowly.
const retryLimit = 30 * time.Second

// sessionErrors are the errors of logins, sessions and tickets.
var sessionErrors = []vim.Mapping{
	vim.MapType(func(limit *session.LimitError, err error) *vim.Fault {
		return vim.Refusal("limit."+limit.Limit, retryLimit, err, limit.Live, limit.Max)
	}),
	vim.MapType(func(leg *login.Continue, _ error) *vim.Fault {
		token := base64.StdEncoding.EncodeToString(leg.Token.Reveal())
		return vim.NewFault(&types.SSPIChallenge{Base64Token: token}, nil)
	}),
	vim.Map(session.ErrStale, vim.Unavailable), // other commits were faster each time
	vim.Map(session.ErrBadTicket, vim.Plain[types.InvalidLogin]),
	vim.Map(session.ErrNotAllowed, vim.Plain[types.InvalidLogin]),
	vim.Map(locale.ErrInvalid, vim.Plain[types.InvalidLocale]),
	vim.Map(login.ErrNoAccess, func(err error) *vim.Fault { return vim.NoPermission(vim.RootFolder(), err, vim.View) }),
	vim.Map(login.ErrLoggedIn, func(err error) *vim.Fault {
		return vim.NewFault(&types.InvalidLogin{}, err).Saying("session")
	}),
	vim.Map(login.ErrRejected, vim.Plain[types.InvalidLogin]),
	vim.Map(login.ErrNotMine, vim.Plain[types.InvalidLogin]),
	vim.Map(login.ErrNoCertificate, vim.Plain[types.NoClientCertificate]),
	vim.Map(login.ErrNoSubject, vim.Plain[types.NoSubjectName]),
	vim.Map(login.ErrBadCertificate, vim.Plain[types.InvalidClientCertificate]),
	vim.Map(login.ErrBusy, vim.Busy),
	vim.Map(local.ErrRemote, func(err error) *vim.Fault {
		f := vim.InvalidRequest("the server gives local tickets over its Unix socket, and with local-tickets: " +
			"loopback also to loopback addresses")
		f.Cause = err
		return f
	}),
	vim.Map(local.ErrCannotGive, func(err error) *vim.Fault {
		f := vim.Unsupported("the server can't give the ticket's file to the account, because its process has no " +
			"CAP_CHOWN")
		f.Cause = err
		return f
	}),
	vim.MapType(func(invalid *setting.InvalidError, err error) *vim.Fault {
		return vim.BadArgument(invalid.Name, invalid.Reason, err)
	}),
}
