package vijson

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/openapi"
	"github.com/vigate/vigate/internal/vim"
)

// document is the OpenAPI document of the server. It is made on the first request for it.
type document struct {
	once sync.Once
	doc  *openapi.Document
	err  error
}

func (h *handler) serveDocument(w http.ResponseWriter, r *http.Request, release string) {
	d := &h.openapi
	d.once.Do(func() {
		if h.elsewhere == nil {
			d.doc, d.err = openapi.New(h.api.Objects())
			return
		}
		own := slices.DeleteFunc(slices.Clone(h.api.Objects()), func(o *vim.Object) bool { return h.passes(o.Type) })
		d.doc, d.err = openapi.New(own, h.elsewhere.Objects()...)
	})
	var refusal *refusal
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refusal = notAllowed(w, "GET, HEAD", "the document is read with GET")
	} else if _, err := parseRelease(release); err != nil {
		refusal = invalid(err.Error())
		refusal.status = http.StatusNotFound
	} else if d.err != nil {
		refusal = refused(vim.FaultOf(fmt.Errorf("make document: %w", d.err)))
	}
	if refusal != nil {
		c, _ := binding.NewCall(r, way, httptoken.Cookie)
		h.turnAway(w, r, &c, refusal)
		return
	}
	// Anybody may request the document, and a client may read it slowly. So all requests share the memory of
	// rest, the long part.
	head, rest := d.doc.JSON(release)
	w.Header()["Content-Type"] = contentJSON
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(head) + len(rest))}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(head) // the client may be gone
		_, _ = w.Write(rest)
	}
}
