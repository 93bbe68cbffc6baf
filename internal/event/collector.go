package event

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"time"
)

// Collector reads the events that a filter selects in pages, like the API's EventHistoryCollector.
// The "latest page" contains the newest events. A position between events can be moved forward and
// backward over all events. All methods are safe for concurrent use.
type Collector struct {
	log    *Log
	filter Filter
	wants  *criteria
	closed bool // guarded by log.mu

	mu   sync.Mutex // guards the fields below
	page int        // size of the latest page
	// at is the position. It is after the event with this number. Because it is a number and not an
	// index, it stays valid when events are trimmed.
	at   uint64
	last latestPage
}

// latestPage caches the last result of a collector's latest page. The next request then looks only
// at newer events instead of the whole log, which may have 100,000 events.
type latestPage struct {
	scans int // number of scans of the whole log so far; 0 means that nothing is cached
	epoch uint64
	page  int
	upTo  uint64   // number of the last event that was checked
	seqs  []uint64 // numbers of the page's events, oldest first
	older bool     // older events match the filter as well
}

// NewCollector creates a collector. Its position is before the oldest event, as the API demands.
// The filter's MaxCount is the size of the latest page. The error is one of Filter.Check.
func (l *Log) NewCollector(f Filter) (*Collector, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("create event collector: %w", err)
	}
	return &Collector{log: l, filter: f, wants: newCriteria(f), page: cmp.Or(f.MaxCount, defaultPage)}, nil
}

// Filter returns the filter that the collector was created with.
func (c *Collector) Filter() Filter { return c.filter }

// SetPageSize sets the size of the latest page. The position does not change. If n is not 1 to
// 1,000, the error is ErrMaxCount.
func (c *Collector) SetPageSize(n int) error {
	if n < 1 || n > MaxCount {
		return fmt.Errorf("set page size: %w", ErrMaxCount)
	}
	c.mu.Lock()
	c.page = n
	c.mu.Unlock()
	c.log.wakeCollector(c)
	return nil
}

// PageSize returns the maximum number of events in the latest page.
func (c *Collector) PageSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.page
}

// LatestPage returns the newest events, newest first. It does not move the position.
func (c *Collector) LatestPage() []Event { return events(c.latest()) }

func (c *Collector) latest() []entry {
	v, epoch := c.log.view()
	now := c.log.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, ok := c.update(v, epoch, now); ok {
		return found
	}
	found := c.wants.over(v.len(), now).first(v.upTo(math.MaxUint64), c.page+1)
	k := latestPage{scans: c.last.scans + 1, epoch: epoch, page: c.page, older: len(found) > c.page}
	found = found[:min(len(found), c.page)]
	k.upTo = v.last()
	for _, e := range slices.Backward(found) {
		k.seqs = append(k.seqs, e.seq)
	}
	c.last = k
	return found
}

// update updates the cached latest page with newer events and returns it. It reports false if the
// whole log must be scanned. The caller holds mu.
func (c *Collector) update(v *view, epoch uint64, now time.Time) ([]entry, bool) {
	k := &c.last
	if k.scans == 0 || k.epoch != epoch || k.page != c.page {
		return nil, false
	}
	m := c.wants.over(int(min(v.last()-min(k.upTo, v.last()), uint64(v.len()))), now)
	for e := range v.after(k.upTo) {
		if k.upTo = e.seq; m.matches(e) {
			k.seqs = append(k.seqs, e.seq)
		}
	}
	if n := len(k.seqs) - c.page; n > 0 {
		k.seqs, k.older = slices.Clone(k.seqs[n:]), true
	}
	found := make([]entry, 0, len(k.seqs))
	for _, seq := range slices.Backward(k.seqs) {
		e := v.find(seq)
		switch gone := e == nil || e.expired(m.now); {
		case gone && k.older:
			return nil, false // an older event may take its place
		case !gone:
			found = append(found, *e)
		}
	}
	return found, true
}

// Changed returns a channel that is closed when the latest page may have changed: at the next event
// that the filter selects, when the page size is changed, and by Close. Callers get it before they
// read the page, so that they don't miss a change.
func (c *Collector) Changed() <-chan struct{} { return c.log.watch(c) }

// Close wakes the calls that wait for the collector's events. After Close, Changed returns a
// channel that is closed at any event.
func (c *Collector) Close() { c.log.unwatch(c) }

// Rewind moves the position before the oldest event.
func (c *Collector) Rewind() { c.move(0) }

// Reset moves the position right before the latest page. ReadPrevious then returns the events that
// are older than the page, and ReadNext returns the page and the events after it.
func (c *Collector) Reset() {
	v := c.log.snapshot()
	if page := c.latest(); len(page) > 0 {
		c.move(page[len(page)-1].seq - 1)
		return
	}
	c.move(v.last())
}

func (c *Collector) move(at uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// ReadNext returns up to n events after the position, oldest first, and moves the position after
// them. If n is not 1 to 1,000, the error is ErrMaxCount.
func (c *Collector) ReadNext(n int) ([]Event, error) {
	return c.read("next", n, (*view).after, 0)
}

// ReadPrevious returns up to n events before the position, newest first, and moves the position
// before them. If n is not 1 to 1,000, the error is ErrMaxCount.
func (c *Collector) ReadPrevious(n int) ([]Event, error) {
	return c.read("previous", n, (*view).upTo, 1)
}

// read does the work of ReadNext and ReadPrevious. It sets the position to the number of the last
// returned event, minus before.
func (c *Collector) read(
	which string, n int, from func(*view, uint64) iter.Seq[*entry], before uint64,
) ([]Event, error) {
	if n < 1 || n > MaxCount {
		return nil, fmt.Errorf("read %s events: %w", which, ErrMaxCount)
	}
	v := c.log.snapshot()
	m := c.wants.over(v.len(), c.log.now())
	c.mu.Lock()
	defer c.mu.Unlock()
	found := m.first(from(v, c.at), n)
	if len(found) > 0 {
		c.at = found[len(found)-1].seq - before
	}
	return events(found), nil
}
