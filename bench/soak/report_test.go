//go:build linux

package soak

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// whole returns a report of a load of 40 s in which every kind of call happened and nothing grew.
func whole() *Report {
	r := &Report{Tally: newTally(), Idle: Sample{Goroutines: 20, Files: 10}, After: Sample{Goroutines: 21, Files: 10}}
	for _, k := range kinds {
		r.Tally.did(k)
	}
	for i := range 40 {
		r.Samples = append(r.Samples, Sample{
			At: time.Duration(i+1) * time.Second, Resident: 200 << 20, Live: 100 << 20, Goroutines: 80, Files: 40,
			Sessions: 2000, Store: 50 << 20,
		})
	}
	return r
}

func TestGrowthBetweenTheSecondAndTheLastQuarterIsFound(t *testing.T) {
	const d = 40 * time.Second
	if got := whole().Growth(d); len(got) != 0 {
		t.Errorf("flat: %q", got)
	}
	for name, grow := range map[string]func(*Sample, float64){
		"resident memory": func(v *Sample, by float64) { v.Resident *= by },
		"live heap":       func(v *Sample, by float64) { v.Live *= by },
		"goroutines":      func(v *Sample, by float64) { v.Goroutines *= by },
		"open files":      func(v *Sample, by float64) { v.Files *= by },
		"sessions":        func(v *Sample, by float64) { v.Sessions *= by },
		"store's file":    func(v *Sample, by float64) { v.Store *= by },
	} {
		steady, once, noise := whole(), whole(), whole()
		for i := range steady.Samples {
			grow(&steady.Samples[i], 1+float64(i)/20)
			if i >= 8 {
				grow(&once.Samples[i], 2) // it fills up and stays constant
			}
			if i%10 == 9 {
				grow(&noise.Samples[i], 5)
			}
		}
		if got := steady.Growth(d); len(got) != 1 || !strings.HasPrefix(got[0], name) {
			t.Errorf("%s that keep growing: %q", name, got)
		}
		if got := append(once.Growth(d), noise.Growth(d)...); len(got) != 0 {
			t.Errorf("%s that grow once or for a moment: %q", name, got)
		}
	}
	none := whole()
	none.Samples = none.Samples[:15]
	if got := none.Growth(d); len(got) != len(bounds) {
		t.Errorf("no samples at the end: %q", got)
	}
}

func TestWrongResponsesAndLeftoversAreErrors(t *testing.T) {
	if got := whole().Errors(); len(got) != 0 {
		t.Errorf("without errors: %q", got)
	}
	for want, spoil := range map[string]func(*Report){
		"sessions did not end":                   func(r *Report) { r.Left = "sessions did not end: 3 are left" },
		"goroutines: 20 before":                  func(r *Report) { r.After.Goroutines = 23 },
		"open files: 10 before":                  func(r *Report) { r.After.Files = 13 },
		"1 wrong responses":                      func(r *Report) { r.Tally.failed("log out: status 500 SystemError") },
		"never happened: " + askedTerminated:     func(r *Report) { delete(r.Tally.done, askedTerminated) },
		"9 samples are too few":                  func(r *Report) { r.Samples = r.Samples[:9] },
		"in the server's log 2 times: \"chore f": func(r *Report) { r.Logged = map[string]int{`"chore failed"`: 2} },
	} {
		r := whole()
		spoil(r)
		if got := r.Errors(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheTallyKeepsABoundedNumberOfKinds(t *testing.T) {
	y := newTally()
	for i := range 10 * maxKinds {
		y.failed(strings.Repeat("x", i))
	}
	if len(y.wrong) > maxKinds+1 || y.errors() != 10*maxKinds {
		t.Errorf("%d kinds, %d errors", len(y.wrong), y.errors())
	}
}

func TestMetricsWithLabelsAreSummed(t *testing.T) {
	m, err := sums(strings.NewReader("# HELP a b c\n# TYPE a gauge\na{x=\"1 2\"} 3\na{x=\"4\"} 2.5\nb 1e+06\n"))
	if want := map[string]float64{"a": 5.5, "b": 1e6}; err != nil || !maps.Equal(m, want) {
		t.Errorf("got %v, %v", m, err)
	}
	if _, err := sums(strings.NewReader("a b\n")); err == nil {
		t.Error("what is no metric was read as one")
	}
}

func TestWarningsInTheLogAreCountedAndTheAuditIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	err := os.WriteFile(path, []byte(`time=x level=INFO msg=listening
time=x level=WARN msg=audit outcome=Unavailable
time=x level=ERROR msg="chore failed and will be tried again" err="no space left"
time=x level=ERROR msg="chore failed and will be tried again" err="no space left"
panic: something
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	got, err := logged(path)
	want := map[string]int{`"chore failed and will be tried again" "no space left"`: 2, "not a log line": 1}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", slices.Sorted(maps.Keys(got)), err)
	}
}
