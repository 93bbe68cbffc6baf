package vim

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
)

// audit is what an operation tells of itself for the audit log. Nothing secret
// may be put into it.
type audit struct {
	wanted bool
	notes  *notes // nil: none; most calls are reads, which have none
}

// notes are the contents of a call's audit line besides those that every line has.
type notes struct {
	actor event.Actor // who acts or tries to, where no session says so
	attrs []slog.Attr // what the call is about
	size  int         // of attrs in a line, in bytes
	more  int         // notes that had no room
}

// noted returns the notes for a change of them.
func (a *audit) noted() *notes {
	if a.notes == nil {
		a.notes = &notes{}
	}
	return a.notes
}

// What the notes of one call take of its line. A call may be about thousands of
// names, each as long as a body.
const (
	maxNotes = 32
	maxNote  = 512     // bytes of one value
	maxNoted = 4 << 10 // bytes of all, as a log writes them
)

// actor sets who tries to log in, as far as the request says.
func (c *Call) actor(a event.Actor) { c.audit.noted().actor = a }

// Note adds what the call is about to the audit line: a key, a name, a role. Of
// many only the first are in the line, and the number of the rest.
func (c *Call) Note(name, value string) {
	a := c.audit.noted()
	if len(value) > maxNote {
		value = strings.ToValidUTF8(value[:maxNote], "") + "…"
	}
	size := len(name) + len(strconv.Quote(value))
	if a.more > 0 || len(a.attrs) == maxNotes || a.size+size > maxNoted {
		a.more++
		return
	}
	a.size += size
	a.attrs = append(a.attrs, slog.String(name, value))
}

// uses tells that the call came with a ticket, which always leaves an audit line.
func (c *Call) uses(kind login.TicketKind) {
	c.audit.wanted = true
	c.Note("ticket", string(kind))
}

// finish measures the call, and writes its audit line: one per authentication,
// ticket and its use, termination, impersonation and change of authority,
// whatever came of it, and one per call that was denied (ASVS 16.3.2).
func (a *API) finish(ctx context.Context, c *Call, fault *Fault, began time.Time) {
	kind := ""
	if fault != nil {
		kind = fault.Kind()
	}
	if a.Observe != nil {
		object := c.Object.Type
		if c.measured != "" {
			object = c.measured
		}
		a.Observe(object, c.Name, kind, c.done.Sub(began))
	}
	wanted := c.audit.wanted || denied(fault)
	if fault != nil && fault.Cause != nil && !wanted {
		a.Log.LogAttrs(ctx, faultLevel(fault), "call failed", slog.String("object", c.Object.Type),
			slog.String("name", c.Name), slog.String("fault", kind), slog.Any("cause", fault.Cause),
			slog.String("request", c.Peer.Request.String()))
	}
	if wanted {
		a.audit(ctx, c, fault)
	}
}

// denied tells of a fault of authority. A caller without a live session is not
// denied anything, it has only to log in.
func denied(f *Fault) bool { return IsFault[*types.NoPermission](f) }

// audit writes the call's line.
func (a *API) audit(ctx context.Context, c *Call, fault *Fault) {
	who := actorOf(c)
	attrs := []slog.Attr{
		slog.String("operation", c.Object.Type+"."+c.Name),
		slog.String("outcome", outcome(fault)),
		slog.String("user", who.User),
		slog.String("address", c.Peer.Address),
		slog.String("binding", c.Binding),
		slog.String("request", c.Peer.Request.String()),
	}
	if who.Origin != "" {
		attrs = append(attrs, slog.String("origin", who.Origin))
	}
	if c.Session != nil {
		attrs = append(attrs, slog.String("session", c.Session.Key().String()))
	}
	if fault != nil && fault.Cause != nil {
		attrs = append(attrs, slog.Any("cause", fault.Cause))
	}
	if n := c.audit.notes; n != nil {
		attrs = append(attrs, n.attrs...)
		if n.more > 0 {
			attrs = append(attrs, slog.Int("more", n.more))
		}
	}
	a.Log.LogAttrs(ctx, max(slog.LevelInfo, faultLevel(fault)), "audit", attrs...)
}

func outcome(f *Fault) string {
	if f == nil {
		return "success"
	}
	return f.Kind()
}

// faultLevel: what the server did wrong is an error, what the caller did is not.
func faultLevel(f *Fault) slog.Level {
	switch {
	case f == nil:
		return slog.LevelInfo
	case IsFault[*types.SystemError](f):
		return slog.LevelError
	case f.RetryAfter != 0:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func actorOf(c *Call) event.Actor {
	switch {
	case c.audit.notes != nil && c.audit.notes.actor != event.Actor{}:
		return c.audit.notes.actor
	case c.Session != nil:
		s := c.Session.Session()
		return s.Actor()
	}
	return event.Actor{}
}
