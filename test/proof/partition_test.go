//go:build linux

package proof_test

import (
	"context"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/load"
	"github.com/vigate/vigate/test/proof/site"
)

var (
	split    = flag.Duration("split", time.Second, "how long members of etcd are cut off from each other, or paused")
	splits   = flag.Int("splits", 4, "in how many ways, of all that there are")
	riftOnly = flag.String("rift", "", "only ways whose description holds this text")
)

// noNode means that all nodes reach all members.
const noNode = -1

// Requirements on the nodes that reach a majority while members are silent, on a quiet machine. An
// election takes etcd up to 2 s. A write that was sent to a silent member takes as long again: it
// must time out, and its outcome must be found out.
const (
	leastReads = 0.9 // share of all reads
	longestGap = 5 * time.Second
	// soonServed is how long it may take to find all nodes serving, one after the other, once the
	// rift is older than bound. One of them may be in such a gap.
	soonServed = longestGap
)

// rift is a failure of the network between the members of etcd, or of members.
type rift struct {
	name string
	do   func(c *cluster, leader int) error
	undo func(c *cluster, leader int) error
	// alone returns the member that reaches no other, if there is one. Then one node reaches only
	// that member.
	alone func(leader int) int
	// quorum: enough members still reach each other.
	quorum bool
}

func next(i int) int { return (i + 1) % 3 }

func cutOff(part func(*site.Peers, int), which func(int) int) (do, undo func(*cluster, int) error) {
	return func(c *cluster, leader int) error { part(c.Peers, which(leader)); return nil },
		func(c *cluster, _ int) error { c.Peers.Heal(); return nil }
}

// rifts returns all rifts. They are described relative to the leader at their beginning.
func rifts() []rift {
	leads := func(leader int) int { return leader }
	follows := next
	var all []rift
	for _, r := range []struct {
		name  string
		part  func(*site.Peers, int)
		which func(int) int
		alone bool
	}{
		{"packets of the leader are lost", (*site.Peers).Stall, leads, true},
		{"the leader is cut off", (*site.Peers).Cut, leads, true},
		{"packets of a follower are lost", (*site.Peers).Stall, follows, true},
		{"the leader is not heard", (*site.Peers).Mute, leads, false},
		{"the leader hears nobody", (*site.Peers).Deafen, leads, false},
		{"a follower is not heard", (*site.Peers).Mute, follows, false},
		{"a follower hears nobody", (*site.Peers).Deafen, follows, false},
		{
			"the leader and a follower do not hear each other",
			func(p *site.Peers, i int) { p.Part(i, next(i)) }, leads, false,
		},
	} {
		x := rift{name: r.name, quorum: true}
		x.do, x.undo = cutOff(r.part, r.which)
		if r.alone {
			x.alone = r.which
		}
		all = append(all, x)
	}
	pause := func(members ...func(int) int) (do, undo func(*cluster, int) error) {
		each := func(do func(*site.Member) error) func(*cluster, int) error {
			return func(c *cluster, leader int) error {
				for _, m := range members {
					if err := do(c.Members[m(leader)]); err != nil {
						return err
					}
				}
				return nil
			}
		}
		return each((*site.Member).Pause), each((*site.Member).Resume)
	}
	one, both := rift{name: "the leader is paused", quorum: true}, rift{name: "the leader and a follower are paused"}
	one.do, one.undo = pause(leads)
	both.do, both.undo = pause(leads, follows)
	return slices.DeleteFunc(append(all, one, both), func(r rift) bool { return !strings.Contains(r.name, *riftOnly) })
}

