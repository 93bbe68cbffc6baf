package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vmware/govmomi/vim25/types"
)

// Signer puts the proof of a security token on a request, for LoginByToken:
// `Authorization: SIGN token="…"`, for a bearer or a holder-of-key token. The
// request's body, which a signature covers, is to be had from GetBody.
// The Signer of govmomi's package sts is one.
type Signer interface {
	SignRequest(req *http.Request) error
}

// SignerFunc makes a function a [Signer].
type SignerFunc func(req *http.Request) error

// SignRequest calls f.
func (f SignerFunc) SignRequest(req *http.Request) error { return f(req) }

func callError(operation string, err error) error {
	return fmt.Errorf("call %s: %w", operation, err)
}

func (c *Client) sessionManager(ctx context.Context) (types.ManagedObjectReference, error) {
	content, err := c.serviceContent(ctx)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	if content.SessionManager == nil {
		return types.ManagedObjectReference{}, callError("ServiceInstance.content",
			fmt.Errorf("no session manager: %w", ErrNoValue))
	}
	return *content.SessionManager, nil
}

// method calls a method of the session manager for its result.
func method[T any](ctx context.Context, c *Client, name string, req any, opt call) (*T, error) {
	ref, err := c.sessionManager(ctx)
	if err != nil {
		return nil, err
	}
	var res *T
	if err := c.invoke(ctx, ref, name, req, &res, opt); err != nil {
		return nil, err
	}
	if res == nil {
		return nil, callError("SessionManager."+name, ErrNoValue)
	}
	return res, nil
}

// void calls a method of the session manager that has no result.
func (c *Client) void(ctx context.Context, name string, req any, opt call) error {
	ref, err := c.sessionManager(ctx)
	if err != nil {
		return err
	}
	return c.invoke(ctx, ref, name, req, nil, opt)
}

// property reads a property of the session manager; nil where it is unset.
func property[T any](ctx context.Context, c *Client, name string) (*T, error) {
	ref, err := c.sessionManager(ctx)
	if err != nil {
		return nil, err
	}
	var res *T
	if err := c.Property(ctx, ref, name, &res); err != nil {
		return nil, err
	}
	return res, nil
}

// required is property for one that is never unset.
func required[T any](ctx context.Context, c *Client, name string) (T, error) {
	res, err := property[T](ctx, c, name)
	if err == nil && res == nil {
		err = callError("SessionManager."+name, ErrNoValue)
	}
	if err != nil {
		var none T
		return none, err
	}
	return *res, nil
}

// list is property for a list; unset is as good as empty.
func list[T any](ctx context.Context, c *Client, name string) ([]T, error) {
	res, err := property[[]T](ctx, c, name)
	if err != nil || res == nil {
		return nil, err
	}
	return *res, nil
}

// AcquireCloneTicket returns a one-time ticket with which [Client.CloneSession]
// of another client gets a session like this one. It is a secret.
func (c *Client) AcquireCloneTicket(ctx context.Context) (string, error) {
	ticket, err := method[string](ctx, c, "AcquireCloneTicket", nil, call{})
	if err != nil {
		return "", err
	}
	return *ticket, nil
}

// AcquireGenericServiceTicket returns a one-time ticket for one request to the
// service that spec names: a *types.SessionManagerHttpServiceRequestSpec or a
// *types.SessionManagerVmomiServiceRequestSpec. Its Id is a secret.
func (c *Client) AcquireGenericServiceTicket(ctx context.Context, spec types.BaseSessionManagerServiceRequestSpec) (*types.SessionManagerGenericServiceTicket, error) {
	req := &types.AcquireGenericServiceTicket{Spec: spec}
	return method[types.SessionManagerGenericServiceTicket](ctx, c, "AcquireGenericServiceTicket", req, call{})
}

// AcquireLocalTicket has the server write a one-time password for an account of
// its operating system to a file, and returns the file's path. Login with that
// name and the file's content spends it. Only for callers on the server itself.
func (c *Client) AcquireLocalTicket(ctx context.Context, userName string) (*types.SessionManagerLocalTicket, error) {
	req := &types.AcquireLocalTicket{UserName: userName}
	return method[types.SessionManagerLocalTicket](ctx, c, "AcquireLocalTicket", req, call{})
}

// CloneSession logs in with a ticket of AcquireCloneTicket.
func (c *Client) CloneSession(ctx context.Context, ticket string) (*types.UserSession, error) {
	req := &types.CloneSession{CloneTicket: ticket}
	return method[types.UserSession](ctx, c, "CloneSession", req, call{secrets: []string{ticket}})
}

// CurrentSession returns the session of the client, nil where it is anonymous or
// its session has ended.
func (c *Client) CurrentSession(ctx context.Context) (*types.UserSession, error) {
	return property[types.UserSession](ctx, c, "currentSession")
}

// DefaultLocale returns the locale of sessions that ask for none.
func (c *Client) DefaultLocale(ctx context.Context) (string, error) {
	return required[string](ctx, c, "defaultLocale")
}

