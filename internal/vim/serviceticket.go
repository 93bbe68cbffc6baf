package vim

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// httpMethods are the values of SessionManagerHttpServiceRequestSpecMethod and
// the HTTP methods that they stand for. Unset: any.
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

// acquireGenericServiceTicket issues a ticket for one HTTP request, or one that
// clones the session.
func (a *API) acquireGenericServiceTicket(ctx context.Context, c *Call, r *types.AcquireGenericServiceTicketRequestType) (types.SessionManagerGenericServiceTicket, error) {
	t := types.SessionManagerGenericServiceTicket{
		TicketType:    string(types.SessionManagerGenericServiceTicketTicketTypeVcServiceTicket),
		HostName:      a.Server.HostName,
		SslThumbprint: a.Server.SHA1(),
		CertThumbprintList: []types.VirtualMachineCertThumbprint{
			{Thumbprint: a.Server.SHA256(), HashAlgorithm: string(types.VirtualMachineCertThumbprintHashAlgorithmSha256)},
		},
	}
	var err error
	switch spec := r.Spec.(type) {
	case *types.SessionManagerHttpServiceRequestSpec:
		t.Id, err = a.httpTicket(ctx, c, spec)
	case *types.SessionManagerVmomiServiceRequestSpec:
		t.Id, err = a.vmomiTicket(ctx, c, spec)
	default:
		err = InvalidArgument("spec", errors.New("a kind of service that tickets are not issued for"))
	}
	return t, err
}

func (a *API) httpTicket(ctx context.Context, c *Call, spec *types.SessionManagerHttpServiceRequestSpec) (string, error) {
	m, ok := httpMethods[spec.Method]
	if !ok {
		return "", InvalidArgument("spec.method", errors.New("not an HTTP method of the API"))
	}
	u, err := url.Parse(spec.Url)
	if err != nil || len(spec.Url) > 8192 || u.Opaque != "" || !strings.HasPrefix(u.EscapedPath(), "/") {
		return "", InvalidArgument("spec.url", errors.New("not an absolute URL or path"))
	}
	ticket, err := a.Sessions.AcquireHTTPTicket(ctx, c.Session, m, u.RequestURI())
	return ticket.Reveal(), err
}

// vmomiTicket is for the one method that such tickets exist for. The ticket is
// then a clone ticket.
func (a *API) vmomiTicket(ctx context.Context, c *Call, spec *types.SessionManagerVmomiServiceRequestSpec) (string, error) {
	const prefix = "vim.sessionmanager."
	if name := strings.TrimPrefix(strings.ToLower(spec.Method), prefix); name != "clonesession" {
		return "", InvalidArgument("spec.method", errors.New("only cloneSession"))
	}
	if c.Session == nil {
		return "", NotAuthenticated(c.Object, View)
	}
	return a.acquireCloneTicket(ctx, c, nil)
}
