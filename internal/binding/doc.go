// Package binding contains the code that all bindings of the API share. A binding serves the
// operations of package vim over HTTP in one format: VI JSON, SOAP or REST. A binding handles a
// request in these steps:
//
//   - It reads the body with [Bodies].
//   - It creates a [vim.Call] from the request with [NewCall], and adds the object, the operation and
//     the arguments, which it decodes from its format.
//   - It passes the call to a [Dispatcher].
//   - It writes the result with an [Output] and a [Stream].
//
// The rules that all bindings must share are here: how much memory bodies may use, which headers and cookies may
// contain a credential, what a browser may request for a page of another origin, and how a response ends if encoding
// it fails halfway. The formats themselves are in the packages of the bindings. A binding passes a call for an object
// of another server to an [Elsewhere].
package binding
