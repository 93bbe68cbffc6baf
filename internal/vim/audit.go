package vim

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/audit"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
)

// audited is what an operation reports about itself for the audit log. It must not contain secrets.
type audited struct {
	wanted bool
	notes  *notes // nil if there are none; most calls are reads, which have none
}

// notes are what a call's audit line contains besides the attributes of every line.
type notes struct {
	actor event.Actor // the principal that acts or tries to, if there is no session
	audit.Notes
}

// noted returns the notes, for changes of them.
func (a *audited) noted() *notes {
	if a.notes == nil {
		a.notes = &notes{}
	}
	return a.notes
}

// SetActor sets the name of the user that tries to log in, as far as the request has it.
func (c *Call) SetActor(a event.Actor) { c.audit.noted().actor = a }

// Note adds what the call is about to the audit line; see audit.Notes.
func (c *Call) Note(name, value string) { c.audit.noted().Add(name, value) }

// UsesTicket records that the call came with a ticket. Such a call always leaves an audit line.
func (c *Call) UsesTicket(kind login.TicketKind) {
	c.audit.wanted = true
	c.Note("ticket", string(kind))
}

// finish measures the call and writes its audit line. There is one line for each authentication,
// ticket and its use, termination, impersonation and change of authority, whatever the outcome, and
// one for each call that was denied (ASVS 16.3.2).
func (a *API) finish(ctx context.Context, c *Call, fault *Fault, began time.Time) {
	kind := ""
	if fault != nil {
		kind = fault.Kind()
	}
	if a.observe != nil {
		object := c.Object.Type
		if c.measured != "" {
			object = c.measured
		}
		a.observe(object, cmp.Or(c.measuredAs, c.Name), kind, c.done.Sub(began))
	}
	wanted := c.audit.wanted || denied(fault)
	if fault != nil && fault.Cause != nil && !wanted {
		a.logger.LogAttrs(ctx, faultLevel(fault), "call failed", slog.String("object", c.Object.Type),
			slog.String("name", c.Name), slog.String("fault", kind), slog.Any("cause", fault.Cause),
			slog.String("request", c.Peer.Request.String()))
	}
	if wanted {
		a.audit(ctx, c, fault)
	}
}

// denied reports whether the fault is a lack of authority. A caller without a live session is not
// denied anything; it only has to log in.
func denied(f *Fault) bool { return IsFault[*types.NoPermission](f) }

// audit writes the call's line.
func (a *API) audit(ctx context.Context, c *Call, fault *Fault) {
	l := audit.Line{
		Operation: c.Object.Type + "." + c.Name, Outcome: outcome(fault), By: actorOf(c), Address: c.Peer.Address,
		Binding: c.Binding, Request: c.Peer.Request.String(), Front: a.sessions.Front(),
	}
	if c.Session != nil {
		l.Session = c.Session.Key().String()
	}
	if fault != nil {
		l.Cause = fault.Cause
	}
	if c.audit.notes != nil {
		l.About = &c.audit.notes.Notes
	}
	l.Write(ctx, a.logger, max(slog.LevelInfo, faultLevel(fault)))
}

func outcome(f *Fault) string {
	if f == nil {
		return "success"
	}
	return f.Kind()
}

// faultLevel returns the log level of a fault. An error of the server has the level Error, an error
// of the caller has not.
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
		return c.Session.Actor()
	}
	return event.Actor{}
}
