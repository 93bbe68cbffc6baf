//go:build linux

package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Report is the result of a run.
type Report struct {
	Idle    Sample         // before the load
	Samples []Sample       // during the load
	After   Sample         // after the end of everything that the load has created
	Tally   *tally         // counts of the responses
	Logged  map[string]int // warnings and errors in the server's log, by message
	Left    string         // describes what did not end in time, if anything
}

// bounds limits the growth from the second to the last quarter of the load. Caches and the like are
// full by the second quarter.
var bounds = []struct {
	what  string
	of    func(Sample) float64
	share float64 // allowed growth as a share of the earlier value
	more  float64 // additional allowed growth
}{
	{"resident memory, MiB", func(v Sample) float64 { return v.Resident / (1 << 20) }, 0.10, 8},
	{"live heap, MiB", func(v Sample) float64 { return v.Live / (1 << 20) }, 0.10, 4},
	{"goroutines", func(v Sample) float64 { return v.Goroutines }, 0.10, 5},
	{"open files", func(v Sample) float64 { return v.Files }, 0.10, 5},
	{"sessions", func(v Sample) float64 { return v.Sessions }, 0.20, 50},
	{"store's file, MiB", func(v Sample) float64 { return v.Store / (1 << 20) }, 0.10, 16},
}

// median returns the median of a value over the samples between two times. ok is false if there are
// no samples.
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

// Growth returns a text for each value that has grown during a load of the duration d.
func (r *Report) Growth(d time.Duration) []string {
	var all []string
	for _, b := range bounds {
		early, ok1 := median(r.Samples, d/4, d/2, b.of)
		late, ok2 := median(r.Samples, d*3/4, d+time.Hour, b.of)
		switch {
		case !ok1 || !ok2:
			all = append(all, b.what+": too few samples")
		case late > early*(1+b.share)+b.more:
			all = append(all, fmt.Sprintf("%s: not flat: %.1f in the second quarter, %.1f in the last", b.what, early,
				late))
		}
	}
	return all
}

// Errors returns a text for each error: wrong responses, lines in the log, resources that remained
// after the load, and kinds of calls that never happened.
func (r *Report) Errors() []string {
	var all []string
	if r.Left != "" {
		all = append(all, r.Left)
	}
	// One or two more are not a leak: a timer or a connection may be about to end.
	if g := r.After.Goroutines; g > r.Idle.Goroutines+2 {
		all = append(all, fmt.Sprintf("goroutines: %.0f before the load, %.0f after it", r.Idle.Goroutines, g))
	}
	if f := r.After.Files; f > r.Idle.Files+2 {
		all = append(all, fmt.Sprintf("open files: %.0f before the load, %.0f after it", r.Idle.Files, f))
	}
	if n := r.Tally.errors(); n > 0 {
		all = append(all, fmt.Sprintf("%d wrong responses", n))
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

// Print writes the report.
func (r *Report) Print(w io.Writer, d time.Duration) {
	r.Tally.print(w)
	fmt.Fprintf(w, "medians of the quarters of %v:\n", d)
	for _, b := range bounds {
		fmt.Fprintf(w, "  %-22s", b.what)
		for q := range time.Duration(4) {
			to := d * (q + 1) / 4
			if q == 3 {
				to += time.Hour // includes a sample at the very end
			}
			m, _ := median(r.Samples, d*q/4, to, b.of)
			fmt.Fprintf(w, "  %9.1f", m)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "before  %v\nafter   %v\n", r.Idle, r.After)
}
