package budget

import (
	"strings"
	"testing"
	"time"
)

func TestTheWeightOfAValueIncludesEverythingItRefersTo(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	type inner struct{ Text string }
	type outer struct {
		List []inner
		At   *inner
		Any  any
		Map  map[string]inner
		Time time.Time
		Two  [2]string
		n    int
	}
	for name, v := range map[string]any{
		"text":    long,
		"list":    []string{long},
		"object":  outer{List: []inner{{long}}},
		"pointer": &outer{At: &inner{long}},
		"any":     outer{Any: inner{long}},
		"map":     outer{Map: map[string]inner{"a": {long}}},
		"key":     outer{Map: map[string]inner{long: {}}},
		"array":   outer{Two: [2]string{"", long}},
		"bytes":   []byte(long),
		"numbers": make([]int32, 2500),
	} {
		if n := Weight(v); n < 10_000 || n > 11_000 {
			t.Errorf("%s weighs %d", name, n)
		}
	}
	for name, v := range map[string]any{
		"nothing": nil, "number": 1, "empty": outer{n: 1}, "nil": (*outer)(nil), "time": outer{Time: time.Now()},
	} {
		if n := Weight(v); n > 300 {
			t.Errorf("%s weighs %d", name, n)
		}
	}
}

type link struct{ Next *link }

func TestTheWeightOfACyclicValueIsFinite(t *testing.T) {
	l := &link{}
	l.Next = l
	if n := Weight(l); n < maxDepth {
		t.Errorf("it weighs %d", n)
	}
}
