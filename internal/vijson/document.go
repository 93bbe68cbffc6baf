package vijson

import (
	"net/http"
	"sync"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/openapi"
)

// document is the description of all that is served, made when it is first
// asked for.
type document struct {
	once sync.Once
	doc  *openapi.Document
	err  error
}

func (h *handler) serveDocument(w http.ResponseWriter, r *http.Request, release string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header()["Allow"] = []string{"GET, HEAD"}
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if _, err := parseRelease(release); err != nil {
		http.NotFound(w, r)
		return
	}
	d := &h.openapi
	d.once.Do(func() { d.doc, d.err = openapi.New(h.api.Objects()) })
	if d.err != nil {
		http.Error(w, "the document could not be made", http.StatusInternalServerError)
		return
	}
	binding.Send(w, r.Method, http.StatusOK, contentJSON, d.doc.JSON(release))
}
