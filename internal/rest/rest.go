// Package rest serves the session resource of the vSphere Automation API in its two forms:
// /api/session, and the older /rest/com/vmware/cis/session, which govmomi uses. POST logs in, GET
// describes the session, and DELETE logs out. A session that was created here is the same as any
// other: its token is valid for all bindings. No other resource of the Automation API is served.
//
// A request names its session in the header or the cookie vmware-api-session-id. The cookie of SOAP
// and service tickets are ignored here: clients that use both APIs send them with every request,
// and a logout from one API must not end the session of the other.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

// The paths of the two forms.
const (
	APIPath  = "/api/session"
	RESTPath = "/rest/com/vmware/cis/session"

	bindingName = "rest"
)

// maxBody is the maximum size of a request's body in bytes. The calls need no body, so it is far
// more than clients send.
const maxBody = 64 << 10

// Mount adds both forms to mux. All bindings must share bodies. schemes are the authentication schemes
// of HTTP by which a login is possible, such as "Basic": see login.Gate.Challenges.
func Mount(mux *http.ServeMux, api *vim.API, bodies *binding.Bodies, schemes []string) {
	h := &handler{api, bodies, challenges(schemes), sessionManager(api)}
	mux.Handle(APIPath, h)
	mux.Handle(RESTPath, h)
	mux.HandleFunc("/api/", notFound)
	mux.HandleFunc("/rest/", notFound)
}

// sessionManager returns the reference of the object that the calls are made to. On a front its id is that
// of the upstream.
func sessionManager(api binding.Dispatcher) types.ManagedObjectReference {
	const typ = "SessionManager"
	for _, o := range api.Objects() {
		if o.Type == typ {
			return o.Ref()
		}
	}
	return types.ManagedObjectReference{Type: typ, Value: typ}
}

// notFound answers a request for a path of the Automation API that is not served.
func notFound(w http.ResponseWriter, r *http.Request) {
	x := &request{w: w, r: r, form: form{wrapped: strings.HasPrefix(r.URL.Path, "/rest/")}}
	x.fail(http.StatusNotFound, "NOT_FOUND", "not_found", "There is nothing at this path.")
}

// handler serves both forms.
type handler struct {
	api        binding.Dispatcher
	bodies     *binding.Bodies
	challenges []string
	manager    types.ManagedObjectReference
}

// ServeHTTP serves one call.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	x := &request{api: h.api, challenges: h.challenges, w: w, r: r, form: form{wrapped: r.URL.Path == RESTPath}}
	var foreign bool
	x.call, foreign = binding.NewCall(r, bindingName, httptoken.APICookie)
	x.call.HTTP.Ticket = secret.Text{}
	x.call.Object, x.call.Release = h.manager, vim.FirstRelease
	body, err := h.bodies.Read(w, r, maxBody)
	defer body.Free()
	switch {
	case errors.Is(err, binding.ErrCrowded):
		x.fault(vim.Unavailable(fmt.Errorf("read request: %w", err)))
		return
	case errors.Is(err, binding.ErrTooLarge):
		x.fail(http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "invalid_argument",
			"The request's body is too large.")
		return
	case err != nil:
		x.fail(http.StatusBadRequest, "INVALID_ARGUMENT", "invalid_argument", "The request's body is incomplete.")
		return
	}
	if foreign {
		x.fail(http.StatusForbidden, "UNAUTHORIZED", "cross_origin",
			"A browser sent this for a page of another origin.")
		return
	}
	action := r.URL.Query().Get("~action")
	isRead := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case r.Method == http.MethodPost && x.wrapped && action == "get", isRead && !x.wrapped:
		x.get(ctx)
	case r.Method == http.MethodPost && action == "":
		x.create(ctx, &body)
	case r.Method == http.MethodPost:
		x.fail(http.StatusNotFound, "OPERATION_NOT_FOUND", "operation_not_found", "There is no such action.")
	case r.Method == http.MethodDelete:
		x.delete(ctx)
	default:
		allow := "GET, HEAD, POST, DELETE"
		if x.wrapped {
			allow = "POST, DELETE"
		}
		w.Header().Set("Allow", allow)
		x.fail(http.StatusMethodNotAllowed, "OPERATION_NOT_FOUND", "method_not_allowed", "There is no such operation.")
	}
}

// form says which of the two forms a request uses. The older form wraps results in an object.
type form struct{ wrapped bool }

// request is one HTTP request and its response.
type request struct {
	form
	api        binding.Dispatcher
	challenges []string
	w          http.ResponseWriter
	r          *http.Request
	call       vim.Call
}

