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

// Options of a log. The zero value is good.
type Options struct {
	Now func() time.Time // nil: time.Now
	// Retention is how long an event is kept. 0: 30 days.
	Retention time.Duration
	// Keep is how many events of each part of the log are kept: the newest. 0: as
	// many as quotas say, 100,000 in all.
	Keep int
	// KeepBytes is how many bytes the kept events of each part have. 0: as many as
	// quotas say, 64 MiB in all.
	KeepBytes int
	// Logger hears of records that can't be read. nil: slog.Default.
	Logger *slog.Logger
}

const defaultRetention = 30 * 24 * time.Hour

// Log makes events durable, holds the newest in memory and answers queries. It
// shows store.Event, store.KeptEvent and store.Numbers. All methods may be called
// at the same time.
//
// The log has parts, see share: each keeps its newest events, within bounds of
// its own.
//
// An event's number is not stored with it: it follows from the event's place in
// the order of commits, see store.Numbering. So it is known when the store's
// stream brings the event, and is the same in every process that reads the store.
type Log struct {
	now       func() time.Time
	retention time.Duration
	quotas    [shares]quota
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

// View is what the mirror feeds the log by.
func (l *Log) View() store.View {
	return store.NewView([]store.Kind{store.Event, store.KeptEvent, store.Numbers}, l.reset, l.put, l.delete, l.whole)
}

// reset is the view's Reset. Readers see the old state until Whole.
func (l *Log) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staged = newStaging(l.quotas)
	l.damaged = 0
}

// maxDamageLogged bounds the warnings between two Resets: the records of a
// newer version may be many.
const maxDamageLogged = 10

// put is the view's Put. A record that can't be read, being damaged or
// written by a newer version, is counted and passed over: one bad event must
// not take the log away.
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
		l.passOver(r, err)
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

// passOver counts a record that can't be read.
func (l *Log) passOver(r store.Record, cause error) {
	l.mu.Lock()
	l.damaged++
	n := l.damaged
	l.mu.Unlock()
	if n <= maxDamageLogged {
		l.logger.Warn("event passed over", "record", r.ID, "cause", cause.Error(), "so_far", n)
	}
}

// putKept takes an event that was moved out of the way of those after it.
func (l *Log) putKept(r store.Record) {
	e, err := newEntry(r)
	seq, badID := store.IDNumber(r.ID)
	if err = cmp.Or(err, badID); err != nil {
		l.passOver(r, err)
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

// delete is the view's Delete.
func (l *Log) delete(k store.Kind, id string) {
	if k == store.Numbers {
		return // nobody deletes it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, _ := store.IDNumber(id) // of an event that is kept; others were not taken
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

// snapshot is the events in memory.
func (l *Log) snapshot() *view {
	v, _ := l.view()
	return v
}

// view is snapshot with the epoch that it is of.
func (l *Log) view() (_ *view, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window.snapshot(), l.epoch
}

// Size is how many events are in memory.
func (l *Log) Size() int { return l.snapshot().len() }

// Latest is the newest event, if there is one.
func (l *Log) Latest() (Event, bool) {
	if found := l.Query(Filter{MaxCount: 1}); len(found) > 0 {
		return found[0], true
	}
	return Event{}, false
}

// Query returns the newest events that the filter selects, at most its
// MaxCount, oldest first.
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
