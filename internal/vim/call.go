// Package vim is the core of the server's API: the calls to managed objects, the tables of methods
// and properties that describe the objects, and the faults with which calls fail. Every binding
// passes its calls to [API.Do], which finds the caller's session, checks its privilege, runs the
// function of the row, and writes the audit line.
//
// The package serves no objects. Other packages make the rows of their objects with [NewMethod],
// [NewVoid] and [NewProperty], map their errors to faults with [Map], and add the objects with
// [API.Add]. It knows neither HTTP nor the format of messages.
package vim

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

// Call is one request to a managed object, whatever its binding. The binding creates it, and only
// one goroutine uses it at a time.
type Call struct {
	Object types.ManagedObjectReference
	// Name is the name of the method, or of the property if Read is set.
	Name string
	Read bool
	// Args is a method's request. Its row's NewArgs creates it, and the binding fills it.
	Args any

	// Token is what the caller sent to authenticate, unchecked. It may be empty.
	Token secret.Text
	// HTTP is the line of the request, for tickets that are valid for one request.
	HTTP HTTPRequest
	// Proof is what a login contains besides its arguments.
	Proof Proof
	// Peer is the other end of the connection. If nil, nothing is known of it.
	Peer *peer.Peer
	// Release is the version of the API that the caller uses.
	Release Release
	// AcceptLanguage is the value of the header, for callers without a session.
	AcceptLanguage string
	// Binding is the name of the binding in logs: vijson, soap, rest.
	Binding string

	// Session is the caller's session, or nil for an anonymous caller. The dispatcher sets it.
	Session *session.Live
	// Instance is the state of an object that belongs to a session. The dispatcher sets it.
	Instance any

	// standing is what the session must have during the whole call, if the call came with a ticket:
	// the ticket gives the authority of that standing. Otherwise it is zero.
	standing session.Standing

	found bool      // caller has looked up the session
	done  time.Time // when the function of the row returned
	// measured is the object's name in metrics. If empty, its type is used.
	measured string
	// measuredAs is the name in metrics. If empty, it is that of the call.
	measuredAs string
	audit      audited
	guard      guard
	guarded    store.GuardedContext
	// of is the call on whose behalf this one reads a property; nil if it is a call of its own.
	of   *Call
	work work         // done so far
	held *budget.Hold // memory of the answer, until it is sent
	// weight is the approximate size of the answer in bytes, as far as it is known.
	weight int64
}

// String returns the operation, without arguments and without what the caller sent to prove its
// identity.
func (c Call) String() string { return c.Object.Type + "." + c.Name }

// GoString is the same as String.
func (c Call) GoString() string { return c.String() }

// Format writes String for every verb.
func (c Call) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// MarshalText is the same as String.
func (c Call) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue returns the operation and the binding.
func (c Call) LogValue() slog.Value {
	return slog.GroupValue(slog.String("operation", c.String()), slog.String("binding", c.Binding))
}

// stranger is the peer of calls without a peer. It is only read.
var stranger peer.Peer

// introduce sets the peer of a call that has none.
func (c *Call) introduce() {
	if c.Peer == nil {
		c.Peer = &stranger
	}
}

// HTTPRequest is the part of an HTTP request that proofs cover, and the ticket that came with it.
type HTTPRequest struct {
	Method string
	Host   string      // host and port as sent
	Target string      // path and query as sent
	Ticket secret.Text // of AcquireGenericServiceTicket; may be empty
}

// Proof is a credential that a login has outside of its arguments.
type Proof struct {
	// Authorization is the value of the HTTP header.
	Authorization secret.Text
	// Security is the WS-Security header as received, and Message the whole envelope that it signs;
	// both are in UTF-8. Body is the request's body as received, which SIGN proofs digest; a message
	// in UTF-16 has none. They are set only for methods that need proof. They belong to the binding:
	// a function that keeps them longer than the call must copy them.
	Security, Message, Body secret.Bytes
	// Unreadable is set if the request brings a token, but exceeds a limit or is malformed.
	Unreadable bool
}

// Result is what a call returns.
type Result struct {
	// Value is nil for a void method and for an unset optional result. It may be a pointer if the
	// result is optional.
	Value any
	// Token is set if the call started a session. It is for the caller alone.
	Token session.Token
}

// Format writes a placeholder for every verb, because the value may be a ticket.
func (Result) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[result]") }

// MarshalText returns a placeholder.
func (Result) MarshalText() ([]byte, error) { return []byte("[result]"), nil }

// LogValue returns a placeholder.
func (Result) LogValue() slog.Value { return slog.StringValue("[result]") }

// Release is a version of the API, for example 8.0.1.0.
type Release [4]int

// FirstRelease is the oldest release for which VI JSON exists.
var FirstRelease = Release{8, 0, 1, 0}

// ParseRelease parses "major.minor.patch.update". The last parts may be missing; they are 0 then.
func ParseRelease(s string) (Release, error) {
	var r Release
	part, digits := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '.' && digits > 0 && part == len(r)-1:
			return Release{}, fmt.Errorf("parse release: want at most %d numbers", len(r))
		case c == '.' && digits > 0:
			part, digits = part+1, 0
			continue
		case c < '0' || c > '9', digits > 0 && r[part] == 0:
			return Release{}, notANumber(part)
		}
		digits++
		if r[part] = r[part]*10 + int(c-'0'); r[part] > math.MaxUint16 {
			return Release{}, notANumber(part)
		}
	}
	if digits == 0 {
		return Release{}, notANumber(part)
	}
	return r, nil
}

func notANumber(part int) error { return fmt.Errorf("parse release: part %d is not a number", part+1) }

// Before reports whether r is older than o.
func (r Release) Before(o Release) bool {
	for i := range r {
		if r[i] != o[i] {
			return r[i] < o[i]
		}
	}
	return false
}

func (r Release) String() string { return fmt.Sprintf("%d.%d.%d.%d", r[0], r[1], r[2], r[3]) }
