package figure

import (
	"slices"
	"testing"
)

func TestTheRatioIsTheMedianOfTheRounds(t *testing.T) {
	own, floor := Series{80, 30, 100}, Series{100, 50, 100} // 0.8, 0.6, 1
	if got := own.Over(floor); got == nil || *got != 0.8 {
		t.Errorf("got %v", got)
	}
	if got := own.Over(nil); got != nil {
		t.Errorf("got %v over nothing", *got)
	}
	if got := floor.Times(0.5); !slices.Equal(got, Series{50, 25, 50}) {
		t.Errorf("half of it is %v", got)
	}
	for _, c := range []struct {
		s    Series
		want float64
	}{{nil, 0}, {Series{3}, 3}, {Series{4, 1}, 2.5}, {Series{9, 1, 5}, 5}} {
		if got := c.s.Median(); got != c.want {
			t.Errorf("median of %v: %v", c.s, got)
		}
	}
}

func TestAGoalIsMetFromItsBoundOn(t *testing.T) {
	ratio := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		f    Figure
		want string
	}{
		{Figure{}, ""},
		{Figure{Goal: AtLeast(4), Against: "peer"}, "not measured"},
		{Figure{Goal: AtLeast(4), Against: "peer", Ratio: ratio(4)}, "met"},
		{Figure{Goal: AtLeast(4), Against: "peer", Ratio: ratio(3.99)}, "NOT MET"},
		{Figure{Goal: AtMost(1.25), Against: "floor", Ratio: ratio(1.25)}, "met"},
		{Figure{Goal: AtMost(1.25), Against: "floor", Ratio: ratio(1.2)}, "met"},
		{Figure{Goal: AtMost(1.25), Against: "floor", Ratio: ratio(1.3)}, "NOT MET"},
		{Figure{Goal: AtMost(700), Vigate: Series{650}}, "met"},
		{Figure{Goal: AtMost(700), Vigate: Series{701}}, "NOT MET"},
		{Figure{Goal: AtMost(700)}, "not measured"},
	} {
		if got := c.f.Result(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.f, got, c.want)
		}
	}
}

func TestNumbersHaveTheirSignificantDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.456: "0.46", 12.34: "12.3", 123.4: "123", 1234.5: "1,234",
		1234567: "1,234,567", -12345: "-12,345"} {
		if got := Number(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
}

func TestFiguresAreInTheOrderOfTheirGoals(t *testing.T) {
	all := []Figure{{ID: "G2"}, {ID: "P10"}, {ID: "P2", What: "first"}, {ID: "G1"}, {ID: "P2", What: "second"}}
	slices.SortStableFunc(all, Compare)
	var got []string
	for _, f := range all {
		got = append(got, f.ID+f.What)
	}
	if want := []string{"P2first", "P2second", "P10", "G1", "G2"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
