package login

import (
	"container/list"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/login/throttle"
)

const (
	// maxPairs is the number of networks that have a counter of their own for one name. With the default
	// rules, the rule for principals allows fewer.
	maxPairs = 128
	// maxUsual is the number of networks of a name that are remembered because it logged in from there,
	// each for usualTime after the last login.
	maxUsual  = 8
	usualTime = 7 * 24 * time.Hour
)

// name holds the counters of a principal that exists.
type name struct {
	key    string
	own    throttle.Counter
	pairs  *throttle.Table // by network; nil until there is a failure
	usual  []visit         // networks that it logged in from, the latest last
	over   time.Duration   // the time after which none of its failures count
	listed *list.Element   // in names.ages
}

// visit is the latest login from a network.
type visit struct {
	network string
	at      time.Duration
}

// visited reports whether the principal has logged in from the network within usualTime. It returns
// false for nil.
func (n *name) visited(network string, now time.Duration) bool {
	return n != nil && slices.ContainsFunc(n.usual, func(v visit) bool {
		return v.network == network && now < v.at+usualTime
	})
}

// visit records a login.
func (n *name) visit(network string, now time.Duration) {
	n.usual = slices.DeleteFunc(n.usual, func(v visit) bool { return v.network == network })
	if len(n.usual) >= maxUsual {
		n.usual = slices.Delete(n.usual, 0, 1)
	}
	n.usual = append(n.usual, visit{network, now})
	n.over = max(n.over, now+usualTime)
}

// names holds the counters of principals that exist. Strangers can't influence how many exist.
type names struct {
	byKey map[string]*name
	ages  list.List // *name, the least recently used first
}

// make returns the name with the key, and creates it if necessary. It then removes up to two names of
// which nothing counts any more.
func (n *names) make(key string, now time.Duration) *name {
	if found := n.byKey[key]; found != nil {
		n.ages.MoveToBack(found.listed)
		return found
	}
	for range 2 {
		if e := n.ages.Front(); e != nil && now >= e.Value.(*name).over {
			n.ages.Remove(e)
			delete(n.byKey, e.Value.(*name).key)
		}
	}
	made := &name{key: key}
	made.listed = n.ages.PushBack(made)
	n.byKey[key] = made
	return made
}
