package sessionmanager

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/local"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// enter is the common part of all login methods: it starts the session and returns it.
func (m *manager) enter(
	ctx context.Context, c *vim.Call, credential login.Credential, wanted string,
) (vim.Result, error) {
	c.SetActor(event.By(m.Gate.Claimed(credential)))
	if why := m.absent(credential); why != "" {
		return vim.Result{}, vim.NotSupported(why)
	}
	ticket := login.TicketOf(credential, m.domain.DefaultDomain())
	if ticket != "" {
		c.UsesTicket(ticket)
	}
	l, token, err := m.Gate.Login(ctx, login.Attempt{Credential: credential, Locale: wanted, Peer: *c.Peer}, c.Session)
	if err != nil {
		return vim.Result{}, err
	}
	s := l.Session()
	c.SetActor(s.Actor())
	c.Note("started", s.Key.String())
	c.Note("method", s.Method)
	if ticket == "" && s.Method == local.Method {
		c.UsesTicket(login.LocalKind)
	}
	return vim.Result{Value: userSession(l), Token: token}, nil
}

// absent returns the reason why the way in does not exist at the front, or "" if it exists.
func (m *manager) absent(credential login.Credential) string {
	if m.Front == nil {
		return ""
	}
	switch credential.(type) {
	case login.ExtensionCertificate, login.ExtensionSubject:
		return "extensions don't log in to a front"
	case login.Assertion, login.SSPI:
		if m.Front.PassThrough {
			return "this front passes on names and passwords only"
		}
	}
	return ""
}

// maxClaim is how many bytes of a name are kept while its login waits for its turn: more than a line of
// the log shows, and more than the name of any principal has. The memory of a request is counted only
// until it is decoded.
const maxClaim = 1025

// claimed cuts a name in the arguments of a login that is longer than the name of any principal.
func claimed(name *string) string {
	if len(*name) > maxClaim {
		*name = strings.Clone((*name)[:maxClaim]) // a copy, so that the rest can be freed
	}
	return *name
}

func (m *manager) login(ctx context.Context, c *vim.Call, r *types.LoginRequestType) (vim.Result, error) {
	return m.enter(ctx, c, login.Password{User: claimed(&r.UserName), Secret: secret.New(r.Password)}, r.Locale)
}

func noKerberos(error) *vim.Fault { return vim.NotSupported("no Kerberos service is configured") }

func (m *manager) loginBySSPI(ctx context.Context, c *vim.Call, r *types.LoginBySSPIRequestType) (vim.Result, error) {
	token, err := base64.StdEncoding.DecodeString(r.Base64Token)
	if err != nil {
		return vim.Result{}, vim.InvalidArgument("base64Token", err)
	}
	return m.enter(ctx, c, login.SSPI{Token: secret.NewBytes(token)}, r.Locale)
}

// loginByToken answers InvalidLogin if no issuer is trusted, because no token is valid then.
func (m *manager) loginByToken(ctx context.Context, c *vim.Call, r *types.LoginByTokenRequestType) (vim.Result, error) {
	return m.enter(ctx, c, login.Assertion{
		Authorization: c.Proof.Authorization, Method: c.HTTP.Method, Host: c.HTTP.Host, Target: c.HTTP.Target,
		Body: c.Proof.Body, Security: c.Proof.Security, Message: c.Proof.Message,
	}, r.Locale)
}

// loginExtension answers NotSupported: the API withdrew the method in version 5.0.
func (m *manager) loginExtension(_ context.Context, c *vim.Call, r *LoginExtensionRequestType) error {
	c.SetActor(event.By(r.ExtensionKey))
	return vim.NotSupported("withdrawn since API 5.0")
}

func (m *manager) loginExtensionByCertificate(
	ctx context.Context, c *vim.Call, r *types.LoginExtensionByCertificateRequestType,
) (vim.Result, error) {
	return m.enter(ctx, c, login.ExtensionCertificate{Key: claimed(&r.ExtensionKey)}, r.Locale)
}

func (m *manager) loginExtensionBySubjectName(
	ctx context.Context, c *vim.Call, r *types.LoginExtensionBySubjectNameRequestType,
) (vim.Result, error) {
	return m.enter(ctx, c, login.ExtensionSubject{Key: claimed(&r.ExtensionKey)}, r.Locale)
}

func (m *manager) cloneSession(ctx context.Context, c *vim.Call, r *types.CloneSessionRequestType) (vim.Result, error) {
	return m.enter(ctx, c, login.CloneTicket{Ticket: secret.New(r.CloneTicket)}, "")
}
