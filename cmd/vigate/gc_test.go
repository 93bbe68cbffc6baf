package main

import (
	"runtime/metrics"
	"testing"
)

func TestASmallHeapGetsRoomAndALargeOneKeepsTheDefault(t *testing.T) {
	for live, want := range map[uint64]int{0: 4000, 1 << 20: 4000, 16 << 20: 400, 32 << 20: 200, 64 << 20: 100, 400 << 20: 100, 8 << 30: 100} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB in use: %d %%, want %d", live>>20, got, want)
		}
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("the runtime does not tell %s", liveMetric)
	}
}
