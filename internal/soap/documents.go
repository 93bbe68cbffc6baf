package soap

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/wsdl"
)

// serveDocument sends the file that a GET asks for.
func (h *handler) serveDocument(w http.ResponseWriter, r *http.Request) {
	err := wsdl.Serve(w, r, h.describe)
	switch {
	case errors.Is(err, wsdl.ErrNoFile):
		h.wrongMethod(w, r, http.StatusNotFound, err.Error())
	case err != nil:
		c, _ := binding.NewCall(r, way)
		h.refuse(r.Context(), w, &c, refused(vim.FaultOf(fmt.Errorf("make description: %w", err))))
	}
}
