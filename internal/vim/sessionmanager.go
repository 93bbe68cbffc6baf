package vim

import (
	"context"
	"encoding/base64"
	"errors"
	"iter"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
)

// sessionManager is the table of the 22 operations.
func (a *API) sessionManager() *Object {
	return &Object{
		Type: "SessionManager", ID: "SessionManager",
		Methods: []Method{
			NewMethod("AcquireCloneTicket", View, a.acquireCloneTicket, Audited),
			NewMethod("AcquireGenericServiceTicket", Anonymous, a.acquireGenericServiceTicket, Audited, Faults("InvalidArgument")),
			NewMethod("AcquireLocalTicket", Anonymous, a.acquireLocalTicket, Audited, Faults("InvalidLogin", "NoPermission", "NotSupported", "InvalidRequest")),
			starts("CloneSession", a.cloneSession, Faults("InvalidLogin", "NotSupported")),
			NewMethod("ImpersonateUser", access.ImpersonateUser, a.impersonateUser,
				Audited, ChangesAuthority(ruleImpersonate), Faults("InvalidLogin", "InvalidLocale")),
			starts("Login", a.login, Faults("InvalidLogin", "NoPermission", "InvalidLocale")),
			starts("LoginBySSPI", a.loginBySSPI, Errors(Map(login.ErrNotMine, noKerberos)),
				Faults("SSPIChallenge", "InvalidLogin", "NoPermission", "InvalidLocale", "NotSupported")),
			starts("LoginByToken", a.loginByToken, NeedsProof, Faults("InvalidLogin", "NoPermission", "InvalidLocale")),
			NewVoid("LoginExtension", Anonymous, a.loginExtension, Audited, Faults("NotSupported")),
			starts("LoginExtensionByCertificate", a.loginExtensionByCertificate, Faults("InvalidLogin", "InvalidLocale", "NoClientCertificate")),
			starts("LoginExtensionBySubjectName", a.loginExtensionBySubjectName, Faults("InvalidLogin", "InvalidLocale", "NoClientCertificate", "NoSubjectName", "InvalidClientCertificate")),
			NewVoid("Logout", View, a.logout, Audited, OwnSession),
			NewMethod("SessionIsActive", access.ValidateSession, a.sessionIsActive),
			NewVoid("SetLocale", View, a.setLocale, Faults("InvalidLocale")),
			NewVoid("TerminateSession", access.TerminateSession, a.terminateSession,
				Audited, Faults("NotFound", "InvalidArgument")),
			NewVoid("UpdateServiceMessage", access.GlobalMessage, a.updateServiceMessage, Faults("InvalidArgument")),
		},
		Properties: []Property{
			NewProperty("currentSession", Anonymous, a.currentSession, Watched(a.ownSessionChanged)),
			NewProperty("defaultLocale", Anonymous, a.defaultLocale, Watched(a.settingsChanged)),
			NewProperty("message", View, a.message, Watched(a.settingsChanged)),
			NewProperty("messageLocaleList", Anonymous, a.messageLocaleList),
			streamed("sessionList", access.TerminateSession, a.sessionList, Watched(a.sessionsChanged)),
			NewProperty("supportedLocaleList", Anonymous, a.supportedLocaleList),
		},
		Errors: sessionErrors,
	}
}

// sessionErrors are those of logins, sessions and tickets.
var sessionErrors = []Mapping{
	MapType(func(limit *session.LimitError, err error) *Fault {
		key := "limit.sessions"
		if limit.Limit == "user" {
			key = "limit.user"
		}
		return &Fault{RetryAfter: retryLimit, Cause: err, key: key, args: []any{limit.Live, limit.Max}}
	}),
	MapType(func(leg *login.Continue, _ error) *Fault {
		return NewFault(&types.SSPIChallenge{Base64Token: base64.StdEncoding.EncodeToString(leg.Token.Reveal())}, nil)
	}),
	Map(session.ErrTooManyTickets, Unavailable),
	Map(session.ErrStale, Unavailable), // others were faster each time
	Map(session.ErrBadTicket, Plain[types.InvalidLogin]),
	Map(session.ErrNotAllowed, Plain[types.InvalidLogin]),
	Map(locale.ErrInvalid, Plain[types.InvalidLocale]),
	Map(login.ErrNoAccess, func(err error) *Fault { return NoPermission(RootFolder(), err, View) }),
	Map(login.ErrRejected, Plain[types.InvalidLogin]),
	Map(login.ErrNotMine, Plain[types.InvalidLogin]),
	Map(login.ErrNoCertificate, Plain[types.NoClientCertificate]),
	Map(login.ErrNoSubject, Plain[types.NoSubjectName]),
	Map(login.ErrBadCertificate, Plain[types.InvalidClientCertificate]),
	Map(login.ErrBusy, Busy),
	Map(login.ErrRemote, Plain[types.InvalidRequest]),
	Map(login.ErrCannotGive, Plain[types.NotSupported]),
	MapType(func(invalid *setting.InvalidError, err error) *Fault { return InvalidArgument(invalid.Name, err) }),
}

