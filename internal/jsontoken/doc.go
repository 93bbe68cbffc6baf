// Package jsontoken reads JSON from untrusted senders and writes JSON texts. All codecs for JSON share it. It does
// not depend on the types of the values.
//
// A body is checked once with [WellFormed]. Then a [Cursor] moves through it, value by value, without
// copying it. A Cursor is a small value: a codec that must look ahead, for the type of an object,
// copies it.
package jsontoken
