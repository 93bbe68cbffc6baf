package binding

import (
	"net/http"

	"github.com/vigate/vigate/internal/vim"
)

// Elsewhere carries out calls to objects that have no rows here. A binding passes such a call on after
// it has read the line and the headers of the request.
type Elsewhere interface {
	Serve(*Exchange)
	// Objects describes the objects elsewhere, for documents. Their rows can't be run.
	Objects() []*vim.Object
}

// Exchange is a request whose call another server executes, with everything that its answer needs.
type Exchange struct {
	W      http.ResponseWriter
	R      *http.Request
	Call   *vim.Call // without arguments
	API    Dispatcher
	Bodies *Bodies
	// Format is false if the headers say that the body is not in the format of the binding.
	Format bool
	// Refuse answers a request that makes no call, with a fault and an HTTP status.
	Refuse func(f *vim.Fault, status int)
	// Fail answers with the fault of a call.
	Fail func(f *vim.Fault)
}
