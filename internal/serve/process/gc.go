// Package process is about the server's process as a whole, whatever it serves: the setting of Go's garbage collector
// for a server of any size, the commit that the program was built from, and the limit of open files. The package
// changes settings of the process only when it is told to, because the process may belong to another program.
package process

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// These values determine how much garbage may accumulate before a collection.
//
// By default Go allows as much garbage as there is live memory. A small server then collects all
// the time: its reads cost a fifth more processor time than with more room, so there is a reserve.
// A collection of a million sessions takes a fifth of a second, so large heaps get one and a half
// times their live memory: reads beside them then cost a twentieth more than on a small heap,
// instead of a fifth. Total memory stays below three times the live memory.
const (
	reserved   = 64 << 20 // bytes of garbage that are allowed beside a small heap
	beside     = 150      // percent of the live memory, if that is more than reserved
	liveMetric = "/gc/heap/live:bytes"
)

// Collector keeps the setting of the garbage collector.
//
// The setting is a percentage of the live memory, which changes faster than the setting can be
// adjusted: the hash of one login holds 19 MiB for about 20 ms, seven times the memory of a small
// server. A setting for the low value would allow a gigabyte of garbage at the high value, all of
// it memory that the system must clear first. So the collector allocates a reserve that is never
// touched. It costs address space but no memory, and with it no setting between 50 and 150 % is far
// off.
type Collector struct{ reserve []byte }

// NewCollector sets up the collector. GOGC in the environment overrides it.
func NewCollector() *Collector {
	if os.Getenv("GOGC") != "" {
		return &Collector{}
	}
	return &Collector{reserve: make([]byte, reserved)}
}

// Tune adjusts the setting to the live memory.
func (c *Collector) Tune() {
	if c.reserve == nil {
		return
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		debug.SetGCPercent(gcPercent(sample[0].Value.Uint64()))
	}
}

// gcPercent returns the collector's setting for a heap with the given live memory, including the
// reserve.
func gcPercent(live uint64) int {
	if live <= reserved {
		return 100
	}
	return int(100 * max(reserved, (live-reserved)*beside/100) / live)
}
