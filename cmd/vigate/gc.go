package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// How much garbage may gather before it is collected. By Go's default as much
// as there is in use, so that a small server collects all the time: its reads
// cost a fifth more processor time than with room to spare. A large one keeps the
// default: less would have it mark a million sessions too often, more would
// double their memory.
const (
	garbage    = 64 << 20 // bytes; what there may be beside little in use
	mostGC     = 4000     // per cent of what is in use
	leastGC    = 100
	liveMetric = "/gc/heap/live:bytes"
)

// gcPercent is the collector's setting for a heap with so much in use.
func gcPercent(live uint64) int {
	return int(min(mostGC, max(leastGC, garbage*100/max(live, 1))))
}

// tuneGC keeps the collector's setting in step with what is in use. GOGC in the
// environment goes before it.
func tuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		debug.SetGCPercent(gcPercent(sample[0].Value.Uint64()))
	}
}
