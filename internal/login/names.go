package login

import (
	"container/list"
	"slices"
	"time"
)

const (
	// maxPairs is how many addresses have a counter of their own for one name. With
	// the default rules the rule for principals allows fewer.
	maxPairs = 128
	// maxUsual addresses of a name are remembered as those that it logs in from,
	// for usualTime after the last login.
	maxUsual  = 8
	usualTime = 7 * 24 * time.Hour
)

// name is what is counted of a principal that exists.
type name struct {
	key    string
	own    counter
	pairs  *table  // by network; nil until there is a failure
	usual  []visit // where it logged in from, the latest last
	over   time.Duration
	listed *list.Element
}

// visit is the latest login from a network.
type visit struct {
	network string
	at      time.Duration
}

// visited reports whether the principal has logged in from the network lately.
// Nobody, nil, has not.
func (n *name) visited(network string, now time.Duration) bool {
	return n != nil && slices.ContainsFunc(n.usual, func(v visit) bool {
		return v.network == network && now < v.at+usualTime
	})
}

// visit remembers a login.
func (n *name) visit(network string, now time.Duration) {
	n.usual = slices.DeleteFunc(n.usual, func(v visit) bool { return v.network == network })
	if len(n.usual) >= maxUsual {
		n.usual = slices.Delete(n.usual, 0, 1)
	}
	n.usual = append(n.usual, visit{network, now})
	n.over = max(n.over, now+usualTime)
}

// names has what is counted of principals that exist. How many those are is not
// up to strangers.
type names struct {
	byKey map[string]*name
	ages  list.List // *name, those used longest ago first
}

// make returns the name with the key, which it makes if need be. It forgets
// names of which nothing counts any more, two at the most.
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
