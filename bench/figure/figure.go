// Package figure has the results of the benchmark: the samples of a measurement, their ratios to those
// of another server, and whether a goal is met. A figure is one line of the table that is printed and
// written as JSON.
package figure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Series holds the samples of one figure, one per round.
type Series []float64

// Median returns the median of the samples, or 0 if there are none.
func (s Series) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Over returns the median of the ratios of the rounds, or nil if there are none. A disturbance
// usually affects both sides of a round, so it changes the ratio little.
func (s Series) Over(o Series) *float64 {
	var ratios Series
	for i := range min(len(s), len(o)) {
		if o[i] > 0 {
			ratios = append(ratios, s[i]/o[i])
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	m := ratios.Median()
	return &m
}

// Times returns the samples in another unit: each is multiplied by f.
func (s Series) Times(f float64) Series {
	scaled := make(Series, len(s))
	for i, v := range s {
		scaled[i] = v * f
	}
	return scaled
}

// Text returns the median as text.
func (s Series) Text() string {
	if len(s) == 0 {
		return "–"
	}
	return Number(s.Median())
}

// Goal is a bound on the ratio or, if there is no ratio, on vigate's value.
type Goal struct {
	Bound float64 `json:"bound"`
	Most  bool    `json:"most,omitempty"` // the bound is a maximum; otherwise it is a minimum
}

// AtLeast and AtMost return a goal with the bound.
func AtLeast(v float64) *Goal { return &Goal{Bound: v} }
func AtMost(v float64) *Goal  { return &Goal{Bound: v, Most: true} }

// Figure is one line of the table.
type Figure struct {
	ID      string   `json:"id"`
	What    string   `json:"what"`
	Unit    string   `json:"unit,omitempty"`
	Floor   Series   `json:"floor,omitempty"`
	Peer    Series   `json:"peer,omitempty"`
	Vigate  Series   `json:"vigate,omitempty"`
	Against string   `json:"against,omitempty"` // denominator of the ratio
	Ratio   *float64 `json:"ratio,omitempty"`
	Goal    *Goal    `json:"goal,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// Compare orders figures by the goals that they belong to: P1 to P12 and then G1 to G6.
func Compare(a, b Figure) int {
	order := func(f Figure) (group string, n int) {
		group, number := f.ID[:1], f.ID[1:]
		n, _ = strconv.Atoi(number) // the ids are constants of the program
		return group, n
	}
	ga, na := order(a)
	gb, nb := order(b)
	return cmp.Or(cmp.Compare(gb, ga), cmp.Compare(na, nb))
}

// Result returns a text that says whether the goal is met.
func (f *Figure) Result() string {
	v := f.Ratio
	if v == nil && f.Against == "" && len(f.Vigate) > 0 {
		m := f.Vigate.Median()
		v = &m
	}
	switch {
	case f.Goal == nil:
		return ""
	case v == nil || math.IsNaN(*v):
		return "not measured"
	case f.Goal.Most == (*v <= f.Goal.Bound) || *v == f.Goal.Bound:
		return "met"
	}
	return "NOT MET"
}

// GoalText returns the goal as text, or nothing.
func (f *Figure) GoalText() string {
	if f.Goal == nil {
		return ""
	}
	sign := "≥"
	if f.Goal.Most {
		sign = "≤"
	}
	if f.Against == "" {
		return fmt.Sprintf("%s %s %s", sign, Number(f.Goal.Bound), f.Unit)
	}
	return fmt.Sprintf("%s %s × %s", sign, Number(f.Goal.Bound), f.Against)
}

// Number formats a value with its significant digits.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		s := fmt.Sprintf("%.0f", v)
		for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
