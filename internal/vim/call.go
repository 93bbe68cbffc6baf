// Package vim is the API: managed objects as tables of methods and properties,
// the one dispatcher that every binding calls, and faults, with how rows say which
// of the domain's errors they are. It serves the objects of sessions itself; packages
// that serve others make their rows by its constructors, and add them.
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

// Call is one request to a managed object, whatever binding it came by.
type Call struct {
	Object types.ManagedObjectReference
	// Name of the method, or of the property where Read is set.
	Name string
	Read bool
	// Args is a method's request, as made by its row's NewArgs and filled by
	// the binding.
	Args any

	// Token is what the caller sent to authenticate, unchecked. Empty: nothing.
	Token secret.Text
	// HTTP is the request's line, for tickets that are good for one request.
	HTTP HTTPRequest
	// Proof is what a login brings outside its arguments.
	Proof Proof
	// Peer is the other end of the request; nil: nothing is known of it.
	Peer *peer.Peer
	// Release is the version of the API that the caller speaks.
	Release Release
	// AcceptLanguage is the header's value, for callers without a session.
	AcceptLanguage string
	// Binding names the way in, for logs: vijson, soap, rest.
	Binding string

	// Session of the caller, nil for anonymous. The dispatcher sets it.
	Session *session.Live
	// Instance is the object's state where it is a session's own. The
	// dispatcher sets it.
	Instance any

	// standing is what the session must have all the while, if the call came by a
	// ticket: the ticket gives the authority of that standing. Otherwise zero.
	standing session.Standing

	found bool      // caller has looked for the session
	done  time.Time // when what was called had run
	// measured is the name of the object in metrics; empty: its type.
	measured string
	audit    audit
	guard    guard
	guarded  store.GuardedContext
	// of is the call that reads a property on behalf of its client; nil: itself.
	of   *Call
	work work         // done so far
	held *budget.Hold // the answer's memory, until it is sent
	// weight is about how many bytes the answer takes, as far as it is known.
	weight int64
}

// String is what is called: no argument, and nothing that the caller sent to
// prove who it is.
func (c Call) String() string { return c.Object.Type + "." + c.Name }

// GoString is String.
func (c Call) GoString() string { return c.String() }

// Format writes String for every verb.
func (c Call) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// MarshalText is String.
func (c Call) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// LogValue is String, and the way by which the call came.
func (c Call) LogValue() slog.Value {
	return slog.GroupValue(slog.String("operation", c.String()), slog.String("binding", c.Binding))
}

// stranger is the peer of calls of which nothing is known. It is only read.
var stranger peer.Peer

// introduce gives a call without a peer the one that has no standing.
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
	Ticket secret.Text // of AcquireGenericServiceTicket; empty: none
}

// Proof is a credential that travels beside the arguments of a login.
type Proof struct {
	// Authorization is the HTTP header's value.
	Authorization secret.Text
	// Security is the WS-Security header as received, and Message the whole
	// envelope that it signs; both are in UTF-8. Body is the request's body as
	// received, which SIGN proofs digest; a message in UTF-16 has none. They are set
	// only for methods that need proof, and belong to the binding: whoever keeps them
	// longer than the call copies them.
	Security, Message, Body secret.Bytes
}

// Result is what a call gave.
type Result struct {
	// Value is nil for a void method and for an unset optional result, and may
	// be a pointer where the result is optional.
	Value any
	// Token is set where the call made a session. It is for the caller alone.
	Token session.Token
}

// Format writes a placeholder for every verb: the value may be a ticket.
func (Result) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[result]") }

// MarshalText is a placeholder.
func (Result) MarshalText() ([]byte, error) { return []byte("[result]"), nil }

// LogValue is a placeholder.
func (Result) LogValue() slog.Value { return slog.StringValue("[result]") }

// Release is a version of the API, such as 8.0.1.0.
type Release [4]int

// FirstRelease is the oldest that VI JSON exists for.
var FirstRelease = Release{8, 0, 1, 0}

// ParseRelease reads "major.minor.patch.update", or fewer parts, the rest then
// being 0.
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
