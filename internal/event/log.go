package event

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// Options of a log. The zero value is good.
type Options struct {
	Now func() time.Time // nil: time.Now
	// Retention is how long an event is kept. 0: 30 days.
	Retention time.Duration
	// Keep is how many events are kept: the newest. 0: 100,000.
	Keep int
	// Logger hears of records that can't be read. nil: slog.Default.
	Logger *slog.Logger
}

// Defaults of Options.
const (
	defaultRetention = 30 * 24 * time.Hour
	defaultKeep      = 100_000
)

// Log makes events durable, holds the newest in memory and answers queries.
// All methods may be called at the same time.
type Log struct {
	now       func() time.Time
	retention time.Duration
	keep      int
	logger    *slog.Logger
}

// NewLog makes an empty log. Feed it from a store.Mirror.
func NewLog(o Options) *Log {
	l := &Log{
		now:       o.Now,
		retention: cmp.Or(o.Retention, defaultRetention),
		keep:      cmp.Or(o.Keep, defaultKeep),
		logger:    cmp.Or(o.Logger, slog.Default()),
	}
	if l.now == nil {
		l.now = time.Now
	}
	return l
}

// Change is the part of a commit that posts the event: put it beside the
// changes that the event tells of. Created is now where it is not given.
// Strings are cleaned of control characters and cut to bounds.
func (l *Log) Change(e Event) store.Change {
	if y := e.Created.UTC().Year(); e.Created.IsZero() || y < 1 || y > 9999 {
		e.Created = l.now()
	}
	e.Created = e.Created.UTC().Round(0)
	b, err := json.Marshal(e.bounded())
	if err != nil {
		// bounded left nothing that JSON can't hold.
		panic("event: encode " + e.Type + ": " + err.Error())
	}
	return store.Append(store.Event, b, e.Created.Add(l.retention))
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
