package path

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

// refuse answers a request that was not admitted with a fault.
func (x *exchange) refuse(f *vim.Fault) { x.answer(f) }

// answer answers with a fault, in the form of the path's protocol.
func (x *exchange) answer(f *vim.Fault) {
	if f == nil {
		return
	}
	status := binding.Status(x.w.Header(), f, statusOf(f))
	if f.Detail == nil && f.RetryAfter == 0 {
		status = http.StatusBadGateway
	}
	x.fail(status, f.Text(x.h.API.MessageLocale(&x.call)))
}

// statusOf returns the status of HTTP for a fault.
func statusOf(f *vim.Fault) int {
	switch f.Detail.(type) {
	case *types.NotAuthenticated, *types.InvalidLogin:
		return http.StatusUnauthorized
	case *types.NoPermission:
		return http.StatusForbidden
	case *types.ManagedObjectNotFound:
		return http.StatusNotFound
	case *types.NotSupported:
		return http.StatusNotImplemented
	case *types.InvalidArgument, *types.InvalidRequest:
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// errorTypes are the names of errors in the Automation API.
var errorTypes = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED",
	http.StatusForbidden: "UNAUTHORIZED", http.StatusNotFound: "NOT_FOUND",
	http.StatusMethodNotAllowed: "OPERATION_NOT_FOUND", http.StatusRequestEntityTooLarge: "INVALID_ARGUMENT",
	http.StatusNotImplemented: "UNSUPPORTED", http.StatusServiceUnavailable: "SERVICE_UNAVAILABLE",
	http.StatusBadGateway: "SERVICE_UNAVAILABLE",
}

func errorType(status int) string {
	if t := errorTypes[status]; t != "" {
		return t
	}
	return "INTERNAL_SERVER_ERROR"
}

// message is a LocalizableMessage of the Automation API.
type message struct {
	Args    []string `json:"args"`
	Default string   `json:"default_message"`
	ID      string   `json:"id"`
}

// messagesOf returns the messages of an error of the Automation API.
func messagesOf(status int, text string) []message {
	return []message{{[]string{}, text, "vigate." + strings.ToLower(errorType(status))}}
}

// fail sends an error.
func (x *exchange) fail(status int, text string) {
	switch {
	case x.rpc != nil:
		x.rpc.fail(x.w, status, text)
	case below(x.path, "/api"):
		x.sendValue(status, map[string]any{"error_type": errorType(status), "messages": messagesOf(status, text)})
	case below(x.path, "/rest"):
		x.sendValue(status, map[string]any{
			"type":  "com.vmware.vapi.std.errors." + strings.ToLower(errorType(status)),
			"value": map[string]any{"messages": messagesOf(status, text)},
		})
	default:
		http.Error(x.w, text, status)
	}
}

// sendValue sends a value as JSON.
func (x *exchange) sendValue(status int, v any) { sendJSON(x.w, x.r.Method, status, v) }

func sendJSON(w http.ResponseWriter, method string, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // all values are texts
	}
	binding.Send(w, method, status, []string{"application/json"}, b)
}
