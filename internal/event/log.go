package event

import (
	"cmp"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// Options configures a log. The zero value has the defaults.
type Options struct {
	Now func() time.Time // if nil, time.Now is used
	// Retention is how long an event is kept. If 0, it is 30 days.
	Retention time.Duration
	// Keep is the number of events that each part of the log keeps. If 0, quotas apply: 100,000
	// events in total.
	Keep int
	// KeepBytes is the size in bytes of the events that each part of the log keeps. If 0, quotas
	// apply: 64 MiB in total.
	KeepBytes int
	// Logger logs unreadable records. If nil, slog.Default is used.
	Logger *slog.Logger
}

const defaultRetention = 30 * 24 * time.Hour

// Log holds the newest events in memory and answers queries. Its View shows store.Event,
// store.KeptEvent and store.Numbers. All methods are safe for concurrent use.
//
// The log has parts, see share. Each part keeps its newest events within its own limits.
//
// An event's number is not stored with the event: it follows from the position in the order of
// commits, see store.Numbering. So the number is known when the event arrives from the store, and
// it is the same in every process that reads the store.
type Log struct {
	now       func() time.Time
	retention time.Duration
	quotas    [shares]quota
	logger    *slog.Logger

	mu      sync.Mutex // guards the fields below
	window  window     // the events that readers see
	staged  *staging   // the new state between Reset and Whole; otherwise nil
	epoch   uint64     // counts changes of window, except new events and the removal of the oldest
	damaged int
	changed chan struct{} // closed at the next event; nil while nothing waits
	// watched holds the collectors for whose next event a call waits.
	watched map[*Collector]chan struct{}
}

// NewLog creates an empty log. A store.Mirror must update it.
func NewLog(o Options) *Log {
	l := &Log{
		now:       o.Now,
		retention: cmp.Or(o.Retention, defaultRetention),
		quotas:    quotas,
		logger:    cmp.Or(o.Logger, slog.Default()),
	}
	if l.now == nil {
		l.now = time.Now
	}
	for s := range l.quotas {
		q := &l.quotas[s]
		q.events, q.bytes = cmp.Or(o.Keep, q.events), cmp.Or(o.KeepBytes, q.bytes)
	}
	l.window = newWindow(l.quotas)
	return l
}

// Change returns the change that appends the event. Callers commit it together with the changes
// that the event describes. If Created is not set, it is the current time. Control characters in
// strings are replaced or removed, and long strings are truncated.
func (l *Log) Change(e Event) store.Change {
	if !inRange(e.Created) {
		e.Created = l.now()
	}
	e.Created = e.Created.UTC().Round(0)
	return store.Append(store.Event, encode(e.bounded()), e.Created.Add(l.retention))
}

// View returns the store.View through which a store.Mirror updates the log.
func (l *Log) View() store.View {
	return store.NewView([]store.Kind{store.Event, store.KeptEvent, store.Numbers}, l.reset, l.put, l.delete, l.whole)
}

// reset is the view's Reset. Readers see the old state until the view's Whole is called.
func (l *Log) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged = newStaging(l.quotas)
	l.damaged = 0
}

// maxDamageLogged limits the number of warnings between two resets, because there may be many
// records of a newer version.
const maxDamageLogged = 10

// put is the view's Put. If a record is unreadable because it is damaged or was written by a newer
// version, it is counted and skipped: one bad event must not make the whole log unavailable.
func (l *Log) put(r store.Record) {
	switch r.Kind {
	case store.Numbers:
		l.putNumbering(r)
		return
	case store.KeptEvent:
		l.putKept(r)
		return
	}
	e, err := newEntry(r)
	if err != nil {
		l.countDamaged(r, err)
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

// countDamaged counts and logs an unreadable record.
func (l *Log) countDamaged(r store.Record, err error) {
	l.mu.Lock()
	l.damaged++
	n := l.damaged
	l.mu.Unlock()
	if n <= maxDamageLogged {
		l.logger.Warn("unreadable event skipped", "record", r.ID, "err", err, "so_far", n)
	}
}

// putKept adds an event that was moved to store.KeptEvent.
func (l *Log) putKept(r store.Record) {
	e, err := newEntry(r)
	seq, badID := store.IDNumber(r.ID)
	if err = cmp.Or(err, badID); err != nil {
		l.countDamaged(r, err)
		return
	}
	e.seq = seq
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staged != nil {
		l.staged.kept[seq] = e
	} else if l.window.keep(e) {
		l.epoch++
	}
}

// putNumbering stores the new Numbering. The events in the window already have their numbers.
func (l *Log) putNumbering(r store.Record) {
	if r.ID != store.NumberingID(store.Event) {
		return
	}
	n, err := store.ParseNumbering(r)
	if err != nil {
		l.logger.Error("the record that numbers the events is unreadable", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.staged != nil {
		l.staged.numbering = numbering{n, r.Revision, err}
		return
	}
	l.window.numbering = numbering{n, r.Revision, err}
}

// delete is the view's Delete.
func (l *Log) delete(k store.Kind, id string) {
	if k == store.Numbers {
		return // the record is never deleted
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, _ := store.IDNumber(id) // number of a kept event; records with other ids were skipped
	inside := false
	switch {
	case k == store.KeptEvent && l.staged != nil:
		delete(l.staged.kept, seq)
	case k == store.KeptEvent:
		inside = l.window.removeKept(seq)
	case l.staged != nil:
		l.staged.remove(id)
	default:
		inside = l.window.remove(id)
	}
	if inside {
		l.epoch++
	}
}

// whole is the view's Whole.
func (l *Log) whole() {
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

// wake wakes the calls that wait for any event. The caller holds mu.
func (l *Log) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Changed returns a channel that is closed at the next event. Callers get it before a query, so
// that they don't miss an event.
func (l *Log) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next()
}

// next returns the channel that is closed at the next event. The caller holds mu.
func (l *Log) next() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Damaged returns the number of unreadable events since the last Reset.
func (l *Log) Damaged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.damaged
}

// snapshot returns the events in memory.
func (l *Log) snapshot() *view {
	v, _ := l.view()
	return v
}

// view returns the events in memory and their epoch.
func (l *Log) view() (_ *view, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window.snapshot(), l.epoch
}

// Size returns the number of events in memory.
func (l *Log) Size() int { return l.snapshot().len() }

// Latest returns the newest event. It reports false if there is none.
func (l *Log) Latest() (Event, bool) {
	if found := l.Query(Filter{MaxCount: 1}); len(found) > 0 {
		return found[0], true
	}
	return Event{}, false
}

// Query returns the newest events that the filter selects, up to its MaxCount, oldest first.
func (l *Log) Query(f Filter) []Event {
	v := l.snapshot()
	found := newCriteria(f).over(v.len(), l.now()).first(v.upTo(math.MaxUint64), f.limit())
	slices.Reverse(found)
	return events(found)
}

func events(entries []entry) []Event {
	out := make([]Event, len(entries))
	for i := range entries {
		out[i] = entries[i].event()
	}
	return out
}
