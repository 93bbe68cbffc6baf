package binding

import (
	"context"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// Dispatcher is the part of *vim.API that bindings use.
type Dispatcher interface {
	Objects() []*vim.Object
	Method(types.ManagedObjectReference, string) (*vim.Method, *vim.Fault)
	Property(types.ManagedObjectReference, string) (*vim.Property, *vim.Fault)
	Lookup(context.Context, *vim.Call) *vim.Fault
	TypeOf(context.Context, *vim.Call, string) (string, *vim.Fault)
	Decode(ctx context.Context, c *vim.Call, bytes int) (done func(), _ *vim.Fault)
	Do(context.Context, *vim.Call) (vim.Result, *vim.Fault)
	Wanted(context.Context, *vim.Call) error
	Refuse(context.Context, *vim.Call, *vim.Fault)
	MessageLocale(*vim.Call) string
}

// NewCall creates the call for a request, without its object, operation and arguments. name is the
// binding's name in logs. The session's token comes from the token's header or, if that is missing,
// from the first of the cookies that the request has.
//
// foreign means that a browser sent the request for a page of another origin. The binding must
// refuse it. The call then has no credentials, because their owner did not ask for the request. So
// not even the owner's language is revealed.
func NewCall(r *http.Request, name string, cookies ...string) (c vim.Call, foreign bool) {
	c = vim.Call{
		Peer:           peer.From(r.Context()),
		HTTP:           vim.HTTPRequest{Method: r.Method, Host: r.Host, Target: r.RequestURI},
		AcceptLanguage: strings.Join(r.Header["Accept-Language"], ","),
		Binding:        name,
	}
	if httptoken.Foreign(r) {
		return c, true
	}
	c.Token = secret.New(httptoken.Token(r.Header, cookies...))
	c.HTTP.Ticket = secret.New(httptoken.Value(r.Header, httptoken.TicketCookie))
	// If there are several, none is used: a proxy might check one of them and the server another.
	if a := r.Header["Authorization"]; len(a) == 1 {
		c.Proof.Authorization = secret.New(a[0])
	}
	return c, false
}

// Encoded reports whether a request's body is compressed or has another encoding that bindings
// don't support.
func Encoded(h http.Header) bool {
	for _, line := range h["Content-Encoding"] {
		for element := range strings.SplitSeq(line, ",") {
			if e := strings.Trim(element, " \t"); e != "" && !strings.EqualFold(e, "identity") {
				return true
			}
		}
	}
	return false
}
