package serve

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage may gather before it is collected. By Go's default as much as
// there is in use, so that a small server collects all the time: its reads cost a
// fifth more processor time than with room to spare. To mark a million sessions
// costs a fifth of a second, so they get half as much again as by default: reads
// beside them then cost a twentieth more than beside few, otherwise a fifth, and
// their memory still is less than thrice what they need.
const (
	reserved   = 64 << 20 // bytes that there may be beside little in use
	beside     = 150      // per cent of what is in use, where that is more
	liveMetric = "/gc/heap/live:bytes"
)

// collector keeps the garbage collector's setting.
//
// That is a percentage of what is in use, and what is in use changes faster than
// it can follow: a login's hash holds 19 MiB for some 20 ms, seven times what a
// small server holds. A setting made for the one would let a gigabyte gather
// beside the other, all of it memory that the system has to clear anew. So a part
// of the heap is taken and never touched, which costs addresses and no memory:
// with it no setting from 50 to 150 % is far off.
type collector struct{ reserve []byte }

// newCollector makes the setting. GOGC in the environment goes before it.
func newCollector() *collector {
	if os.Getenv("GOGC") != "" {
		return &collector{}
	}
	return &collector{reserve: make([]byte, reserved)}
}

// tune keeps the setting in step with what is in use.
func (c *collector) tune() {
	if c.reserve == nil {
		return
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		debug.SetGCPercent(gcPercent(sample[0].Value.Uint64()))
	}
}

// gcPercent is the collector's setting for a heap with so much alive, the
// reserve included.
func gcPercent(live uint64) int {
	if live <= reserved {
		return 100
	}
	return int(100 * max(reserved, (live-reserved)*beside/100) / live)
}
