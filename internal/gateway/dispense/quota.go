package dispense

import (
	"maps"
	"sync"
	"time"
)

// quota limits how often each of many names may do something in a minute. The zero quota is ready.
type quota struct {
	mu    sync.Mutex // guards names
	names map[string]level
}

// level is how much of its quota a name has used. It falls to 0 within a minute.
type level struct {
	used float64
	at   time.Time
}

const (
	span     = time.Minute
	maxNames = 10_000 // that are kept; the least used ones are forgotten
)

// now returns the level at a time.
func (l level) now(perMinute int, at time.Time) float64 {
	return max(0, l.used-float64(perMinute)*max(0, at.Sub(l.at).Seconds())/span.Seconds())
}

// take uses the quota of a name once. If it is used up, take returns after what time it is not.
func (q *quota) take(name string, perMinute int, at time.Time) (after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.names == nil {
		q.names = map[string]level{}
	}
	used := q.names[name].now(perMinute, at)
	if after = wait(used, perMinute); after > 0 {
		return after
	}
	if len(q.names) >= maxNames {
		q.forget(perMinute, at)
	}
	q.names[name] = level{used + 1, at}
	return 0
}

// blocked returns after what time the quota of a name is not used up, without using it.
func (q *quota) blocked(name string, perMinute int, at time.Time) (after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return wait(q.names[name].now(perMinute, at), perMinute)
}

// wait returns how long it takes until one more is free.
func wait(used float64, perMinute int) time.Duration {
	if over := used + 1 - float64(perMinute); over > 1e-6 {
		return time.Duration(over / float64(perMinute) * float64(span))
	}
	return 0
}

// forget makes room. Names that have used nothing go first, and then all: a caller that has so many names
// can't be held back by them. The caller holds mu.
func (q *quota) forget(perMinute int, at time.Time) {
	maps.DeleteFunc(q.names, func(_ string, l level) bool { return l.now(perMinute, at) < 0.5 })
	if len(q.names) >= maxNames {
		clear(q.names)
	}
}
