//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
)

// series holds the samples of one figure, one per round.
type series []float64

// median returns the median of the samples, or 0 if there are none.
func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// over returns the median of the ratios of the rounds, or nil if there are none. A disturbance
// usually affects both sides of a round, so it changes the ratio little.
func (s series) over(o series) *float64 {
	var ratios series
	for i := range min(len(s), len(o)) {
		if o[i] > 0 {
			ratios = append(ratios, s[i]/o[i])
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	m := ratios.median()
	return &m
}

// goal is a bound on the ratio or, if there is no ratio, on vigate's value.
type goal struct {
	Bound float64 `json:"bound"`
	Most  bool    `json:"most,omitempty"` // the bound is a maximum; otherwise it is a minimum
}

func atLeast(v float64) *goal { return &goal{Bound: v} }
func atMost(v float64) *goal  { return &goal{Bound: v, Most: true} }

// figure is one line of the table.
type figure struct {
	ID      string   `json:"id"`
	What    string   `json:"what"`
	Unit    string   `json:"unit,omitempty"`
	Floor   series   `json:"floor,omitempty"`
	Peer    series   `json:"peer,omitempty"`
	Vigate  series   `json:"vigate,omitempty"`
	Against string   `json:"against,omitempty"` // denominator of the ratio
	Ratio   *float64 `json:"ratio,omitempty"`
	Goal    *goal    `json:"goal,omitempty"`
	Note    string   `json:"note,omitempty"`
}

// result returns a text that says whether the goal is met.
func (f *figure) result() string {
	v := f.Ratio
	if v == nil && f.Against == "" && len(f.Vigate) > 0 {
		m := f.Vigate.median()
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

func (f *figure) goalText() string {
	if f.Goal == nil {
		return ""
	}
	sign := "≥"
	if f.Goal.Most {
		sign = "≤"
	}
	if f.Against == "" {
		return fmt.Sprintf("%s %s %s", sign, number(f.Goal.Bound), f.Unit)
	}
	return fmt.Sprintf("%s %s × %s", sign, number(f.Goal.Bound), f.Against)
}

// number formats a value with its significant digits.
func number(v float64) string {
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
