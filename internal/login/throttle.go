package login

import (
	"strings"
	"sync"
	"time"
)

// Limits of failed logins. vSphere's own defaults for failures and interval;
// the lock is for one principal from one address, so that a stranger elsewhere
// can't lock an administrator out with a few guesses.
type Limits struct {
	PairFailures      int           // of one principal from one address
	PairInterval      time.Duration //
	PrincipalFailures int           // of one principal from anywhere
	PrincipalInterval time.Duration
	AddressFailures   int // from one address for anybody
	AddressInterval   time.Duration
	Lock              time.Duration // how long each of them locks
}

// Throttle counts failed logins and locks. It lives in this process: on a
// cluster a guesser has the limits once for each node.
type Throttle struct {
	limits func() Limits
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

// NewThrottle counts against limits, which are read anew at each use.
func NewThrottle(limits func() Limits, now func() time.Time) *Throttle {
	if now == nil {
		now = time.Now
	}
	return &Throttle{limits: limits, now: now, failures: map[string]*failures{}}
}

// rule is one way of counting.
type rule struct {
	key      string
	what     string // for the event
	failures int
	interval time.Duration
}

func rules(l Limits, principal, address string) []rule {
	p := strings.ToLower(principal)
	all := []rule{{"a\x00" + address, "address " + address, l.AddressFailures, l.AddressInterval}}
	if p == "" {
		return all
	}
	return append(all,
		rule{"u\x00" + p, principal, l.PrincipalFailures, l.PrincipalInterval},
		rule{"p\x00" + p + "\x00" + address, principal + " from " + address, l.PairFailures, l.PairInterval})
}

// Locked reports whether logins of the principal from the address are refused.
func (t *Throttle) Locked(principal, address string) bool {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rules(t.limits(), principal, address) {
		if f := t.failures[r.key]; f != nil && now.Before(f.locked) {
			return true
		}
	}
	return false
}

// Failed counts a failed login and returns what it locked, in words.
func (t *Throttle) Failed(principal, address string) []string {
	now, l := t.now(), t.limits()
	t.mu.Lock()
	defer t.mu.Unlock()
	var locked []string
	for _, r := range rules(l, principal, address) {
		if r.failures <= 0 {
			continue // switched off
		}
		f := t.failures[r.key]
		if f == nil {
			t.makeRoom(now, l)
			f = &failures{}
			t.failures[r.key] = f
		}
		f.at = append(after(f.at, now.Add(-r.interval)), now)
		if len(f.at) >= r.failures {
			if !now.Before(f.locked) {
				locked = append(locked, r.what)
			}
			f.at, f.locked = nil, now.Add(l.Lock)
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
func (t *Throttle) makeRoom(now time.Time, l Limits) {
	if len(t.failures) < maxKeys {
		return
	}
	old := now.Add(-max(l.PairInterval, l.PrincipalInterval, l.AddressInterval))
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
