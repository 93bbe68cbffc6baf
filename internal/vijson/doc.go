// Package vijson is the VI JSON binding: the managed objects of internal/vim
// under /sdk/vim25/{release}/{type}/{moId}/{name}, a property by GET and a method
// by POST.
//
// It has a codec of its own for the API's types. The library's (vim25/json) is
// the reference that the tests hold it to, but can't be given a stranger's
// bytes: it builds Go types from names in them ("[1000000000]int"), copies the
// rest of the body for each polymorphic element, takes keys in any case, the
// last of repeated ones, and unknown ones silently; and it writes null for an
// empty list.
package vijson
