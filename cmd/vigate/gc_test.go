package main

import (
	"runtime/metrics"
	"testing"
)

func TestGarbageIsBoundedWhateverIsInUse(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 64 << 20: 400, 128 << 20: 200, 256 << 20: 100, 400 << 20: 64, 8 << 30: 50} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB in use: %d %%, want %d", live>>20, got, want)
		}
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("the runtime does not tell %s", liveMetric)
	}
}
