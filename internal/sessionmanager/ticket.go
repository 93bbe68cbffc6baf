package sessionmanager

import (
	"context"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/vim"
)

func (m *manager) acquireCloneTicket(
	ctx context.Context, c *vim.Call, _ *types.AcquireCloneTicketRequestType,
) (string, error) {
	ticket, err := m.domain.Sessions.AcquireCloneTicket(ctx, c.Session)
	return ticket.Reveal(), err
}

func (m *manager) acquireLocalTicket(
	ctx context.Context, c *vim.Call, r *types.AcquireLocalTicketRequestType,
) (types.SessionManagerLocalTicket, error) {
	c.SetActor(event.By(r.UserName))
	if m.LocalTickets == nil {
		return types.SessionManagerLocalTicket{}, vim.NotSupported("local tickets are switched off")
	}
	t, err := m.LocalTickets.Issue(ctx, *c.Peer, r.UserName)
	if err != nil {
		return types.SessionManagerLocalTicket{}, err
	}
	return types.SessionManagerLocalTicket{UserName: t.User, PasswordFilePath: t.Path}, nil
}

// httpMethods maps the values of SessionManagerHttpServiceRequestSpecMethod to HTTP methods. An unset
// value stands for any method.
var httpMethods = map[string]string{
	"":            "",
	"httpOptions": "OPTIONS",
	"httpGet":     "GET",
	"httpHead":    "HEAD",
	"httpPost":    "POST",
	"httpPut":     "PUT",
	"httpDelete":  "DELETE",
	"httpTrace":   "TRACE",
	"httpConnect": "CONNECT",
}

// acquireGenericServiceTicket issues a ticket for one HTTP request, or a clone ticket.
func (m *manager) acquireGenericServiceTicket(
	ctx context.Context, c *vim.Call, r *types.AcquireGenericServiceTicketRequestType,
) (types.SessionManagerGenericServiceTicket, error) {
	t := types.SessionManagerGenericServiceTicket{
		TicketType:    string(types.SessionManagerGenericServiceTicketTicketTypeVcServiceTicket),
		HostName:      m.HostName,
		SslThumbprint: m.SHA1(),
		CertThumbprintList: []types.VirtualMachineCertThumbprint{
			{
				Thumbprint:    m.SHA256(),
				HashAlgorithm: string(types.VirtualMachineCertThumbprintHashAlgorithmSha256),
			},
		},
	}
	var err error
	switch spec := r.Spec.(type) {
	case *types.SessionManagerHttpServiceRequestSpec:
		t.Id, err = m.httpTicket(ctx, c, spec)
	case *types.SessionManagerVmomiServiceRequestSpec:
		t.Id, err = m.vmomiTicket(ctx, c, spec)
	default:
		err = vim.BadArgument("spec", "is of a kind of service that tickets are not issued for", nil)
	}
	return t, err
}

func (m *manager) httpTicket(
	ctx context.Context, c *vim.Call, spec *types.SessionManagerHttpServiceRequestSpec,
) (string, error) {
	method, ok := httpMethods[spec.Method]
	if !ok {
		return "", vim.BadArgument("spec.method", "is not an HTTP method of the API", nil)
	}
	u, err := url.Parse(spec.Url)
	if err != nil || len(spec.Url) > 8192 || u.Opaque != "" || !strings.HasPrefix(u.EscapedPath(), "/") {
		return "", vim.BadArgument("spec.url", "is not an absolute URL or path", nil)
	}
	ticket, err := m.domain.Sessions.AcquireHTTPTicket(ctx, c.Session, method, u.RequestURI())
	return ticket.Reveal(), err
}

// vmomiTicket issues a ticket for a method of the API. CloneSession is the only method for which such
// tickets exist, so the ticket is a clone ticket.
func (m *manager) vmomiTicket(
	ctx context.Context, c *vim.Call, spec *types.SessionManagerVmomiServiceRequestSpec,
) (string, error) {
	const prefix = "vim.sessionmanager."
	if name := strings.TrimPrefix(strings.ToLower(spec.Method), prefix); name != "clonesession" {
		return "", vim.BadArgument("spec.method", "is not cloneSession, the only method with tickets", nil)
	}
	if c.Session == nil {
		return "", vim.NotAuthenticated(c.Object, vim.View)
	}
	return m.acquireCloneTicket(ctx, c, nil)
}
