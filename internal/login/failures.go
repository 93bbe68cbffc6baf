package login

import (
	"container/list"
	"hash/maphash"
	"time"

	"github.com/vigate/vigate/internal/setting"
)

// counter counts the failures of one key. Times are since the throttle was made;
// a nil counter has counted nothing.
type counter struct {
	key    string
	at     []time.Duration // failures within the interval, oldest first
	until  time.Duration   // locked until then
	over   time.Duration   // from then on nothing in it counts
	listed *list.Element   // in a list of its table; nil: in none
}

// locked reports whether a lock is in force.
func (c *counter) locked(now time.Duration) bool { return c != nil && now < c.until }

// failures is how many failures count.
func (c *counter) failures(now time.Duration, l setting.Lockout) int {
	if c == nil {
		return 0
	}
	return len(after(c.at, now-l.Interval))
}

// fail counts a failure, and reports whether a lock begins with it.
func (c *counter) fail(now time.Duration, l setting.Lockout) (begins bool) {
	c.at = append(after(c.at, now-l.Interval), now)
	c.over = max(c.over, now+l.Interval)
	if len(c.at) < l.Failures {
		return false
	}
	begins = !c.locked(now)
	c.at, c.until = nil, now+l.Duration
	c.over = max(c.over, c.until)
	return begins
}

// after drops the times up to and including t.
func after(at []time.Duration, t time.Duration) []time.Duration {
	for len(at) > 0 && at[0] <= t {
		at = at[1:]
	}
	return at
}

// table has counters for up to max keys. When it is full, the counter whose last
// failure is the oldest makes room for a new key, but never one whose lock is in
// force. A key for which there is no room shares a counter with others, so that
// its failures are counted all the same. Whatever the table does takes constant
// time.
type table struct {
	max int
	// keep: a counter that still counts makes no room, locked or not.
	keep     bool
	counters map[string]*counter
	// open and locked are the counters of the table, those that failed longest ago
	// first. Those whose lock was in force at their last failure are in locked.
	open, locked list.List
	shared       []counter // of keys for which there is no room, by their hash
	seed         maphash.Seed
}

func newTable(max, shared int, keep bool) *table {
	return &table{max: max, keep: keep, counters: map[string]*counter{}, shared: make([]counter, shared), seed: maphash.MakeSeed()}
}

// find returns the counter of the key. With own that is never a shared one, and
// nil if the key has none. A nil table has no counters.
func (t *table) find(key string, own bool) *counter {
	if t == nil {
		return nil
	}
	if c := t.counters[key]; c != nil || own {
		return c
	}
	return t.share(key)
}

// make is find that makes a counter where there is room for one, with own also
// beyond that.
func (t *table) make(key string, own bool, now time.Duration) *counter {
	if c := t.counters[key]; c != nil {
		return c
	}
	// While the shared counter counts, the key stays with it: a new one would
	// forget its failures and locks.
	if s := t.share(key); !own && (now < s.over || !t.room(now)) {
		return s
	}
	c := &counter{key: key}
	c.listed = t.open.PushBack(c)
	t.counters[key] = c
	return c
}

func (t *table) share(key string) *counter {
	return &t.shared[maphash.String(t.seed, key)%uint64(len(t.shared))]
}

// fail counts a failure in a counter of the table.
func (t *table) fail(c *counter, now time.Duration, l setting.Lockout) (begins bool) {
	begins = c.fail(now, l)
	if c.listed == nil {
		return begins // shared
	}
	t.unlist(c)
	if c.locked(now) {
		c.listed = t.locked.PushBack(c)
	} else {
		c.listed = t.open.PushBack(c)
	}
	t.sweep(now)
	return begins
}

// room reports whether there is room for one more counter, and makes it if need
// be. While locks fill the table, the open counters keep a quarter of it: they
// must live long enough to count.
func (t *table) room(now time.Duration) bool {
	t.sweep(now)
	if len(t.counters) >= t.max && !t.keep && t.open.Len() > t.max/4 {
		t.drop(t.open.Front().Value.(*counter))
	}
	return len(t.counters) < t.max
}

// sweep drops counters of which nothing counts any more, two of each list at the
// most, so that a table of which little is used becomes small again.
func (t *table) sweep(now time.Duration) {
	for _, l := range []*list.List{&t.open, &t.locked} {
		for range 2 {
			if e := l.Front(); e != nil && now >= e.Value.(*counter).over {
				t.drop(e.Value.(*counter))
			}
		}
	}
}

// drop forgets what a counter of the table, no shared one, has counted.
func (t *table) drop(c *counter) {
	t.unlist(c)
	delete(t.counters, c.key)
}

// unlist takes a counter out of the list that it is in.
func (t *table) unlist(c *counter) {
	t.open.Remove(c.listed)
	t.locked.Remove(c.listed)
}
