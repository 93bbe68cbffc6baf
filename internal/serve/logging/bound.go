package logging

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	most    = 10 // lines of one kind in a window
	window  = time.Minute
	maxKind = 1024 // kinds; all others count as one
	// audit is the message of lines that must not be left out.
	audit = "audit"
)

// kind is what lines have in common that count together: where they are logged, and for lines about calls,
// the operation and its outcome.
type kind struct {
	pc            uintptr
	level         slog.Level
	message       string
	what, outcome string
}

// count counts the lines of a kind since the first one of its window.
type count struct {
	start time.Time
	n     int
}

// bounds are shared by all handlers that are derived from one.
type bounds struct {
	now   func() time.Time
	after func(time.Duration, func())

	mu    sync.Mutex // guards kinds
	kinds map[kind]*count
}

// handler is a slog.Handler that bounds how many warnings and errors of one kind a log gets. Strangers cause
// some of them: while the keys of an issuer can't be read, each of its tokens is an error. Without a bound, they
// would fill the disk and hide everything else.
type handler struct {
	slog.Handler
	*bounds
}

// bounded returns a handler that writes to inner. The lines that say how many were left out go to inner as well.
func bounded(inner slog.Handler) slog.Handler {
	return boundedBy(inner, time.Now, func(d time.Duration, f func()) { time.AfterFunc(d, f) })
}

// boundedBy is bounded with a clock, and a function that calls another one after a time.
func boundedBy(inner slog.Handler, now func() time.Time, after func(time.Duration, func())) slog.Handler {
	return &handler{inner, &bounds{now: now, after: after, kinds: map[kind]*count{}}}
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.bounds}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.bounds}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || h.pass(r) {
		return h.Handler.Handle(ctx, r)
	}
	if r.Message != audit || !h.Enabled(ctx, slog.LevelInfo) {
		return nil
	}
	r.Level = slog.LevelInfo
	return h.Handler.Handle(ctx, r)
}

// pass reports whether the line is one of the first of its kind in a minute, and counts it.
func (h *handler) pass(r slog.Record) bool {
	k, now := kindOf(r), h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.kinds[k]
	if c == nil {
		if len(h.kinds) >= maxKind {
			h.forget(now)
		}
		if len(h.kinds) >= maxKind {
			k = kind{level: slog.LevelWarn, message: "lines of other kinds"}
			c = h.kinds[k]
		}
	}
	if c == nil || now.Sub(c.start) >= window {
		c = &count{start: now}
		h.kinds[k] = c
	}
	c.n++
	if c.n == most+1 {
		h.after(window-now.Sub(c.start), func() { h.tell(k, c) })
	}
	return c.n <= most
}

// forget removes the kinds whose window is over. The caller holds mu.
func (h *handler) forget(now time.Time) {
	for k, c := range h.kinds {
		if now.Sub(c.start) >= window {
			delete(h.kinds, k)
		}
	}
}

// tell logs how many lines of a kind were left out.
func (h *handler) tell(k kind, c *count) {
	h.mu.Lock()
	if h.kinds[k] == c {
		delete(h.kinds, k)
	}
	n := c.n - most
	h.mu.Unlock()
	text := "lines of one kind were left out"
	if k.message == audit {
		text = "lines of one kind were written with the level INFO"
	}
	r := slog.NewRecord(h.now(), k.level, text, k.pc)
	r.AddAttrs(slog.String("line", k.message), slog.Int("count", n))
	for name, value := range map[string]string{"operation": k.what, "outcome": k.outcome} {
		if value != "" {
			r.AddAttrs(slog.String(name, value))
		}
	}
	_ = h.Handler.Handle(context.Background(), r)
}

// The attributes that tell lines about calls apart.
var (
	whats    = []string{"operation", "name"}
	outcomes = []string{"outcome", "fault"}
)

func kindOf(r slog.Record) kind {
	k := kind{pc: r.PC, level: r.Level, message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch {
		case a.Value.Kind() != slog.KindString:
		case slices.Contains(whats, a.Key):
			k.what = a.Value.String()
		case slices.Contains(outcomes, a.Key):
			k.outcome = a.Value.String()
		}
		return true
	})
	return k
}
