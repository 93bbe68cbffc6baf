// Package vijson is the binding of the Virtual Infrastructure JSON API. It serves the managed objects of
// internal/vim below /sdk/vim25/{release}/{type}/{moId}/{name}: a property is read with GET, a method is
// called with POST. Mount adds its paths to an http.ServeMux; the handler behind them decodes a request
// into a vim.Call, and encodes the vim.Result or vim.Fault that the call returns. The package knows nothing
// of single operations: their names, arguments and results come from the rows of internal/vim. Two paths
// are not objects: openapi.json below each release, which is made by internal/openapi, and HelloPath, where
// clients choose a release.
//
// The package has its own codec for the API's types. The library's codec (vim25/json) serves as the
// reference in the tests. It must not decode the bodies of strangers: it builds Go types from names in the
// body (for example "[1000000000]int"), copies the rest of the body for each polymorphic element, ignores
// the case of keys, takes the last of repeated keys, and ignores unknown keys. It also writes null for an
// empty list.
package vijson
