package event

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// Collector reads the events that a filter selects in pages, as the API's
// EventHistoryCollector does: a "latest page" of the newest, and a position
// between events that moves over all of them, older and newer. All methods may
// be called at the same time.
type Collector struct {
	log    *Log
	filter Filter

	mu   sync.Mutex // guards what follows
	page int        // events in the latest page
	// at: the position is behind the event of this number and all before.
	// Being a number, and no index, it survives what is trimmed.
	at uint64
}

// NewCollector makes a collector whose position is before the oldest event, as
// the API says. MaxCount of the filter is the size of the latest page.
func (l *Log) NewCollector(f Filter) (*Collector, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("create event collector: %w", err)
	}
	return &Collector{log: l, filter: f, page: cmp.Or(f.MaxCount, defaultPage)}, nil
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
	defer c.mu.Unlock()
	c.page = n
	return nil
}

// LatestPage is the newest events, newest first. It moves nothing.
func (c *Collector) LatestPage() []Event { return events(c.latest()) }

func (c *Collector) latest() []entry {
	c.mu.Lock()
	n := c.page
	c.mu.Unlock()
	return c.log.newest(newMatcher(c.filter, c.log.now()), n)
}

// Rewind puts the position before the oldest event.
func (c *Collector) Rewind() { c.move(0) }

// Reset puts the position right before the latest page: ReadPrevious then
// returns what is older than that page, ReadNext the page and what follows it.
func (c *Collector) Reset() {
	entries := c.log.snapshot()
	page := c.latest()
	switch {
	case len(page) > 0:
		c.move(page[len(page)-1].seq - 1)
	case len(entries) > 0:
		c.move(entries[len(entries)-1].seq)
	default:
		c.move(0)
	}
}

func (c *Collector) move(at uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// ReadNext returns up to n events behind the position, oldest first, and moves
// it behind them. n is 1 to 1,000, else ErrMaxCount.
func (c *Collector) ReadNext(n int) ([]Event, error) {
	if n < 1 || n > MaxCount {
		return nil, fmt.Errorf("read next events: %w", ErrMaxCount)
	}
	m := newMatcher(c.filter, c.log.now())
	entries := c.log.snapshot()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []entry
	for i := after(entries, c.at); i < len(entries) && len(found) < n; i++ {
		if m.matches(&entries[i]) {
			found = append(found, entries[i])
		}
	}
	if len(found) > 0 {
		c.at = found[len(found)-1].seq
	}
	return events(found), nil
}

// ReadPrevious returns up to n events before the position, newest first, and
// moves it before them. n is 1 to 1,000, else ErrMaxCount.
func (c *Collector) ReadPrevious(n int) ([]Event, error) {
	if n < 1 || n > MaxCount {
		return nil, fmt.Errorf("read previous events: %w", ErrMaxCount)
	}
	m := newMatcher(c.filter, c.log.now())
	entries := c.log.snapshot()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []entry
	for i := after(entries, c.at) - 1; i >= 0 && len(found) < n; i-- {
		if m.matches(&entries[i]) {
			found = append(found, entries[i])
		}
	}
	if len(found) > 0 {
		c.at = found[len(found)-1].seq - 1
	}
	return events(found), nil
}

// after is the index of the first entry behind the position.
func after(entries []entry, at uint64) int {
	i, found := slices.BinarySearchFunc(entries, at, func(e entry, at uint64) int { return cmp.Compare(e.seq, at) })
	if found {
		i++
	}
	return i
}
