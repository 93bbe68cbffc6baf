package event

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
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

// Log makes events durable, holds the newest in memory and answers queries. It
// is the store.View of store.Event and store.Numbers. All methods may be called at
// the same time.
//
// An event's number is not stored with it: it follows from the event's place in
// the order of commits, see store.Numbering. So it is known when the store's
// stream brings the event, and is the same in every process that reads the store.
type Log struct {
	now       func() time.Time
	retention time.Duration
	keep      int
	logger    *slog.Logger

	mu      sync.Mutex // guards what follows
	window  window     // what readers see
	staged  *staging   // between Reset and Whole
	epoch   uint64     // counts the changes of window other than new events and the end of the oldest
	damaged int
	changed chan struct{} // closed at the next event; nil while nobody waits
	// watched are the collectors of which somebody waits for the next event.
	watched map[*Collector]chan struct{}
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
	l.window.keep = l.keep
	return l
}

// Change is the part of a commit that posts the event: put it beside the
// changes that the event tells of. Created is now where it is not given.
// Strings are cleaned of control characters and cut to bounds.
func (l *Log) Change(e Event) store.Change {
	if !inRange(e.Created) {
		e.Created = l.now()
	}
	e.Created = e.Created.UTC().Round(0)
	return store.Append(store.Event, encode(e.bounded()), e.Created.Add(l.retention))
}

// Kinds is part of store.View.
func (l *Log) Kinds() []store.Kind { return []store.Kind{store.Event, store.Numbers} }

// Reset is part of store.View. Readers see the old state until Whole.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged = newStaging(l.keep)
	l.damaged = 0
}

// maxDamageLogged bounds the warnings between two Resets: the records of a
// newer version may be many.
const maxDamageLogged = 10

// Put is part of store.View. A record that can't be read, being damaged or
// written by a newer version, is counted and passed over: one bad event must
// not take the log away.
func (l *Log) Put(r store.Record) {
	if r.Kind == store.Numbers {
		l.putNumbering(r)
		return
	}
	e, err := newEntry(r)
	if err != nil {
		l.mu.Lock()
		l.damaged++
		n := l.damaged
		l.mu.Unlock()
		if n <= maxDamageLogged {
			l.logger.Warn("event passed over", "record", r.ID, "cause", err.Error(), "so_far", n)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staged != nil {
		l.staged.add(e, r.Revision)
		return
	}
	e = l.window.add(e)
	if !e.readable() {
		return
	}
	l.wake()
	l.wakeCollectors(&e)
}

// putNumbering takes the store's Numbering. Events that are in the window have
// their numbers already.
func (l *Log) putNumbering(r store.Record) {
	if r.ID != store.NumberingID(store.Event) {
		return
	}
	n, err := store.ParseNumbering(r)
	if err != nil {
		l.logger.Error("events can't be numbered as they were", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staged != nil {
		l.staged.numbering = numbering{n, r.Revision, err}
		return
	}
	l.window.numbering = numbering{n, r.Revision, err}
}

// Delete is part of store.View.
func (l *Log) Delete(k store.Kind, id string) {
	if k == store.Numbers {
		return // nobody deletes it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staged != nil {
		l.staged.remove(id)
		return
	}
	if l.window.remove(id) {
		l.epoch++
	}
}

// Whole is part of store.View.
func (l *Log) Whole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staged == nil {
		return
	}
	l.window, l.staged = l.staged.window(), nil
	l.epoch++
	l.wake()
	l.wakeCollectors(nil)
}

// wake tells the waiters. Callers hold mu.
func (l *Log) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Changed returns a channel that is closed when the next event is there. Take
// it before a query, so that no event falls between.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next()
}

// next is closed at the next event. Callers hold mu.
func (l *Log) next() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Damaged is how many stored events could not be read since the state was last
// taken whole.
func (l *Log) Damaged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damaged
}

// snapshot is the events in memory, oldest first. Nobody changes the slice.
func (l *Log) snapshot() []entry {
	entries, _ := l.view()
	return entries
}

// view is snapshot with the epoch that it is of.
func (l *Log) view() (_ []entry, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window.snapshot(), l.epoch
}

// Size is how many events are in memory.
func (l *Log) Size() int { return len(l.snapshot()) }

// Latest is the newest event, if there is one.
func (l *Log) Latest() (Event, bool) {
	entries, now := l.snapshot(), l.now().UnixNano()
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].visible(now) {
			return entries[i].event(), true
		}
	}
	return Event{}, false
}

// Query returns the newest events that the filter selects, at most its
// MaxCount, oldest first.
func (l *Log) Query(f Filter) []Event {
	entries := l.snapshot()
	found := newest(entries, newCriteria(f).over(len(entries), l.now()), f.limit())
	slices.Reverse(found)
	return events(found)
}

// newest returns the newest n of the entries that match, newest first.
func newest(entries []entry, m *matcher, n int) []entry {
	var found []entry
	for i := len(entries) - 1; i >= 0 && len(found) < n; i-- {
		if m.matches(&entries[i]) {
			found = append(found, entries[i])
		}
	}
	return found
}

func events(entries []entry) []Event {
	out := make([]Event, len(entries))
	for i := range entries {
		out[i] = entries[i].event()
	}
	return out
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
