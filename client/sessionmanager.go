package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vmware/govmomi/vim25/types"
)

// Signer adds a security token to the request of a LoginByToken, in the header `Authorization: SIGN
// token="…"`. A holder-of-key token needs a signature over the request's body, which the Signer
// gets from req.GetBody. The type Signer in govmomi's package sts implements this interface.
type Signer interface {
	SignRequest(req *http.Request) error
}

// SignerFunc is a function that implements [Signer].
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

// method calls a method of the session manager that has a result.
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

// property reads a property of the session manager. It returns nil if the property is unset.
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

// required reads a property that is always set. It returns ErrNoValue if it is unset.
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

// list reads a property that is a list. It returns nil if the property is unset.
func list[T any](ctx context.Context, c *Client, name string) ([]T, error) {
	res, err := property[[]T](ctx, c, name)
	if err != nil || res == nil {
		return nil, err
	}
	return *res, nil
}

// AcquireCloneTicket returns a one-time ticket. Another client that calls [Client.CloneSession]
// with it gets a session of the same user. The ticket is a secret.
func (c *Client) AcquireCloneTicket(ctx context.Context) (string, error) {
	ticket, err := method[string](ctx, c, "AcquireCloneTicket", nil, call{})
	if err != nil {
		return "", err
	}
	return *ticket, nil
}

// AcquireGenericServiceTicket returns a one-time ticket for one request to the service that spec
// names: a *types.SessionManagerHttpServiceRequestSpec or a
// *types.SessionManagerVmomiServiceRequestSpec. The Id of the ticket is a secret.
func (c *Client) AcquireGenericServiceTicket(
	ctx context.Context, spec types.BaseSessionManagerServiceRequestSpec,
) (*types.SessionManagerGenericServiceTicket, error) {
	req := &types.AcquireGenericServiceTicket{Spec: spec}
	return method[types.SessionManagerGenericServiceTicket](ctx, c, "AcquireGenericServiceTicket", req, call{})
}

// AcquireLocalTicket makes the server write a one-time password for an account of its operating
// system to a file. It returns the file's path. A Login with the user name and the password in the
// file uses up the ticket. The caller must run on the same machine as the server.
func (c *Client) AcquireLocalTicket(ctx context.Context, userName string) (*types.SessionManagerLocalTicket, error) {
	req := &types.AcquireLocalTicket{UserName: userName}
	return method[types.SessionManagerLocalTicket](ctx, c, "AcquireLocalTicket", req, call{})
}

// CloneSession logs in with a ticket from AcquireCloneTicket.
func (c *Client) CloneSession(ctx context.Context, ticket string) (*types.UserSession, error) {
	req := &types.CloneSession{CloneTicket: ticket}
	return method[types.UserSession](ctx, c, "CloneSession", req, call{secrets: []string{ticket}})
}

// CurrentSession returns the client's session. It returns nil if the client is anonymous or if its
// session has ended.
func (c *Client) CurrentSession(ctx context.Context) (*types.UserSession, error) {
	return property[types.UserSession](ctx, c, "currentSession")
}

// DefaultLocale returns the locale of sessions that don't ask for one.
func (c *Client) DefaultLocale(ctx context.Context) (string, error) {
	return required[string](ctx, c, "defaultLocale")
}

// Message returns the server's message to all users, or "" if there is none.
func (c *Client) Message(ctx context.Context) (string, error) {
	message, err := property[string](ctx, c, "message")
	if err != nil || message == nil {
		return "", err
	}
	return *message, nil
}

// MessageLocaleList returns the locales for which the server has translated messages.
func (c *Client) MessageLocaleList(ctx context.Context) ([]string, error) {
	return list[string](ctx, c, "messageLocaleList")
}

// SessionList returns all live sessions of the server.
func (c *Client) SessionList(ctx context.Context) ([]types.UserSession, error) {
	return list[types.UserSession](ctx, c, "sessionList")
}

// SupportedLocaleList returns the locales that a session can use.
func (c *Client) SupportedLocaleList(ctx context.Context) ([]string, error) {
	return list[string](ctx, c, "supportedLocaleList")
}

