package vijson

import (
	"net/http"
	"slices"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

// MountWith is Mount for a server that passes on the calls to all objects but those of the given types, which
// its API has.
func MountWith(
	mux *http.ServeMux, api *vim.API, bodies *binding.Bodies, elsewhere binding.Elsewhere, types ...string,
) {
	h := newHandler(api, bodies)
	h.elsewhere, h.here = elsewhere, types
	h.mount(mux)
}

// passes reports whether calls to objects of the type are carried out elsewhere.
func (h *handler) passes(typ string) bool {
	return h.elsewhere != nil && !slices.Contains(h.here, typ)
}

// pass has a call carried out elsewhere.
func (h *handler) pass(w http.ResponseWriter, r *http.Request, c *vim.Call) {
	defer c.Answered()
	h.elsewhere.Serve(&binding.Exchange{
		W: w, R: r, Call: c, API: h.api, Bodies: h.bodies, Format: isJSON(r.Header),
		Refuse: func(f *vim.Fault, status int) { h.turnAway(w, r, c, &refusal{f, status}) },
		Fail:   func(f *vim.Fault) { h.refuse(w, r, c, f, http.StatusInternalServerError) },
	})
}
