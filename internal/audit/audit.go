// Package audit writes the lines of the audit log: who did what, from where, and with which outcome. A
// [Line] is one line, and [Notes] are what the call was about.
//
// The package bounds a line, because a call may be about thousands of names. It does not decide which
// calls leave a line; package vim does. Nothing in a line may be a secret.
package audit

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/vigate/vigate/internal/event"
)

// Bounds of the notes in the line of one call. A call may be about thousands of names, each as long
// as a body.
const (
	maxNotes = 32
	maxNote  = 512     // bytes of one value
	maxNoted = 4 << 10 // bytes of all notes, as a log writes them
)

// Notes are what a call's line contains besides the attributes of every line. The zero value is empty.
type Notes struct {
	attrs []slog.Attr
	size  int // size of attrs in a line, in bytes
	more  int // number of notes that did not fit
}

// Add adds what the call is about: a key, a name, a role. If there are many notes, the line contains
// only the first ones and the number of the others.
func (n *Notes) Add(name, value string) {
	if len(value) > maxNote {
		value = strings.ToValidUTF8(value[:maxNote], "") + "…"
	}
	size := len(name) + len(strconv.Quote(value))
	if n.more > 0 || len(n.attrs) == maxNotes || n.size+size > maxNoted {
		n.more++
		return
	}
	n.size += size
	n.attrs = append(n.attrs, slog.String(name, value))
}

// Line is one line of the audit log. An attribute that is empty is left out, except those that every
// line has: the operation, the outcome, the user, the address, the binding and the request.
type Line struct {
	Operation, Outcome string
	By                 event.Actor
	Address, Binding   string
	Request            string
	Front              string // the front that the call came by; empty for this server itself
	Session            string // key of the caller's session
	Cause              error  // of a fault; the client does not see it
	About              *Notes // nil: none
}

// Write writes the line to the log.
func (l Line) Write(ctx context.Context, logger *slog.Logger, level slog.Level) {
	attrs := []slog.Attr{
		slog.String("operation", l.Operation),
		slog.String("outcome", l.Outcome),
		slog.String("user", l.By.User),
		slog.String("address", l.Address),
		slog.String("binding", l.Binding),
		slog.String("request", l.Request),
	}
	for _, a := range []slog.Attr{
		slog.String("front", l.Front), slog.String("origin", l.By.Origin), slog.String("session", l.Session),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if l.Cause != nil {
		attrs = append(attrs, slog.Any("cause", l.Cause))
	}
	if l.About != nil {
		attrs = append(attrs, l.About.attrs...)
		if l.About.more > 0 {
			attrs = append(attrs, slog.Int("more", l.About.more))
		}
	}
	logger.LogAttrs(ctx, level, "audit", attrs...)
}
