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
	maxReleases   = 128 // in one request
	maxReleaseLen = 64  // of each release, in bytes
)

// releases are the existing releases of VI JSON, up to the newest that this server's types know. A path may
// name a newer release, but hello never returns one: the client would assume that the server has everything
// that this release has.
var releases = []string{"8.0.1.0", "8.0.2.0", "8.0.3.0", "8.0.3.1", "9.0.0.0", "9.1.0.0"}

// helloSpec is the request of a client: the releases that it supports, best first.
type helloSpec struct {
	Releases []string `json:"api_releases"`
}

// hello returns the first of a client's releases that this server supports. It belongs to the Automation
// API, which has errors of its own instead of faults.
func (h *handler) hello(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("action") != "hello" {
		automationError(w, r, http.StatusNotFound, "NOT_FOUND", "there is no such action here")
		return
	}
	if r.Method != http.MethodPost {
		w.Header()["Allow"] = []string{"POST"}
		automationError(w, r, http.StatusMethodNotAllowed, "NOT_ALLOWED_IN_CURRENT_STATE",
			"the action hello is called with POST")
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
			automationError(w, r, http.StatusBadRequest, "INVALID_ARGUMENT",
				"an id of api_releases is longer than 64 bytes")
			return
		}
		if chosen == "" && slices.Contains(releases, s) {
			chosen = s
		}
	}
	binding.Send(w, r.Method, http.StatusOK, contentJSON, []byte(`{"api_release":`+strconv.Quote(chosen)+`}`))
}

// automationError sends an error in the form of the Automation API.
func automationError(w http.ResponseWriter, r *http.Request, status int, kind, text string) {
	binding.Send(w, r.Method, status, contentJSON,
		[]byte(`{"error_type":"`+kind+`","messages":[{"id":"vigate.hello","default_message":`+
			strconv.Quote(text)+`,"args":[]}]}`))
}
