package login

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/setting"
)

// Throttle counts failed logins and locks: one principal from one network, one
// principal from anywhere, and one network for anybody. A network is an address,
// or the /64 of an IPv6 address: see peer.Network. The first rule has the lowest
// limit, so that a stranger elsewhere can't lock an administrator out with a few
// guesses; and the second does not hold for networks from which the principal has
// logged in lately, so that many strangers can't either.
//
// Guesses count from when they begin: see guess. However many are tried at once,
// no more of them can succeed than if they were tried one after the other.
//
// It lives in this process: on a cluster a guesser has the limits once for each
// node.
type Throttle struct {
	values func() *setting.Values
	known  func(principal.Name) bool
	now    func() time.Time
	start  time.Time

	mu        sync.Mutex // guards what follows
	networks  *table
	strangers *table // principals that do not exist, and their pairs
	names     names
	flights   map[string]*list.List // turns of the guesses in flight, by rule and key, in order
	turn      uint64                // of the latest guess
	decided   chan struct{}         // closed when a guess is decided; nil while nobody waits for that
}

// The bounds of the memory that strangers can make the throttle use.
const (
	maxNetworks     = 50_000
	sharedNetworks  = 256
	maxStrangers    = 4_096
	sharedStrangers = 64
)

// NewThrottle counts against the limits in values, which are read anew at each
// use. known reports whether there is such a principal, as far as this process
// knows. It must do the same work whatever the answer, and may be called at any
// time. A principal that it does not know counts as one that exists once it has
// logged in.
func NewThrottle(values func() *setting.Values, known func(principal.Name) bool, now func() time.Time) *Throttle {
	if now == nil {
		now = time.Now
	}
	return &Throttle{
		values: values, known: known, now: now, start: now(),
		networks:  newTable(maxNetworks, sharedNetworks, false),
		strangers: newTable(maxStrangers, sharedStrangers, false),
		names:     names{byKey: map[string]*name{}},
		flights:   map[string]*list.List{},
	}
}

// claim is who a caller says that it is.
type claim struct {
	text string         // canonical, or as sent; "": it names nobody
	name principal.Name // zero: the text can't be anybody's name
}

// key is equal for claims that are the same principal. No user has an extension's.
func (c claim) key() string {
	switch {
	case c.text == "":
		return ""
	case c.name.IsZero():
		return "?\x00" + strings.ToLower(c.text)
	}
	return nameKey(c.name)
}

func nameKey(n principal.Name) string {
	if n.Domain == "" {
		return "e\x00" + n.Key()
	}
	return n.Key()
}

// kind is a way of counting.
type kind byte

const (
	byNetwork kind = 'a'
	byName    kind = 'n'
	byPair    kind = 'p'
)

// rule is a way of counting, as it applies to one guess.
type rule struct {
	kind
	setting.Lockout
	id string // of what it counts, among all
}

// rules are those that apply to the guess.
func (t *Throttle) rules(g *guess) []rule {
	v := t.values()
	all := []rule{{byNetwork, v.Address, string(byNetwork) + g.network}}
	if g.key == "" {
		return all
	}
	return append(all,
		rule{byName, v.Principal, string(byName) + g.key},
		rule{byPair, v.Pair, string(byPair) + g.key + "\x00" + g.network})
}

// counter returns what counts the guess by a rule, and the table that it is in,
// which may be nil. Without create it is nil if nothing was counted. Callers hold
// mu.
func (t *Throttle) counter(g *guess, r rule, create bool) (*table, *counter) {
	now := t.since()
	in, key, own := t.strangers, r.id, false
	switch {
	case r.kind == byNetwork:
		in = t.networks
	case g.exists:
		n := t.names.byKey[g.key]
		if create {
			n = t.names.make(g.key, now)
			n.over = max(n.over, now+max(r.Interval, r.Duration))
		} else if n == nil {
			return nil, nil
		}
		if r.kind == byName {
			return nil, &n.own
		}
		if create && n.pairs == nil {
			n.pairs = newTable(maxPairs, 1, true)
		}
		in, key, own = n.pairs, g.network, g.usual
	}
	if create {
		return in, in.make(key, own, now)
	}
	return in, in.find(key, own)
}

// since is the time as counters have it.
func (t *Throttle) since() time.Duration { return t.now().Sub(t.start) }

// Unlock forgets all failures of the principal, from wherever, and reports
// whether anything was locked.
func (t *Throttle) Unlock(who principal.Name) bool {
	key := nameKey(who)
	t.mu.Lock()
	defer t.mu.Unlock()
	now, was := t.since(), false
	forget := func(c *counter) { was = was || c.locked(now) }
	if n := t.names.byKey[key]; n != nil {
		forget(&n.own)
		if n.pairs != nil {
			for _, c := range n.pairs.counters {
				forget(c)
			}
			forget(&n.pairs.shared[0])
		}
		n.own, n.pairs = counter{}, nil
	}
	own, pair := string(byName)+key, string(byPair)+key+"\x00"
	for k, c := range t.strangers.counters {
		if k == own || strings.HasPrefix(k, pair) {
			forget(c)
			t.strangers.drop(c)
		}
	}
	return was
}
