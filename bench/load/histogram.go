package load

import (
	"math/bits"
	"time"
)

// sub is the number of buckets per power of two. The relative error of a percentile is at most
// 1/sub.
const sub = 128

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	counts [48 * sub]uint32
	total  uint64
}

func bucket(d time.Duration) int {
	n := uint64(max(d, 0))
	if n < sub {
		return int(n)
	}
	shift := bits.Len64(n) - bits.Len64(sub)
	return min((shift+1)*sub+int(n>>shift)-sub, 48*sub-1)
}

// lowest returns the shortest duration of a bucket.
func lowest(b int) time.Duration {
	if b < sub {
		return time.Duration(b)
	}
	shift := b/sub - 1
	return time.Duration(b%sub+sub) << shift
}

// Add counts the duration d.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

// Merge adds the counts of o.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Total returns the number of counted durations.
func (h *Histogram) Total() uint64 { return h.total }

// Quantile returns the duration that the share q of all durations, 0 to 1, does not exceed. It
// returns 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total-1))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen > rank {
			return lowest(i)
		}
	}
	return 0
}
