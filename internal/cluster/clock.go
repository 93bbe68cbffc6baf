package cluster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/store"
)

const (
	// MaxSkew is how far two nodes' clocks may be apart before they disagree. It is longer than a
	// report takes to arrive in normal operation.
	MaxSkew = 10 * time.Second
	// settled is the time after its start by which a node has received a report of every other
	// running node.
	settled = 2*ReportEvery + MaxSkew
)

// heard is what the reports of another node say about its clock. last and zero are times on that
// clock, at the zero of this node's steady clock. A delayed report makes the clock look slow, so
// the later of two values is better. But if a report shows an earlier time than the report before,
// the clock was set back, and only the newer report counts.
type heard struct {
	at       time.Duration // of the last report, on this node's steady clock
	reported time.Time     // the time in the last report
	last     time.Time     // from the last report alone
	zero     time.Time     // the best estimate
}

func (h heard) next(reported time.Time, at time.Duration) heard {
	last := reported.Add(-at)
	zero := last
	if h.last.After(last) && reported.After(h.reported) {
		zero = h.last
	}
	return heard{at, reported, last, zero}
}

// hear records a report at the time of its arrival. It identifies nodes by name: a node that
// restarts again and again has one vote. The caller holds mu.
func (v *view) hear(n Node) {
	if n.Name == v.self {
		return
	}
	at := v.steady()
	maps.DeleteFunc(v.heard, func(_ string, h heard) bool { return at-h.at > lifetime })
	v.heard[n.Name] = v.heard[n.Name].next(n.Reported, at)
	all := slices.Collect(maps.Values(v.heard))
	v.others.Store(&all)
}

// clocks counts the running nodes, this one included, and the nodes whose clocks disagree with this
// one's. by is how far this clock is ahead of the median of those.
func (c *Cluster) clocks() (all, off int, by time.Duration) {
	all = 1
	others := c.view.others.Load()
	if others == nil || len(*others) == 0 {
		return all, 0, 0
	}
	at := c.view.steady()
	zero := c.opts.Now().Add(-at)
	var skews []time.Duration
	for _, h := range *others {
		if at-h.at > lifetime {
			continue // the node is dead, or cut off
		}
		all++
		if d := zero.Sub(h.zero); d.Abs() > MaxSkew {
			off++
			skews = append(skews, d)
		}
	}
	if off > 0 {
		slices.Sort(skews)
		by = skews[len(skews)/2]
	}
	return all, off, by
}

// Clock returns nil, or store.ErrUnavailable if most nodes agree that this node's clock is wrong.
// It must then refuse all calls, because it could take expired sessions and tickets for live ones,
// or live ones for expired. If only two nodes disagree, it can't be known which clock is wrong, so
// Clock returns nil.
func (c *Cluster) Clock() error {
	all, off, by := c.clocks()
	if 2*off <= all {
		return nil
	}
	relation := "ahead of"
	if by < 0 {
		relation = "behind"
	}
	return fmt.Errorf("%w: the clock is %v %s those of %d of %d nodes",
		store.ErrUnavailable, by.Abs().Round(time.Second), relation, off, all)
}

// MayExpire reports whether this node may remove expired records for all nodes. It may if most
// nodes agree with its clock, and it has run long enough to have heard from them.
func (c *Cluster) MayExpire() bool {
	all, off, _ := c.clocks()
	return c.view.steady() > settled && 2*off < all
}
