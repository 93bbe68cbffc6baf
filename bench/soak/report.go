//go:build linux

package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Report is what a run found.
type Report struct {
	Idle    Sample         // before the load
	Samples []Sample       // under it
	After   Sample         // when all that it left should be gone
	Tally   *tally         // of the answers
	Logged  map[string]int // warnings and errors in the server's log, by message
	Left    string         // what did not end in time, if anything
}

// bounds are what the last quarter of the load may have more than the second:
// by then whatever fills once has filled.
var bounds = []struct {
	what  string
	of    func(Sample) float64
	share float64 // more, of what it was
	more  float64 // and beside it
}{
	{"resident memory, MiB", func(v Sample) float64 { return v.Resident / (1 << 20) }, 0.10, 8},
	{"live heap, MiB", func(v Sample) float64 { return v.Live / (1 << 20) }, 0.10, 4},
	{"goroutines", func(v Sample) float64 { return v.Goroutines }, 0.10, 5},
	{"open files", func(v Sample) float64 { return v.Files }, 0.10, 5},
	{"sessions", func(v Sample) float64 { return v.Sessions }, 0.20, 50},
	{"store's file, MiB", func(v Sample) float64 { return v.Store / (1 << 20) }, 0.10, 16},
}

// median of what the samples from one time up to another say; ok is false where
// there are none.
func median(all []Sample, from, to time.Duration, of func(Sample) float64) (_ float64, ok bool) {
	var in []float64
	for _, v := range all {
		if v.At >= from && v.At < to {
			in = append(in, of(v))
		}
	}
	if len(in) == 0 {
		return 0, false
	}
	slices.Sort(in)
	n := len(in)
	return (in[(n-1)/2] + in[n/2]) / 2, true
}

// Growth is what is not flat in a load of such a length, in words.
func (r *Report) Growth(d time.Duration) []string {
	var all []string
	for _, b := range bounds {
		early, ok1 := median(r.Samples, d/4, d/2, b.of)
		late, ok2 := median(r.Samples, d*3/4, d+time.Hour, b.of)
		switch {
		case !ok1 || !ok2:
			all = append(all, b.what+": too few samples")
		case late > early*(1+b.share)+b.more:
			all = append(all, fmt.Sprintf("%s: not flat: %.1f in the second quarter, %.1f in the last", b.what, early, late))
		}
	}
	return all
}

// Errors is what should not have been: answers, lines in the log, what was left
// when the load had ended, and what never happened though the load asked for it.
func (r *Report) Errors() []string {
	var all []string
	if r.Left != "" {
		all = append(all, r.Left)
	}
	// A timer or a connection that just ends is no leak.
	if g := r.After.Goroutines; g > r.Idle.Goroutines+2 {
		all = append(all, fmt.Sprintf("goroutines: %.0f before the load, %.0f after it", r.Idle.Goroutines, g))
	}
	if f := r.After.Files; f > r.Idle.Files+2 {
		all = append(all, fmt.Sprintf("open files: %.0f before the load, %.0f after it", r.Idle.Files, f))
	}
	if n := r.Tally.errors(); n > 0 {
		all = append(all, fmt.Sprintf("%d answers that were not asked for", n))
	}
	for _, kind := range r.Tally.missing() {
		all = append(all, "never happened: "+kind)
	}
	if n := len(r.Samples); n < fewSamples {
		all = append(all, fmt.Sprintf("%d samples are too few", n))
	}
	for _, msg := range slices.Sorted(maps.Keys(r.Logged)) {
		all = append(all, fmt.Sprintf("in the server's log %d times: %s", r.Logged[msg], msg))
	}
	return all
}

// Print writes what was found.
func (r *Report) Print(w io.Writer, d time.Duration) {
	r.Tally.print(w)
	fmt.Fprintf(w, "medians of the quarters of %v:\n", d)
	for _, b := range bounds {
		fmt.Fprintf(w, "  %-22s", b.what)
		for q := range time.Duration(4) {
			to := d * (q + 1) / 4
			if q == 3 {
				to += time.Hour // a sample just at the end
			}
			m, _ := median(r.Samples, d*q/4, to, b.of)
			fmt.Fprintf(w, "  %9.1f", m)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "before  %v\nafter   %v\n", r.Idle, r.After)
}