// TestMembersOfEtcdLoseEachOtherUnderLoad checks all invariants while members of etcd can't reach
// each other, or are suspended. A node that reaches a majority serves. A node that reaches only
// other members stops to serve after its bound.
func TestMembersOfEtcdLoseEachOtherUnderLoad(t *testing.T) {
	beside(t)
	c := loaded(t, bin.vigate)
	all := rifts()
	c.rnd.Shuffle(max(0, len(all)-1), func(i, j int) { all[i+1], all[j+1] = all[j+1], all[i+1] })
	for i, r := range all[:min(*splits, len(all))] {
		eventually(c.t, "all nodes serve", c.serve)
		hold := *split
		if i == 0 {
			hold = max(hold, *away)
		}
		c.suffer(r, hold, i%len(c.Nodes))
		if v := c.broken(); len(v) > 0 {
			t.Errorf("broken: %s", r.name)
			break
		}
	}
	c.prove()
}

// suffer applies the rift for a while, and checks which nodes serve. If a member is alone, it cuts
// the links of node off to all other members.
func (c *cluster) suffer(r rift, hold time.Duration, off int) {
	c.t.Helper()
	leader := c.leader()
	if r.alone == nil {
		off = noNode
	} else {
		c.load.Avoid(c.Nodes[off].Name)
		for m, k := range c.Links(off) {
			if m != r.alone(leader) {
				k.Cut()
			}
		}
	}
	began := time.Now()
	c.must(r.do(c, leader))
	watched, stop := context.WithCancel(c.t.Context())
	availability := c.load.Availability(watched, c.reaching(off)...)
	served, refused := c.whoServes(r, began.Add(hold), off)
	judged := hold > bound && r.quorum
	if judged {
		late := time.Now()
		eventually(c.t, "all nodes that reach a majority serve: "+r.name, func() bool { return c.served(off) })
		c.t.Logf("%s: all nodes that reach a majority served within %v, %v after it began", r.name,
			time.Since(late).Round(time.Millisecond), hold)
		if d := time.Since(late); *quiet && d > soonServed {
			c.t.Errorf("%s: all nodes that reach a majority served only %v after it had begun, want at most %v",
				r.name, hold+d, hold+soonServed)
		}
	}
	stop()
	c.must(r.undo(c, leader))
	if off != noNode {
		for _, k := range c.Links(off) {
			k.Heal()
		}
	}
	a, healed := <-availability, time.Now()
	eventually(c.t, "all nodes serve after: "+r.name, c.serve)
	c.load.Avoid("")
	c.t.Logf("%s for %v: %v; %v, %d refusals; well again after %v", r.name,
		time.Since(began).Round(time.Millisecond), a,
		served.Round(time.Millisecond), refused, time.Since(healed).Round(time.Millisecond))
	if judged && (a.Reads == 0 || a.Writes == 0) {
		c.t.Errorf("%s: nothing was served: %v", r.name, a)
	}
	gap := max(a.LongestRead, a.LongestGap)
	if *quiet && judged && (float64(a.Reads) < leastReads*float64(a.AllReads) || gap > longestGap) {
		c.t.Errorf("%s: %v, want at least %v of the reads and no gap longer than %v",
			r.name, a, leastReads, longestGap)
	}
	if served > bound+100*time.Millisecond {
		c.t.Errorf("%s: a node that reaches no majority served for %v, want at most %v", r.name, served, bound)
	}
}

// whoServes waits until the time. It returns how long a node served that must not, and how many
// calls it refused.
func (c *cluster) whoServes(r rift, until time.Time, off int) (time.Duration, int) {
	switch {
	case !r.quorum:
		return c.load.Serves(c.node(0), until, 0)
	case off != noNode:
		return c.load.Serves(c.node(off), until, 0)
	}
	c.wait(time.Until(until))
	return 0, 0
}

// reaching returns all nodes except node off.
func (c *cluster) reaching(off int) []load.Node {
	var all []load.Node
	for i := range c.Nodes {
		if i != off {
			all = append(all, c.node(i))
		}
	}
	return all
}

// served reports whether all nodes except node off serve reads and changes.
func (c *cluster) served(off int) bool {
	for _, n := range c.reaching(off) {
		if p := c.load.Probe(n); !p.Reads || !p.Writes {
			return false
		}
	}
	return true
}