// Message returns the server's message to all of its users, "" for none.
func (c *Client) Message(ctx context.Context) (string, error) {
	message, err := property[string](ctx, c, "message")
	if err != nil || message == nil {
		return "", err
	}
	return *message, nil
}

// MessageLocaleList returns the locales that the server has messages in.
func (c *Client) MessageLocaleList(ctx context.Context) ([]string, error) {
	return list[string](ctx, c, "messageLocaleList")
}

// SessionList returns all live sessions of the server.
func (c *Client) SessionList(ctx context.Context) ([]types.UserSession, error) {
	return list[types.UserSession](ctx, c, "sessionList")
}

// SupportedLocaleList returns the locales that a session can have.
func (c *Client) SupportedLocaleList(ctx context.Context) ([]string, error) {
	return list[string](ctx, c, "supportedLocaleList")
}

// ImpersonateUser makes the session act as another user. An empty locale leaves
// the choice to the server, here and in the logins.
func (c *Client) ImpersonateUser(ctx context.Context, userName, locale string) (*types.UserSession, error) {
	req := &types.ImpersonateUser{UserName: userName, Locale: locale}
	return method[types.UserSession](ctx, c, "ImpersonateUser", req, call{})
}

// Login logs in with a name and a password.
func (c *Client) Login(ctx context.Context, userName, password, locale string) (*types.UserSession, error) {
	req := &types.Login{UserName: userName, Password: password, Locale: locale}
	return method[types.UserSession](ctx, c, "Login", req, call{secrets: []string{password}})
}

// LoginBySSPI logs in with a GSSAPI or SSPI token, in base64. Where the exchange
// takes another leg the error is a types.SSPIChallenge with the server's token;
// the next call carries the answer to it.
func (c *Client) LoginBySSPI(ctx context.Context, base64Token, locale string) (*types.UserSession, error) {
	req := &types.LoginBySSPI{Base64Token: base64Token, Locale: locale}
	return method[types.UserSession](ctx, c, "LoginBySSPI", req, call{secrets: []string{base64Token}})
}

// LoginByToken logs in with a SAML token, which sign puts on the request.
func (c *Client) LoginByToken(ctx context.Context, sign Signer, locale string) (*types.UserSession, error) {
	if sign == nil {
		return nil, callError("SessionManager.LoginByToken", errors.New("no signer"))
	}
	req := &types.LoginByToken{Locale: locale}
	return method[types.UserSession](ctx, c, "LoginByToken", req, call{sign: sign})
}

// LoginExtension logs in an extension by signed credentials. Servers answer with
// a NotSupported fault since release 5.0 of the API.
func (c *Client) LoginExtension(ctx context.Context, extensionKey, base64SignedCredentials, locale string) error {
	// vim25/types has dropped this request.
	req := struct {
		ExtensionKey string `json:"extensionKey"`
		Credentials  string `json:"base64SignedCredentials"`
		Locale       string `json:"locale,omitempty"`
	}{extensionKey, base64SignedCredentials, locale}
	return c.void(ctx, "LoginExtension", req, call{secrets: []string{base64SignedCredentials}})
}

// LoginExtensionByCertificate logs in an extension by the certificate that is
// registered for it, which is that of [TLS].Certificate.
func (c *Client) LoginExtensionByCertificate(ctx context.Context, extensionKey, locale string) (*types.UserSession, error) {
	req := &types.LoginExtensionByCertificate{ExtensionKey: extensionKey, Locale: locale}
	return method[types.UserSession](ctx, c, "LoginExtensionByCertificate", req, call{})
}

// LoginExtensionBySubjectName logs in an extension by the subject name of
// [TLS].Certificate.
func (c *Client) LoginExtensionBySubjectName(ctx context.Context, extensionKey, locale string) (*types.UserSession, error) {
	req := &types.LoginExtensionBySubjectName{ExtensionKey: extensionKey, Locale: locale}
	return method[types.UserSession](ctx, c, "LoginExtensionBySubjectName", req, call{})
}

// SessionIsActive reports whether the session with that key, which is not its
// token, is live and that user's.
func (c *Client) SessionIsActive(ctx context.Context, sessionID, userName string) (bool, error) {
	req := &types.SessionIsActive{SessionID: sessionID, UserName: userName}
	active, err := method[bool](ctx, c, "SessionIsActive", req, call{})
	if err != nil {
		return false, err
	}
	return *active, nil
}

// SetLocale changes the session's locale.
func (c *Client) SetLocale(ctx context.Context, locale string) error {
	return c.void(ctx, "SetLocale", &types.SetLocale{Locale: locale}, call{})
}

// TerminateSession ends the sessions with these keys, in order, up to the first
// that can't be ended.
func (c *Client) TerminateSession(ctx context.Context, sessionIDs ...string) error {
	return c.void(ctx, "TerminateSession", &types.TerminateSession{SessionId: sessionIDs}, call{})
}

// UpdateServiceMessage changes the server's message to all of its users; ""
// clears it.
func (c *Client) UpdateServiceMessage(ctx context.Context, message string) error {
	return c.void(ctx, "UpdateServiceMessage", &types.UpdateServiceMessage{Message: message}, call{})
}