// enter is the end of every way in: it makes the session and its answer.
func (a *API) enter(ctx context.Context, c *Call, credential login.Credential, wanted string) (Result, error) {
	c.actor(event.By(credential.Claims()))
	ticket := login.TicketOf(credential, a.Gate.DefaultDomain())
	if ticket != "" {
		c.uses(ticket)
	}
	l, token, err := a.Gate.Login(ctx, login.Attempt{Credential: credential, Locale: wanted, Peer: *c.Peer}, c.Session)
	if err != nil {
		return Result{}, err
	}
	s := l.Session()
	c.actor(s.Actor())
	c.Note("started", s.Key.String())
	c.Note("method", s.Method)
	if ticket == "" && s.Method == login.LocalMethod {
		c.uses(login.LocalKind)
	}
	return Result{Value: userSession(l), Token: token}, nil
}

// maxClaim is how much of a name is held while its login waits for its turn, in bytes:
// more than a line of the log shows, and more than any principal's name has. What
// strangers send is counted only until it is decoded.
const maxClaim = 1025

// claimed cuts a name in the arguments of a login that is too long to be anybody's.
func claimed(name *string) string {
	if len(*name) > maxClaim {
		*name = strings.Clone((*name)[:maxClaim]) // a copy lets go of the rest
	}
	return *name
}

func (a *API) login(ctx context.Context, c *Call, r *types.LoginRequestType) (Result, error) {
	return a.enter(ctx, c, login.Password{User: claimed(&r.UserName), Secret: secret.New(r.Password)}, r.Locale)
}

func noKerberos(error) *Fault { return NotSupported("no Kerberos service is configured") }

func (a *API) loginBySSPI(ctx context.Context, c *Call, r *types.LoginBySSPIRequestType) (Result, error) {
	token, err := base64.StdEncoding.DecodeString(r.Base64Token)
	if err != nil {
		return Result{}, InvalidArgument("base64Token", err)
	}
	return a.enter(ctx, c, login.SSPI{Token: secret.NewBytes(token)}, r.Locale)
}

// loginByToken answers InvalidLogin where no issuer is trusted: no token is
// good then.
func (a *API) loginByToken(ctx context.Context, c *Call, r *types.LoginByTokenRequestType) (Result, error) {
	return a.enter(ctx, c, login.Assertion{
		Authorization: c.Proof.Authorization, Method: c.HTTP.Method, Host: c.HTTP.Host, Target: c.HTTP.Target,
		Body: c.Proof.Body, Security: c.Proof.Security, Message: c.Proof.Message,
	}, r.Locale)
}

// loginExtension was withdrawn in API 5.0.
func (a *API) loginExtension(_ context.Context, c *Call, r *LoginExtensionRequestType) error {
	c.actor(event.By(r.ExtensionKey))
	return NotSupported("withdrawn since API 5.0")
}

func (a *API) loginExtensionByCertificate(ctx context.Context, c *Call, r *types.LoginExtensionByCertificateRequestType) (Result, error) {
	return a.enter(ctx, c, login.ExtensionCertificate{Key: claimed(&r.ExtensionKey)}, r.Locale)
}

func (a *API) loginExtensionBySubjectName(ctx context.Context, c *Call, r *types.LoginExtensionBySubjectNameRequestType) (Result, error) {
	return a.enter(ctx, c, login.ExtensionSubject{Key: claimed(&r.ExtensionKey)}, r.Locale)
}

func (a *API) cloneSession(ctx context.Context, c *Call, r *types.CloneSessionRequestType) (Result, error) {
	return a.enter(ctx, c, login.CloneTicket{Ticket: secret.New(r.CloneTicket)}, "")
}

func (a *API) acquireCloneTicket(ctx context.Context, c *Call, _ *types.AcquireCloneTicketRequestType) (string, error) {
	ticket, err := a.Sessions.AcquireCloneTicket(ctx, c.Session)
	return ticket.Reveal(), err
}

