// Package vijson is the binding for the Virtual Infrastructure JSON API. It serves the managed objects of
// internal/vim below /sdk/vim25/{release}/{type}/{moId}/{name}: a property is read with GET, a method is
// called with POST. [Mount] adds its paths to an http.ServeMux. The handler behind them decodes a request
// into a [vim.Call], and encodes the [vim.Result] or [vim.Fault] of the call. The package knows nothing of
// single operations: their names, arguments and results come from the rows of internal/vim. Two resources
// are not managed objects: openapi.json below each release, which package openapi generates, and
// [HelloPath], where clients choose a release.
//
// The package has its own codec for the API's types. The library's codec (vim25/json) is the reference in
// the tests. It must not decode the bodies of strangers: it builds Go types from names in the body (for
// example "[1000000000]int"), copies the rest of the body for each polymorphic element, ignores the case
// of keys, takes the last of repeated keys, and ignores unknown keys. It also writes null for an empty
// list.
package vijson
