package logging

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/testclock"
)

// logged is a log whose timers run when the test says so.
type logged struct {
	*slog.Logger
	text   bytes.Buffer
	clock  *testclock.Clock
	timers []func()
}

func newLogged(level slog.Level) *logged {
	l := &logged{clock: testclock.New(time.Time{})}
	inner := slog.NewTextHandler(&l.text, &slog.HandlerOptions{Level: level})
	l.Logger = slog.New(boundedBy(inner, l.clock.Now, func(_ time.Duration, f func()) {
		l.timers = append(l.timers, f)
	}))
	return l
}

// lines returns how many lines contain the text.
func (l *logged) lines(text string) int {
	n := 0
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// later ends the minute.
func (l *logged) later() {
	l.clock.Advance(window)
	due := l.timers
	l.timers = nil
	for _, f := range due {
		f()
	}
}

func TestAFloodOfErrorsIsAFewLinesAMinuteAndACount(t *testing.T) {
	l := newLogged(slog.LevelInfo)
	for range 2 {
		l.text.Reset()
		for i := range 500 {
			l.With("part", "x").Error("keys can't be read", "err", fmt.Errorf("cause %d", i))
			l.Warn("another kind")
			l.Info("below")
		}
		a, b, c := l.lines("can't be read"), l.lines("another kind"), l.lines("below")
		if a != most || b != most || c != 500 {
			t.Errorf("%d, %d and %d lines", a, b, c)
		}
		l.later()
		if !strings.Contains(l.text.String(), `level=ERROR msg="lines of one kind were left out" part=x `+
			`line="keys can't be read" count=490`) || l.lines("count=490") != 2 {
			t.Error(l.text.String())
		}
	}
	l.text.Reset()
	if l.Error("keys can't be read"); l.lines("can't be read") != 1 || len(l.timers) != 0 {
		t.Error("the first line of the next minute is missing, or has a timer")
	}
}

func TestNoLineOfTheAuditLogIsLeftOut(t *testing.T) {
	l := newLogged(slog.LevelInfo)
	for i := range 100 {
		l.Error("audit", "operation", "A.B", "outcome", "SystemError", "request", i)
		l.Error("audit", "operation", "A.C", "outcome", "SystemError", "request", i)
	}
	if l.lines("level=ERROR") != 2*most || l.lines("level=INFO") != 2*(100-most) {
		t.Errorf("%d and %d lines", l.lines("level=ERROR"), l.lines("level=INFO"))
	}
	l.later()
	if l.lines(`were written with the level INFO" line=audit count=90 `) != 2 {
		t.Error(l.text.String())
	}
	quiet := newLogged(slog.LevelWarn)
	for range 100 {
		quiet.Error("audit", "operation", "A.B", "outcome", "SystemError")
	}
	if n := quiet.lines("msg=audit"); n != most {
		t.Errorf("%d lines in a log of warnings", n)
	}
}

func TestTheMemoryOfKindsIsBounded(t *testing.T) {
	l := newLogged(slog.LevelInfo)
	call := func(i int) { l.Error("call failed", "name", fmt.Sprint(i), "fault", "SystemError") }
	for i := range 5 * maxKind {
		call(i)
	}
	h := l.Handler().(*handler)
	if n := len(h.kinds); n > maxKind+1 || l.lines("call failed") != maxKind+most {
		t.Errorf("%d kinds, %d lines", n, l.lines("call failed"))
	}
	l.later()
	l.text.Reset()
	if call(-1); l.lines("call failed") != 1 || len(h.kinds) > 2 {
		t.Errorf("a minute later: %d lines, %d kinds", l.lines("call failed"), len(h.kinds))
	}
}