func (a *API) acquireLocalTicket(ctx context.Context, c *Call, r *types.AcquireLocalTicketRequestType) (types.SessionManagerLocalTicket, error) {
	c.actor(event.By(r.UserName))
	if a.LocalTickets == nil {
		return types.SessionManagerLocalTicket{}, NotSupported("local tickets are switched off")
	}
	t, err := a.LocalTickets.Issue(ctx, *c.Peer, r.UserName)
	if err != nil {
		return types.SessionManagerLocalTicket{}, err
	}
	return types.SessionManagerLocalTicket{UserName: t.User, PasswordFilePath: t.Path}, nil
}

func (a *API) logout(ctx context.Context, c *Call, _ *types.LogoutRequestType) error {
	return a.Sessions.End(ctx, c.Session, session.Logout(c.Session.Session()))
}

func (a *API) setLocale(ctx context.Context, c *Call, r *types.SetLocaleRequestType) error {
	choice, err := a.Gate.Locale(r.Locale)
	if err != nil {
		return err
	}
	return a.Sessions.Update(ctx, c.Session, func(s *session.Session) ([]store.Change, error) {
		s.Locale, s.MessageLocale = choice.Locale, choice.MessageLocale
		return nil, nil
	})
}

// terminateSession ends the sessions in the order given, up to the first that
// can't be ended.
func (a *API) terminateSession(ctx context.Context, c *Call, r *types.TerminateSessionRequestType) error {
	own := c.Session.Session()
	for _, key := range r.SessionId {
		if key == own.Key.String() {
			return InvalidArgument("sessionId", errors.New("a session can't terminate itself"))
		}
		l, err := a.Sessions.Lookup(ctx, key)
		if errors.Is(err, session.ErrNoSession) {
			return NewFault(&types.NotFound{}, err)
		} else if err != nil {
			return err
		}
		s := l.Session()
		if err := a.Sessions.End(ctx, l, session.Terminated(s, own.Actor())); errors.Is(err, session.ErrNoSession) {
			return NewFault(&types.NotFound{}, err)
		} else if err != nil {
			return err
		}
		c.Note("terminated", key)
	}
	return nil
}

func (a *API) sessionIsActive(ctx context.Context, _ *Call, r *types.SessionIsActiveRequestType) (bool, error) {
	l, err := a.Sessions.Lookup(ctx, r.SessionID)
	if errors.Is(err, session.ErrNoSession) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return a.names(r.UserName, l.Identity()), nil
}

func (a *API) updateServiceMessage(ctx context.Context, c *Call, r *types.UpdateServiceMessageRequestType) error {
	s := c.Session.Session()
	return a.Settings.SetMessage(ctx, s.Actor(), r.Message)
}

func (a *API) currentSession(_ context.Context, c *Call) (*types.UserSession, error) {
	if c.Session == nil {
		return nil, nil
	}
	return new(userSession(c.Session)), nil
}

// sessionList yields what lives when its turn comes: sessions that end while the
// list is written may be missing from it.
func (a *API) sessionList(ctx context.Context, c *Call) (iter.Seq[types.UserSession], error) {
	if err := a.Work(ctx, c, a.Sessions.Size()); err != nil {
		return nil, err
	}
	all := a.Sessions.List()
	if fault := a.Answer(c, 8*int64(len(all))); fault != nil {
		return nil, fault
	}
	return func(yield func(types.UserSession) bool) {
		for _, l := range all {
			if !a.Sessions.Alive(l) {
				continue
			}
			if !yield(userSession(l)) {
				return
			}
		}
	}, nil
}

func (a *API) message(context.Context, *Call) (string, error) { return a.Settings.Message(), nil }

func (a *API) defaultLocale(context.Context, *Call) (string, error) {
	return a.Gate.DefaultLocale(), nil
}

func (a *API) messageLocaleList(context.Context, *Call) ([]string, error) {
	return locale.Messages(), nil
}

func (a *API) supportedLocaleList(context.Context, *Call) ([]string, error) {
	return locale.Supported(), nil
}

func (a *API) sessionsChanged(*Call) <-chan struct{} { return a.Sessions.Changed() }
func (a *API) ownSessionChanged(c *Call) <-chan struct{} {
	if c.Session == nil {
		return nil
	}
	return a.Sessions.ChangedOne(c.Session)
}
func (a *API) settingsChanged(*Call) <-chan struct{} { return a.Settings.Changed() }
