package process

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
	"unsafe"
)

// resident returns how many bytes of the whole pages of b are in memory.
func resident(t *testing.T, b []byte) int {
	t.Helper()
	size := uintptr(os.Getpagesize())
	from := (uintptr(unsafe.Pointer(unsafe.SliceData(b))) + size - 1) / size * size
	to := (uintptr(unsafe.Pointer(unsafe.SliceData(b))) + uintptr(len(b))) / size * size
	pages := make([]byte, (to-from)/size)
	if _, _, errno := syscall.Syscall(syscall.SYS_MINCORE, from, to-from,
		uintptr(unsafe.Pointer(unsafe.SliceData(pages)))); errno != 0 {
		t.Fatalf("mincore: %v", errno)
	}
	n := 0
	for _, page := range pages {
		n += int(page & 1)
	}
	return n * int(size)
}

// alone is set in the process that a test starts for itself.
const alone = "VIGATE_TEST_ALONE"

// The reserve is untouched if it is fresh memory of the system, as in a server that starts. In this
// process other tests have used memory, which the runtime would have to clear. So the test runs in a
// process of its own.
func TestTheReserveCountsAsInUseAndTakesNoMemory(t *testing.T) {
	if os.Getenv(alone) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		c.Env = append(os.Environ(), alone+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	t.Setenv("GOGC", "")
	c := NewCollector()
	runtime.GC()
	sample := []metrics.Sample{{Name: liveMetric}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 || sample[0].Value.Uint64() < reserved {
		t.Errorf("alive with the reserve: %v", sample[0].Value)
	}
	if n := resident(t, c.reserve); n > reserved/2 {
		t.Errorf("the reserve takes %d bytes of memory", n)
	}
	touched := make([]byte, 1<<20)
	for i := range touched {
		touched[i] = 1
	}
	if n := resident(t, touched); n < len(touched)/2 {
		t.Errorf("of %d bytes in use, %d seem to be in memory", len(touched), n)
	}
	runtime.KeepAlive(c)

	t.Setenv("GOGC", "200")
	if c := NewCollector(); c.reserve != nil {
		t.Error("a reserve beside a setting of the operator's")
	}
}
