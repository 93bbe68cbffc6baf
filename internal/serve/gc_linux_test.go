package serve

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
)

// resident returns the memory that this process has, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(b)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestTheReserveCountsAsInUseAndTakesNoMemory(t *testing.T) {
	t.Setenv("GOGC", "")
	before := resident(t)
	c := newCollector()
	runtime.GC()
	sample := []metrics.Sample{{Name: liveMetric}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 || sample[0].Value.Uint64() < reserved {
		t.Errorf("alive with the reserve: %v", sample[0].Value)
	}
	if grown := resident(t) - before; grown > reserved/2 {
		t.Errorf("the reserve took %d bytes of memory", grown)
	}
	runtime.KeepAlive(c)

	t.Setenv("GOGC", "200")
	if c := newCollector(); c.reserve != nil {
		t.Error("a reserve beside a setting of the operator's")
	}
}
