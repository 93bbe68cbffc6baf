// Package rest serves the sessions of the Automation API, in its two forms:
// /api/session, and the older /rest/com/vmware/cis/session that govmomi uses.
// A session made here is the same as any other: its token works everywhere.
//
// A request names its session in the header or the cookie vmware-api-session-id. The
// cookie of SOAP and service tickets have no meaning here: clients of both APIs send
// them along, and a logout from one API must not end the session of the other.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

	way = "rest"
)

// maxBody is far above what any client sends: the calls take no body.
const maxBody = 64 << 10

var sessionManager = types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}

// Mount has mux serve both forms.
// bodies are those of all bindings.
func Mount(mux *http.ServeMux, api *vim.API, bodies *binding.Bodies) {
	h := &handler{api, bodies}
	mux.Handle(APIPath, h)
	mux.Handle(RESTPath, h)
	mux.HandleFunc("/api/", nothing)
	mux.HandleFunc("/rest/", nothing)
}

// nothing answers a request to a path of the Automation API that is not served.
func nothing(w http.ResponseWriter, r *http.Request) {
	binding.SetCommon(w.Header())
	x := &exchange{w: w, r: r, form: form{wrapped: strings.HasPrefix(r.URL.Path, "/rest/")}}
	x.fail(http.StatusNotFound, "NOT_FOUND", "not_found", "There is nothing at this path.")
}

// handler serves both forms.
type handler struct {
	api    binding.Dispatcher
	bodies *binding.Bodies
}

// ServeHTTP serves one call.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	binding.SetCommon(w.Header())
	x := &exchange{api: h.api, w: w, r: r, form: form{wrapped: r.URL.Path == RESTPath}}
	var foreign bool
	x.call, foreign = binding.NewCall(r, way, httptoken.APICookie)
	x.call.HTTP.Ticket = secret.Text{}
	x.call.Object, x.call.Release = sessionManager, vim.FirstRelease
	body, err := h.bodies.Read(w, r, maxBody)
	defer body.Free()
	switch {
	case errors.Is(err, binding.ErrCrowded):
		x.fault(vim.Unavailable(fmt.Errorf("read request: %w", err)))
		return
	case errors.Is(err, binding.ErrTooLarge):
		x.fail(http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "invalid_argument", "The request's body is too large.")
		return
	case err != nil:
		x.fail(http.StatusBadRequest, "INVALID_ARGUMENT", "invalid_argument", "The request's body did not come whole.")
		return
	}
	if foreign {
		x.fail(http.StatusForbidden, "UNAUTHORIZED", "cross_origin", "A browser sent this for a page of another origin.")
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

// form is which of the two forms is spoken.
type form struct{ wrapped bool }

type exchange struct {
	form
	api  binding.Dispatcher
	w    http.ResponseWriter
	r    *http.Request
	call vim.Call
}

// create logs in, by what stands in the Authorization header: Basic, or a
// token's proof (SIGN, Bearer). It makes a session whatever other one the request
// names: clients add the id that they have to all requests.
func (x *exchange) create(ctx context.Context, body *binding.Body) {
	x.call.Token = secret.Text{}
	user, password, isBasic := basic(x.call.Proof.Authorization.Reveal())
	switch {
	case isBasic:
		// A broken one is a failed login by password, of nobody.
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
		x.answer(http.StatusCreated, token)
		return
	}
	if cookieWanted(x.r.Header) {
		line := httptoken.APICookie + "=" + token + ";Path=/rest;HttpOnly"
		if x.call.Peer.TLS {
			line += ";Secure"
		}
		x.w.Header().Add("Set-Cookie", line)
	}
	x.answer(http.StatusOK, token)
}

// cookieWanted reports whether a login in the older form sets its cookie. A client
// that sends the token in the header says so, with any value but false.
func cookieWanted(h http.Header) bool {
	v := h.Get("Vmware-Use-Header-Authn")
	return v == "" || strings.EqualFold(v, "false")
}

// info is what GET tells of a session.
type info struct {
	User     string `json:"user"`
	Created  string `json:"created_time"`
	LastUsed string `json:"last_accessed_time"`
}

// fullName is the name of a session's user as this API has it: Administrator@DOMAIN.
func fullName(name string) string {
	if domain, user, ok := strings.Cut(name, `\`); ok {
		return user + "@" + domain
	}
	return name
}

// timeText is a time as this API has it. Its clients read no other number of digits.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (x *exchange) get(ctx context.Context) {
	x.call.Name, x.call.Read = "currentSession", true
	defer x.call.Answered()
	result, fault := x.api.Do(ctx, &x.call)
	if fault != nil {
		x.fault(fault)
		return
	}
	s, ok := result.Value.(*types.UserSession)
	if !ok {
		x.unauthenticated(vim.NotAuthenticated(sessionManager, vim.View).Text(x.api.MessageLocale(&x.call)))
		return
	}
	x.answer(http.StatusOK, info{fullName(s.UserName), timeText(s.LoginTime), timeText(s.LastActiveTime)})
}

func (x *exchange) delete(ctx context.Context) {
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

// answer writes the value as its form has it.
func (x *exchange) answer(status int, v any) {
	if x.wrapped {
		v = map[string]any{"value": v}
	}
	x.send(status, v)
}

// send writes an answer. The values are texts and objects of them, so that they have
// a form in JSON.
func (x *exchange) send(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("write answer: %w", err))
	}
	binding.Send(x.w, x.r.Method, status, contentJSON, b)
}

var contentJSON = []string{"application/json"}

// fault turns a fault of the API into an error of this one.
func (x *exchange) fault(f *vim.Fault) {
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

// challenges are the ways to log in. They are one line each in the header: a client
// that reads only the first of a list knows Basic.
var challenges = []string{`Basic realm="VAPI endpoint", charset="UTF-8"`, `SIGN realm="VAPI endpoint"`}

func (x *exchange) unauthenticated(text string) {
	x.w.Header()["Www-Authenticate"] = challenges
	x.fail(http.StatusUnauthorized, "UNAUTHENTICATED", "authentication_required", text)
}

// message is the Automation API's LocalizableMessage.
type message struct {
	Args    []string `json:"args"`
	Default string   `json:"default_message"`
	ID      string   `json:"id"`
}

// fail writes an error. The older form names its type, and wraps what is in it.
func (x *exchange) fail(status int, kind, id, text string) {
	body := map[string]any{"messages": []message{{[]string{}, text, "vigate." + id}}}
	if status == http.StatusUnauthorized {
		body["challenge"] = strings.Join(challenges, ", ")
	}
	if x.wrapped {
		body = map[string]any{"type": "com.vmware.vapi.std.errors." + strings.ToLower(kind), "value": body}
	} else {
		body["error_type"] = kind
	}
	x.send(status, body)
}