// ImpersonateUser makes the session act as another user. If locale is empty, the server chooses
// one.
func (c *Client) ImpersonateUser(ctx context.Context, userName, locale string) (*types.UserSession, error) {
	req := &types.ImpersonateUser{UserName: userName, Locale: locale}
	return method[types.UserSession](ctx, c, "ImpersonateUser", req, call{})
}

// Login logs in with a user name and a password. If locale is empty, the server chooses one; this
// holds for all logins.
func (c *Client) Login(ctx context.Context, userName, password, locale string) (*types.UserSession, error) {
	req := &types.Login{UserName: userName, Password: password, Locale: locale}
	return method[types.UserSession](ctx, c, "Login", req, call{secrets: []string{password}})
}

// LoginBySSPI logs in with a base64-encoded GSSAPI or SSPI token. If the mechanism needs another
// step, the error is a types.SSPIChallenge with the server's token; pass the reply to the next
// call.
func (c *Client) LoginBySSPI(ctx context.Context, base64Token, locale string) (*types.UserSession, error) {
	req := &types.LoginBySSPI{Base64Token: base64Token, Locale: locale}
	return method[types.UserSession](ctx, c, "LoginBySSPI", req, call{secrets: []string{base64Token}})
}

// LoginByToken logs in with a SAML token that the Signer adds to the request.
func (c *Client) LoginByToken(ctx context.Context, sign Signer, locale string) (*types.UserSession, error) {
	if sign == nil {
		return nil, callError("SessionManager.LoginByToken", errors.New("no signer"))
	}
	req := &types.LoginByToken{Locale: locale}
	return method[types.UserSession](ctx, c, "LoginByToken", req, call{sign: sign})
}

// LoginExtension logs in an extension with signed credentials. Servers return a NotSupported fault
// since release 5.0 of the API.
func (c *Client) LoginExtension(ctx context.Context, extensionKey, base64SignedCredentials, locale string) error {
	// vim25/types no longer has the type of this request.
	req := struct {
		ExtensionKey string `json:"extensionKey"`
		Credentials  string `json:"base64SignedCredentials"`
		Locale       string `json:"locale,omitempty"`
	}{extensionKey, base64SignedCredentials, locale}
	return c.void(ctx, "LoginExtension", req, call{secrets: []string{base64SignedCredentials}})
}

// LoginExtensionByCertificate logs in an extension by the certificate that is registered for it.
// [TLS].Certificate must be that certificate.
func (c *Client) LoginExtensionByCertificate(
	ctx context.Context, extensionKey, locale string,
) (*types.UserSession, error) {
	req := &types.LoginExtensionByCertificate{ExtensionKey: extensionKey, Locale: locale}
	return method[types.UserSession](ctx, c, "LoginExtensionByCertificate", req, call{})
}

// LoginExtensionBySubjectName logs in an extension by the subject name of
// [TLS].Certificate.
func (c *Client) LoginExtensionBySubjectName(
	ctx context.Context, extensionKey, locale string,
) (*types.UserSession, error) {
	req := &types.LoginExtensionBySubjectName{ExtensionKey: extensionKey, Locale: locale}
	return method[types.UserSession](ctx, c, "LoginExtensionBySubjectName", req, call{})
}

// SessionIsActive reports whether the session with the given key is alive and belongs to the user.
// The key of a session is not its token.
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

// TerminateSession ends the sessions with the given keys, in order. It stops at the first session
// that it can't end.
func (c *Client) TerminateSession(ctx context.Context, sessionIDs ...string) error {
	return c.void(ctx, "TerminateSession", &types.TerminateSession{SessionId: sessionIDs}, call{})
}

// UpdateServiceMessage changes the server's message to all users. An empty message removes it.
func (c *Client) UpdateServiceMessage(ctx context.Context, message string) error {
	return c.void(ctx, "UpdateServiceMessage", &types.UpdateServiceMessage{Message: message}, call{})
}
