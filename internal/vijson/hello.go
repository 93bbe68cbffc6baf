package vijson

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/vim"
)

const (
	maxReleases   = 128 // in one hello
	maxReleaseLen = 64  // of each, in bytes
)

// releases are those of VI JSON that exist, up to the newest that this server's types
// know. A path may name a newer one, but hello never answers one that may never exist:
// the client would take all that it knows of it for served.
var releases = []string{"8.0.1.0", "8.0.2.0", "8.0.3.0", "8.0.3.1", "9.0.0.0", "9.1.0.0"}

// helloSpec is what a client says hello with: the releases it speaks, best
// first.
type helloSpec struct {
	Releases []string `json:"api_releases"`
}

// hello tells a client the first of its releases that exists and is served. It belongs to
// the Automation API, whose errors are not this API's faults.
func (h *handler) hello(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("action") != "hello" {
		automationError(w, r, http.StatusNotFound, "NOT_FOUND", "there is no such action here")
		return
	}
	if r.Method != http.MethodPost {
		w.Header()["Allow"] = []string{"POST"}
		automationError(w, r, http.StatusMethodNotAllowed, "NOT_ALLOWED_IN_CURRENT_STATE", "the action hello is called with POST")
		return
	}
	if httptoken.Foreign(r) {
		automationError(w, r, http.StatusForbidden, "UNAUTHORIZED", "a browser sent this for a page of another origin")
		return
	}
	if !isJSON(r.Header) {
		automationError(w, r, http.StatusBadRequest, "INVALID_ARGUMENT", "the body is not JSON")
		return
	}
	body, err := h.bodies.Read(w, r, maxBody)
	defer body.Free()
	switch {
	case errors.Is(err, binding.ErrCrowded):
		status := binding.Status(w.Header(), vim.Unavailable(err), http.StatusServiceUnavailable)
		automationError(w, r, status, "SERVICE_UNAVAILABLE", "too much is going on, try again")
		return
	case errors.Is(err, binding.ErrTooLarge):
		automationError(w, r, http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "the body is too large or broken")
		return
	case err != nil:
		automationError(w, r, http.StatusBadRequest, "INVALID_ARGUMENT", "the body is too large or broken")
		return
	}
	var spec helloSpec
	if err := h.codec.decode(body.Bytes, &spec, "HelloSpec"); err != nil {
		automationError(w, r, http.StatusBadRequest, "INVALID_ARGUMENT", "the body is not {\"api_releases\":[…]}")
		return
	}
	if n := len(spec.Releases); n == 0 || n > maxReleases {
		automationError(w, r, http.StatusBadRequest, "INVALID_ARGUMENT", "want 1 to 128 api_releases")
		return
	}
	chosen := ""
	for _, s := range spec.Releases {
		if len(s) > maxReleaseLen {
			automationError(w, r, http.StatusBadRequest, "INVALID_ARGUMENT", "an id of api_releases is longer than 64 bytes")
			return
		}
		if chosen == "" && slices.Contains(releases, s) {
			chosen = s
		}
	}
	binding.Send(w, r.Method, http.StatusOK, contentJSON, []byte(`{"api_release":`+strconv.Quote(chosen)+`}`))
}

// automationError writes an error as the Automation API has them.
func automationError(w http.ResponseWriter, r *http.Request, status int, kind, text string) {
	binding.Send(w, r.Method, status, contentJSON, []byte(`{"error_type":"`+kind+`","messages":[{"id":"vigate.hello","default_message":`+
		strconv.Quote(text)+`,"args":[]}]}`))
}
