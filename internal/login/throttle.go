package login

import (
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login/throttle"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/setting"
)

// Throttle counts failed logins and imposes locks by three rules: on one principal from one network (a
// pair), on one principal from all networks, and on one network for all principals. A network is an
// address, or the /64 of an IPv6 address, see peer.Network. The first rule has the lowest limit, so that
// a stranger elsewhere can't lock out an administrator with a few guesses. The second rule does not
// apply to networks from which the principal has logged in recently, so that many strangers can't lock
// out an administrator either.
//
// An attempt counts from its beginning, see guess. However many guesses are tried at once, no more of
// them can succeed than if they were tried one after the other.
//
// It keeps its state in this process: in a cluster, the limits apply on each node separately. It is safe
// for concurrent use.
type Throttle struct {
	values func() *setting.Values
	known  func(principal.Name) bool
	now    func() time.Time
	start  time.Time

	mu        sync.Mutex // guards the following
	networks  *throttle.Table
	strangers *throttle.Table // principals that do not exist, and their pairs
	names     names
	flights   map[string]*list.List // turns of the undecided guesses, by rule and key, in order
	turn      uint64                // of the latest guess
	decided   chan struct{}         // closed when a guess is decided; nil while no guess waits for that
}

// The bounds of the throttle's memory that strangers can fill.
const (
	maxNetworks     = 50_000
	sharedNetworks  = 256
	maxStrangers    = 4_096
	sharedStrangers = 64
)

// NewThrottle returns a throttle with the limits in values, which it reads at each use. known reports
// whether this process knows the principal. It must do the same work for every name, and be safe for
// concurrent use. A principal that it does not know is treated as known once it has logged in. If now is
// nil, it is time.Now.
func NewThrottle(
	values func() *setting.Values, known func(principal.Name) bool, now func() time.Time,
) *Throttle {
	if now == nil {
		now = time.Now
	}
	return &Throttle{
		values: values, known: known, now: now, start: now(),
		networks:  throttle.NewTable(maxNetworks, sharedNetworks, false),
		strangers: throttle.NewTable(maxStrangers, sharedStrangers, false),
		names:     names{byKey: map[string]*name{}},
		flights:   map[string]*list.List{},
	}
}

// claim is the name that a caller claims to have.
type claim struct {
	text string         // canonical, or as sent; empty if the credential contains no name
	name principal.Name // zero if the text is not the name of a principal
}

// key returns the same text for claims of the same principal. The keys of extensions differ from those
// of users.
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

// kind is a kind of rule.
type kind byte

const (
	byNetwork kind = 'a'
	byName    kind = 'n'
	byPair    kind = 'p'
)

// rule is a rule as it applies to one guess.
type rule struct {
	kind
	setting.Lockout
	id string // unique among all kinds and keys
}

// rules returns the rules that apply to the guess.
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

// counter returns the counter of the guess for a rule, and the counter's table, which may be nil. If
// nothing was counted, the counter is nil, unless create is set. Callers hold mu.
func (t *Throttle) counter(g *guess, r rule, create bool) (*throttle.Table, *throttle.Counter) {
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
			n.pairs = throttle.NewTable(maxPairs, 1, true)
		}
		in, key, own = n.pairs, g.network, g.usual
	}
	if create {
		return in, in.Make(key, own, now)
	}
	return in, in.Find(key, own)
}

// since returns the current time in the form of counters.
func (t *Throttle) since() time.Duration { return t.now().Sub(t.start) }

// lookedUp is how many principals Locked looks up at once, so that logins don't wait long.
const lookedUp = 500

// Locked reports of each of the principals whether a lock is in force, for all networks or for at least one.
func (t *Throttle) Locked(all []principal.Name) []bool {
	out := make([]bool, 0, len(all))
	for some := range slices.Chunk(all, lookedUp) {
		locked := map[string]bool{}
		for _, who := range some {
			locked[nameKey(who)] = false
		}
		t.look(locked)
		for _, who := range some {
			out = append(out, locked[nameKey(who)])
		}
	}
	return out
}

// look sets the values of the keys that are locked.
func (t *Throttle) look(locked map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.since()
	for key := range locked {
		n := t.names.byKey[key]
		if n == nil {
			continue
		}
		is := n.own.Locked(now)
		if n.pairs != nil {
			for _, c := range n.pairs.All() {
				is = is || c.Locked(now)
			}
		}
		locked[key] = is
	}
	for id, c := range t.strangers.All() {
		if id == "" || !c.Locked(now) {
			continue // a counter that keys share is nobody's
		}
		key := id[1:]
		if kind(id[0]) == byPair {
			key = key[:strings.LastIndexByte(key, 0)]
		}
		if _, wanted := locked[key]; wanted {
			locked[key] = true
		}
	}
}

// Unlock removes the failures and locks of the principal for all networks, and reports whether anything
// was locked.
func (t *Throttle) Unlock(who principal.Name) bool {
	key := nameKey(who)
	t.mu.Lock()
	defer t.mu.Unlock()
	now, was := t.since(), false
	forget := func(c *throttle.Counter) { was = was || c.Locked(now) }
	if n := t.names.byKey[key]; n != nil {
		forget(&n.own)
		if n.pairs != nil {
			for _, c := range n.pairs.All() {
				forget(c)
			}
		}
		n.own, n.pairs = throttle.Counter{}, nil
	}
	own, pair := string(byName)+key, string(byPair)+key+"\x00"
	for k, c := range t.strangers.All() {
		if k == own || strings.HasPrefix(k, pair) {
			forget(c)
			t.strangers.Drop(c)
		}
	}
	return was
}
