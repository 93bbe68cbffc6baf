//go:build linux

package main

import "testing"

func TestTheRatioIsTheMedianOfTheRounds(t *testing.T) {
	own, floor := series{80, 30, 100}, series{100, 50, 100} // 0.8, 0.6, 1
	if got := own.over(floor); got == nil || *got != 0.8 {
		t.Errorf("got %v", got)
	}
	if got := own.over(nil); got != nil {
		t.Errorf("got %v over nothing", *got)
	}
	for _, c := range []struct {
		s    series
		want float64
	}{{nil, 0}, {series{3}, 3}, {series{4, 1}, 2.5}, {series{9, 1, 5}, 5}} {
		if got := c.s.median(); got != c.want {
			t.Errorf("median of %v: %v", c.s, got)
		}
	}
}

func TestAGoalIsMetFromItsBoundOn(t *testing.T) {
	ratio := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		f    figure
		want string
	}{
		{figure{}, ""},
		{figure{Goal: atLeast(4), Against: "peer"}, "not measured"},
		{figure{Goal: atLeast(4), Against: "peer", Ratio: ratio(4)}, "met"},
		{figure{Goal: atLeast(4), Against: "peer", Ratio: ratio(3.99)}, "NOT MET"},
		{figure{Goal: atMost(1.25), Against: "floor", Ratio: ratio(1.25)}, "met"},
		{figure{Goal: atMost(1.25), Against: "floor", Ratio: ratio(1.2)}, "met"},
		{figure{Goal: atMost(1.25), Against: "floor", Ratio: ratio(1.3)}, "NOT MET"},
		{figure{Goal: atMost(700), Vigate: series{650}}, "met"},
		{figure{Goal: atMost(700), Vigate: series{701}}, "NOT MET"},
		{figure{Goal: atMost(700)}, "not measured"},
	} {
		if got := c.f.result(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.f, got, c.want)
		}
	}
}

func TestNumbersHaveTheirSignificantDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.456: "0.46", 12.34: "12.3", 123.4: "123", 1234.5: "1,234",
		1234567: "1,234,567", -12345: "-12,345"} {
		if got := number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestTheTimeOfOthersIsTheRemainder(t *testing.T) {
	before := usage{all: 100, busy: 50, own: 10}
	if got := (usage{all: 300, busy: 200, own: 110}).others(before); got != 0.25 {
		t.Errorf("got %v", got)
	}
	if got := (usage{all: 300, busy: 100, own: 110}).others(before); got != 0 {
		t.Errorf("got %v where the clocks differ", got)
	}
	if got := before.others(before); got != 0 {
		t.Errorf("got %v after no time", got)
	}
}
