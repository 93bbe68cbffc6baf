package soap

import (
	"net/http"

	"github.com/vigate/vigate/internal/vim"
)

// Faults returns a function that answers a SOAP request with a fault, as the binding does. It is for handlers that
// pass requests on.
func Faults(api *vim.API) func(http.ResponseWriter, *vim.Call, *vim.Fault) {
	h := newHandler(api, nil, nil, "")
	return func(w http.ResponseWriter, c *vim.Call, f *vim.Fault) { h.fault(w, c, f, serverFault) }
}
