// Package throttle counts failures by key, in memory that strangers can't fill. A [Table] holds the counters
// of many keys, and a [Counter] is that of one key, with the lock that follows from too many failures.
//
// The package does not know what fails: package login counts failed logins by network and by principal, and package
// local counts failed lookups of accounts. It has no lock of its own: each owner of a Table guards it together with
// the rest of its state.
package throttle

import (
	"container/list"
	"hash/maphash"
	"iter"
	"time"

	"github.com/vigate/vigate/internal/setting"
)

// Counter counts the failures of one key. Times are durations since the throttle was created. A nil
// counter has counted nothing.
type Counter struct {
	key    string
	at     []time.Duration // failures within the interval, oldest first
	until  time.Duration   // locked until then
	over   time.Duration   // nothing in it counts from this time on
	listed *list.Element   // in a list of its table; nil for a shared counter
}

// Locked reports whether a lock is in force.
func (c *Counter) Locked(now time.Duration) bool { return c != nil && now < c.until }

// Failures returns the number of failures within the interval.
func (c *Counter) Failures(now time.Duration, l setting.Lockout) int {
	if c == nil {
		return 0
	}
	return len(after(c.at, now-l.Interval))
}

// Fail counts a failure, and reports whether a lock begins with it.
func (c *Counter) Fail(now time.Duration, l setting.Lockout) (begins bool) {
	c.at = append(after(c.at, now-l.Interval), now)
	c.over = max(c.over, now+l.Interval)
	if len(c.at) < l.Failures {
		return false
	}
	begins = !c.Locked(now)
	c.at, c.until = nil, now+l.Duration
	c.over = max(c.over, c.until)
	return begins
}

// after returns the times after t.
func after(at []time.Duration, t time.Duration) []time.Duration {
	for len(at) > 0 && at[0] <= t {
		at = at[1:]
	}
	return at
}

// Table holds counters for up to max keys. If it is full, the counter whose latest failure is the
// oldest is removed for a new key, but never one whose lock is in force. If none can be removed, the key
// shares a counter with other keys, so that its failures still count. All operations take constant
// time.
type Table struct {
	max int
	// keep means that a counter is never removed for a new key while anything in it counts.
	keep     bool
	counters map[string]*Counter
	// open and locked list the counters, those with the oldest latest failure first. A counter is in
	// locked if its lock was in force at its latest failure.
	open, locked list.List
	shared       []Counter // of keys without a counter of their own, by their hash
	seed         maphash.Seed
}

// NewTable returns a table for up to max keys, with the number of shared counters. If keep is set, a counter is
// never removed for a new key while anything in it counts.
func NewTable(max, shared int, keep bool) *Table {
	return &Table{
		max: max, keep: keep, counters: map[string]*Counter{}, shared: make([]Counter, shared),
		seed: maphash.MakeSeed(),
	}
}

// Find returns the counter of the key. If own is set, it returns nil instead of a shared counter. A nil
// table has no counters.
func (t *Table) Find(key string, own bool) *Counter {
	if t == nil {
		return nil
	}
	if c := t.counters[key]; c != nil || own {
		return c
	}
	return t.share(key)
}

// Make is like find, but creates the counter of the key if there is room. If own is set, it creates the
// counter even if there is no room.
func (t *Table) Make(key string, own bool, now time.Duration) *Counter {
	if c := t.counters[key]; c != nil {
		return c
	}
	// While the shared counter counts, the key keeps using it. A new counter would lose the failures and
	// locks of the key.
	if s := t.share(key); !own && (now < s.over || !t.room(now)) {
		return s
	}
	c := &Counter{key: key}
	c.listed = t.open.PushBack(c)
	t.counters[key] = c
	return c
}

// share returns the shared counter of the key.
func (t *Table) share(key string) *Counter {
	return &t.shared[maphash.String(t.seed, key)%uint64(len(t.shared))]
}

// Fail counts a failure in a counter of the table, and reports whether a lock begins with it.
func (t *Table) Fail(c *Counter, now time.Duration, l setting.Lockout) (begins bool) {
	begins = c.Fail(now, l)
	if c.listed == nil {
		return begins // shared
	}
	t.unlist(c)
	if c.Locked(now) {
		c.listed = t.locked.PushBack(c)
	} else {
		c.listed = t.open.PushBack(c)
	}
	t.sweep(now)
	return begins
}

// room reports whether there is room for one more counter, and removes a counter for it if necessary.
// While locks fill the table, a quarter of it is reserved for open counters: they must stay long enough
// to count.
func (t *Table) room(now time.Duration) bool {
	t.sweep(now)
	if len(t.counters) >= t.max && !t.keep && t.open.Len() > t.max/4 {
		t.Drop(t.open.Front().Value.(*Counter))
	}
	return len(t.counters) < t.max
}

// sweep removes up to two counters of each list in which nothing counts any more, so that a table
// shrinks when fewer keys fail.
func (t *Table) sweep(now time.Duration) {
	for _, l := range []*list.List{&t.open, &t.locked} {
		for range 2 {
			if e := l.Front(); e != nil && now >= e.Value.(*Counter).over {
				t.Drop(e.Value.(*Counter))
			}
		}
	}
}

// Drop removes a counter of the table. It must not be a shared one.
func (t *Table) Drop(c *Counter) {
	t.unlist(c)
	delete(t.counters, c.key)
}

// unlist removes a counter from its list.
func (t *Table) unlist(c *Counter) {
	t.open.Remove(c.listed)
	t.locked.Remove(c.listed)
}

// All yields all counters with their keys. A shared counter has the empty key. The current counter may be
// dropped during the iteration.
func (t *Table) All() iter.Seq2[string, *Counter] {
	return func(yield func(string, *Counter) bool) {
		for key, c := range t.counters {
			if !yield(key, c) {
				return
			}
		}
		for i := range t.shared {
			if !yield("", &t.shared[i]) {
				return
			}
		}
	}
}
