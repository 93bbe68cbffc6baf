// Package jsontoken reads JSON from untrusted senders and writes JSON texts. It is what all codecs
// for JSON share, whatever the types of the values are.
//
// A body is checked once with [WellFormed]. Then a [Cursor] moves through it, value by value, without
// copying it. A Cursor is a small value: a codec that must look ahead, for the type of an object,
// copies it.
package jsontoken
