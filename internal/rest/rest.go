// Package rest serves the sessions of the Automation API, in its two forms:
// /api/session, and the older /rest/com/vmware/cis/session that govmomi uses.
// A session made here is the same as any other: its token works everywhere.
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
	x.call, foreign = binding.NewCall(r, way, httptoken.APICookie, httptoken.Cookie)
	x.call.Object, x.call.Release = sessionManager, vim.FirstRelease
	body, err := h.bodies.Read(w, r, maxBody)
	defer body.Free()
	switch {
	case errors.Is(err, binding.ErrCrowded):
		x.fault(vim.Unavailable(fmt.Errorf("read request: %w", err)))
		return
	case err != nil:
		x.fail(http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "invalid_argument", "The request's body is too large or was not sent.")
		return
	}
	if foreign {
		x.fail(http.StatusForbidden, "UNAUTHORIZED", "cross_origin", "A browser sent this for a page of another origin.")
		return
	}
	action := r.URL.Query().Get("~action")
	switch {
	case r.Method == http.MethodPost && x.wrapped && action == "get", r.Method == http.MethodGet && !x.wrapped:
		x.get(ctx)
	case r.Method == http.MethodPost && action == "":
		x.create(ctx, &body)
	case r.Method == http.MethodDelete:
		x.delete(ctx)
	default:
		allow := "GET, POST, DELETE"
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
// token's proof (SIGN, Bearer).
func (x *exchange) create(ctx context.Context, body *binding.Body) {
	if user, password, ok := x.r.BasicAuth(); ok {
		body.Free()
		x.call.Name, x.call.Args = "Login", &types.LoginRequestType{UserName: user, Password: password}
	} else if x.call.Proof.Authorization != "" {
		x.call.Name, x.call.Args = "LoginByToken", &types.LoginByTokenRequestType{}
		x.call.Proof.Body = body.Bytes
	} else {
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
	if x.r.Header.Get("Vmware-Use-Header-Authn") == "" {
		line := httptoken.APICookie + "=" + token + ";Path=/rest;HttpOnly"
		if x.call.Peer.TLS {
			line += ";Secure"
		}
		x.w.Header().Add("Set-Cookie", line)
	}
	x.answer(http.StatusOK, token)
}

// info is what GET tells of a session.
type info struct {
	User     string    `json:"user"`
	Created  time.Time `json:"created_time"`
	LastUsed time.Time `json:"last_accessed_time"`
}

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
	x.answer(http.StatusOK, info{s.UserName, s.LoginTime, s.LastActiveTime})
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
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(b) // a client that is gone needs no answer
}

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

const challenge = `Basic realm="VAPI endpoint",SIGN realm="VAPI endpoint"`

func (x *exchange) unauthenticated(text string) {
	x.w.Header().Set("WWW-Authenticate", challenge)
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
		body["challenge"] = challenge
	}
	if x.wrapped {
		body = map[string]any{"type": "com.vmware.vapi.std.errors." + strings.ToLower(kind), "value": body}
	} else {
		body["error_type"] = kind
	}
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(b)
}