// create logs in with the credential of the Authorization header: Basic, or the proof of a token
// (SIGN, Bearer). It creates a session even if the request names an existing one: clients add the
// id that they have to all requests.
func (x *request) create(ctx context.Context, body *binding.Body) {
	x.call.Token = secret.Text{}
	user, password, isBasic := basic(x.call.Proof.Authorization.Reveal())
	switch {
	case isBasic:
		// A malformed credential counts as a failed login by password without a name.
		body.Free()
		x.call.Proof.Authorization = secret.Text{}
		x.call.Name, x.call.Args = "Login", &types.LoginRequestType{UserName: user, Password: password}
	case !x.call.Proof.Authorization.IsZero():
		x.call.Name, x.call.Args = "LoginByToken", &types.LoginByTokenRequestType{}
		x.call.Proof.Body = secret.NewBytes(body.Bytes)
	default:
		x.unauthenticated("Authentication required.")
		return
	}
	defer x.call.Answered()
	result, fault := x.api.Do(ctx, &x.call)
	if fault != nil {
		x.fault(fault)
		return
	}
	token := result.Token.Reveal()
	if !x.wrapped {
		x.respond(http.StatusCreated, token)
		return
	}
	if cookieWanted(x.r.Header) {
		line := httptoken.APICookie + "=" + token + ";Path=/rest;HttpOnly"
		if x.call.Peer.TLS {
			line += ";Secure"
		}
		x.w.Header().Add("Set-Cookie", line)
	}
	x.respond(http.StatusOK, token)
}

// cookieWanted reports whether a login in the older form sets its cookie. A client that will send
// the token in a header announces that with any value other than false.
func cookieWanted(h http.Header) bool {
	v := h.Get("Vmware-Use-Header-Authn")
	return v == "" || strings.EqualFold(v, "false")
}

// info is the result of GET.
type info struct {
	User     string `json:"user"`
	Created  string `json:"created_time"`
	LastUsed string `json:"last_accessed_time"`
}

// fullName converts a user name to the form of this API, which is Administrator@DOMAIN.
func fullName(name string) string {
	if domain, user, ok := strings.Cut(name, `\`); ok {
		return user + "@" + domain
	}
	return name
}

// timeText formats a time for this API. Its clients accept exactly three digits of fraction.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (x *request) get(ctx context.Context) {
	x.call.Name, x.call.Read = "currentSession", true
	defer x.call.Answered()
	result, fault := x.api.Do(ctx, &x.call)
	if fault != nil {
		x.fault(fault)
		return
	}
	s, ok := result.Value.(*types.UserSession)
	if !ok {
		x.unauthenticated(vim.NotAuthenticated(x.call.Object, vim.View).Text(x.api.MessageLocale(&x.call)))
		return
	}
	x.respond(http.StatusOK, info{fullName(s.UserName), timeText(s.LoginTime), timeText(s.LastActiveTime)})
}

func (x *request) delete(ctx context.Context) {
	x.call.Name, x.call.Args = "Logout", &types.LogoutRequestType{}
	if _, fault := x.api.Do(ctx, &x.call); fault != nil {
		x.fault(fault)
		return
	}
	if x.wrapped {
		x.w.WriteHeader(http.StatusOK)
		return
	}
	x.w.WriteHeader(http.StatusNoContent)
}

// respond sends the value in the request's form.
func (x *request) respond(status int, v any) {
	if x.wrapped {
		v = map[string]any{"value": v}
	}
	x.send(status, v)
}

// send sends a response. All values are strings or objects with strings, so encoding them can't
// fail.
func (x *request) send(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encode response: %w", err))
	}
	binding.Send(x.w, x.r.Method, status, contentJSON, b)
}

var contentJSON = []string{"application/json"}

// fault sends a fault of the vSphere API as an error of the Automation API.
func (x *request) fault(f *vim.Fault) {
	text := f.Text(x.api.MessageLocale(&x.call))
	if f.Detail == nil {
		x.fail(binding.Status(x.w.Header(), f, 0), "SERVICE_UNAVAILABLE", "overloaded", text)
		return
	}
	switch f.Detail.(type) {
	case *types.InvalidLogin, *types.NotAuthenticated:
		x.unauthenticated(text)
	case *types.NoPermission:
		x.fail(http.StatusForbidden, "UNAUTHORIZED", "no_permission", text)
	default:
		x.fail(http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "internal", text)
	}
}

// challenges returns the challenges for the authentication schemes. Each is a separate header line, and
// Basic is the first one, because some clients read only the first.
func challenges(schemes []string) []string {
	var all []string
	for _, scheme := range schemes {
		challenge := scheme + ` realm="VAPI endpoint"`
		if scheme == "Basic" {
			all = slices.Insert(all, 0, challenge+`, charset="UTF-8"`)
			continue
		}
		all = append(all, challenge)
	}
	return all
}

func (x *request) unauthenticated(text string) {
	x.w.Header()["Www-Authenticate"] = x.challenges
	x.fail(http.StatusUnauthorized, "UNAUTHENTICATED", "authentication_required", text)
}

// message is a LocalizableMessage of the Automation API.
type message struct {
	Args    []string `json:"args"`
	Default string   `json:"default_message"`
	ID      string   `json:"id"`
}

// fail sends an error. The older form adds the error's type and wraps its content.
func (x *request) fail(status int, kind, id, text string) {
	body := map[string]any{"messages": []message{{[]string{}, text, "vigate." + id}}}
	if status == http.StatusUnauthorized {
		body["challenge"] = strings.Join(x.challenges, ", ")
	}
	if x.wrapped {
		body = map[string]any{"type": "com.vmware.vapi.std.errors." + strings.ToLower(kind), "value": body}
	} else {
		body["error_type"] = kind
	}
	x.send(status, body)
}
