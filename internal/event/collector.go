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

// Collector reads the events that a filter selects in pages, as the API's
// EventHistoryCollector does: a "latest page" of the newest, and a position
// between events that moves over all of them, older and newer. All methods may
// be called at the same time.
type Collector struct {
	log    *Log
	filter Filter
	wants  *criteria
	closed bool // guarded by log.mu

	mu   sync.Mutex // guards what follows
	page int        // events in the latest page
	// at: the position is behind the event of this number and all before.
	// Being a number, and no index, it survives what is trimmed.
	at    uint64
	known known
}

// known is what was found when the latest page was last asked for, so that only
// the events since are looked at the next time: a log has 100,000.
type known struct {
	scans int // of the whole log so far; 0: nothing is known
	epoch uint64
	page  int
	upTo  uint64   // the last event that was judged
	seqs  []uint64 // of the page's events, oldest first
	older bool     // events before the page match too
}

// NewCollector makes a collector whose position is before the oldest event, as
// the API says. MaxCount of the filter is the size of the latest page.
func (l *Log) NewCollector(f Filter) (*Collector, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("create event collector: %w", err)
	}
	return &Collector{log: l, filter: f, wants: newCriteria(f), page: cmp.Or(f.MaxCount, defaultPage)}, nil
}

// Filter is what the collector was made with.
func (c *Collector) Filter() Filter { return c.filter }

// SetPageSize sets how many events the latest page holds: 1 to 1,000, else
// ErrMaxCount. The position stays.
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

// PageSize is how many events the latest page holds at most.
func (c *Collector) PageSize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.page
}

// LatestPage is the newest events, newest first. It moves nothing.
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
	k := known{scans: c.known.scans + 1, epoch: epoch, page: c.page, older: len(found) > c.page}
	found = found[:min(len(found), c.page)]
	k.upTo = v.last()
	for _, e := range slices.Backward(found) {
		k.seqs = append(k.seqs, e.seq)
	}
	c.known = k
	return found
}

// update finds the latest page by what is known of it. It reports false if that
// can't be done. Callers hold mu.
func (c *Collector) update(v *view, epoch uint64, now time.Time) ([]entry, bool) {
	k := &c.known
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
			return nil, false // one that is older may live longer
		case !gone:
			found = append(found, *e)
		}
	}
	return found, true
}

// Changed returns a channel that is closed when the latest page may be another:
// at the next event that the filter selects, or when another page size is set.
// Take it before the page. Close ends its use.
func (c *Collector) Changed() <-chan struct{} { return c.log.watch(c) }

// Close wakes who waits for the collector's events. None are told apart for it
// any more.
func (c *Collector) Close() { c.log.unwatch(c) }

// Rewind puts the position before the oldest event.
func (c *Collector) Rewind() { c.move(0) }

// Reset puts the position right before the latest page: ReadPrevious then
// returns what is older than that page, ReadNext the page and what follows it.
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

// ReadNext returns up to n events behind the position, oldest first, and moves
// it behind them. n is 1 to 1,000, else ErrMaxCount.
func (c *Collector) ReadNext(n int) ([]Event, error) {
	return c.read("next", n, (*view).after, 0)
}

// ReadPrevious returns up to n events before the position, newest first, and
// moves it before them. n is 1 to 1,000, else ErrMaxCount.
func (c *Collector) ReadPrevious(n int) ([]Event, error) {
	return c.read("previous", n, (*view).upTo, 1)
}

// read moves the position to before less than the last event that it returns.
func (c *Collector) read(which string, n int, from func(*view, uint64) iter.Seq[*entry], before uint64) ([]Event, error) {
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
