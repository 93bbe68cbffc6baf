// Package binding is what all bindings of the API have in common. A binding serves
// the operations of internal/vim in one form on the wire: VI JSON, SOAP, REST. It
// reads a request's body with [Bodies], makes a [vim.Call] of the request with
// [NewCall], adds what its form says of the object, the operation and the arguments,
// has a [Dispatcher] run the call, and writes the result with an [Output] and a
// [Stream].
//
// So whatever all bindings must agree on is decided here: how much memory bodies may
// take, where a credential may stand in a request, what a request from a page of
// another origin is allowed, and how an answer that fails halfway ends.
package binding
