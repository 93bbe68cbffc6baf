package cluster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/store"
)

const (
	// MaxSkew is how far a server's clock may be from another's before the two
	// disagree. It is more than a report takes on its way while all is well.
	MaxSkew = 10 * time.Second
	// settled is how long after its start a server has heard of every other that
	// runs.
	settled = 2*ReportEvery + MaxSkew
)

// heard is what the reports of another server say about its clock: what it showed
// when this server's steady clock was at zero, twice. A report that was long on
// its way makes the clock look slow, so that the later of two is the better; but
// one that shows less than the one before comes from a clock that was set back.
type heard struct {
	at       time.Duration // of the last, on the steady clock
	reported time.Time     // in it
	last     time.Time
	zero     time.Time
}

func (h heard) next(reported time.Time, at time.Duration) heard {
	last := reported.Add(-at)
	zero := last
	if h.last.After(last) && reported.After(h.reported) {
		zero = h.last
	}
	return heard{at, reported, last, zero}
}

// hear takes note of a report that came as it was made. Servers are told apart
// by name: one that ends and starts again and again has one say. Callers hold mu.
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

// clocks counts the servers that run, this one included, and those whose clocks
// are not this one's. by is how far this one is from the one in their middle.
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
			continue // it is dead, or not heard any more
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

// Clock returns nil, or store.ErrUnavailable where most servers agree that this
// one's clock is wrong: sessions and tickets that it takes for expired or not may
// be the contrary, and it must serve nobody. Of two that disagree nobody can say
// which is wrong.
func (c *Cluster) Clock() error {
	all, off, by := c.clocks()
	if 2*off <= all {
		return nil
	}
	way := "ahead of"
	if by < 0 {
		way = "behind"
	}
	return fmt.Errorf("%w: the clock is %v %s those of %d of %d nodes", store.ErrUnavailable, by.Abs().Round(time.Second), way, off, all)
}

// MayExpire reports whether this server's clock may end for all what has expired
// by it: most servers agree with it, and it has had the time to hear from them.
func (c *Cluster) MayExpire() bool {
	all, off, _ := c.clocks()
	return c.view.steady() > settled && 2*off < all
}
