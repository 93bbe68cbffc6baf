package login

import (
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/setting"
)

// Throttle counts failed logins and locks: one principal from one address, one
// principal from anywhere, and one address for anybody. The first of them has the
// lowest limit, so that a stranger elsewhere can't lock an administrator out
// with a few guesses.
//
// It lives in this process: on a cluster a guesser has the limits once for each
// node.
type Throttle struct {
	values func() *setting.Values
	now    func() time.Time

	mu       sync.Mutex // guards failures
	failures map[string]*failures
}

// failures are those of one key within the longest interval, oldest first.
type failures struct {
	at     []time.Time
	locked time.Time // until then
}

// maxKeys bounds the memory that strangers can make the throttle use. Past it
// the keys with nothing current go first, then any.
const maxKeys = 50_000

// NewThrottle counts against the limits in values, which are read anew at each
// use.
func NewThrottle(values func() *setting.Values, now func() time.Time) *Throttle {
	if now == nil {
		now = time.Now
	}
	return &Throttle{values: values, now: now, failures: map[string]*failures{}}
}

// rule is one way of counting.
type rule struct {
	key  string
	what string // for the event
	setting.Lockout
	anywhere bool // the principal's, from wherever
}

// rules are those that hold for the attempt; the last is the narrowest.
func (t *Throttle) rules(principal, address string) []rule {
	v := t.values()
	p := strings.ToLower(principal)
	all := []rule{{"a\x00" + address, "address " + address, v.Address, false}}
	if p == "" {
		return all
	}
	return append(all,
		rule{"u\x00" + p, principal, v.Principal, true},
		rule{"p\x00" + p + "\x00" + address, principal + " from " + address, v.Pair, false})
}

// Locked reports whether logins of the principal from the address are refused.
func (t *Throttle) Locked(principal, address string) bool {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rules(principal, address) {
		if f := t.failures[r.key]; f != nil && now.Before(f.locked) {
			return true
		}
	}
	return false
}

// Failed counts a failed login and returns what it locked, in words.
//
// What comes from a pair that is locked is no guess, since it is refused
// whatever it says, and does not count against the principal: otherwise one
// client that goes on would lock the principal out from everywhere.
func (t *Throttle) Failed(principal, address string) []string {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var locked []string
	rules := t.rules(principal, address)
	pair := t.failures[rules[len(rules)-1].key]
	guess := pair == nil || !now.Before(pair.locked)
	for _, r := range rules {
		if r.Failures <= 0 || !guess && r.anywhere {
			continue // switched off, or no guess
		}
		f := t.failures[r.key]
		if f == nil {
			t.makeRoom(now)
			f = &failures{}
			t.failures[r.key] = f
		}
		f.at = append(after(f.at, now.Add(-r.Interval)), now)
		if len(f.at) >= r.Failures {
			if !now.Before(f.locked) {
				locked = append(locked, r.what)
			}
			f.at, f.locked = nil, now.Add(r.Duration)
		}
	}
	return locked
}

// Succeeded forgets the failures of the principal from the address.
func (t *Throttle) Succeeded(principal, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failures, "p\x00"+strings.ToLower(principal)+"\x00"+address)
}

// Unlock forgets all failures of the principal, from wherever, and reports
// whether anything was locked.
func (t *Throttle) Unlock(principal string) bool {
	now := t.now()
	p := strings.ToLower(principal)
	t.mu.Lock()
	defer t.mu.Unlock()
	was := false
	for k, f := range t.failures {
		if k == "u\x00"+p || strings.HasPrefix(k, "p\x00"+p+"\x00") {
			was = was || now.Before(f.locked)
			delete(t.failures, k)
		}
	}
	return was
}

// makeRoom keeps the map within maxKeys. Callers hold mu.
func (t *Throttle) makeRoom(now time.Time) {
	if len(t.failures) < maxKeys {
		return
	}
	v := t.values()
	old := now.Add(-max(v.Pair.Interval, v.Principal.Interval, v.Address.Interval))
	for k, f := range t.failures {
		if f.at = after(f.at, old); len(f.at) == 0 && !now.Before(f.locked) {
			delete(t.failures, k)
		}
	}
	for k, f := range t.failures {
		if len(t.failures) < maxKeys*9/10 {
			return
		}
		if !now.Before(f.locked) {
			delete(t.failures, k) // a lock in force stays
		}
	}
}

// after drops the times up to and including t.
func after(at []time.Time, t time.Time) []time.Time {
	for len(at) > 0 && !at[0].After(t) {
		at = at[1:]
	}
	return at
}
