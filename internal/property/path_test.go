package property

import (
	"strings"
	"testing"
)

func TestPathsAreReadStepByStep(t *testing.T) {
	p, err := parsePath(`a.b["k.[]\"\\"].c[-12].d`)
	if err != nil {
		t.Fatal(err)
	}
	want := []step{{text: "b"}, {kind: textKey, text: `k.[]"\`}, {text: "c"}, {kind: numberKey, number: -12}, {text: "d"}}
	if p.property != "a" || len(p.steps) != len(want) {
		t.Fatalf("got %+v", p)
	}
	for i := range want {
		if p.steps[i] != want[i] {
			t.Errorf("step %d: got %+v, want %+v", i, p.steps[i], want[i])
		}
	}
}

// What is read is what writing it gives, and names come back from what keys
// become in a path.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"message", "currentSession.userName", `sessionList["KEY"].userName`, "a[1][-2]", `a["\"\\"]`, `a[""]`, "", ".", "a[", `a["`, `a["\`, "a[01]", "a..b",
		"a" + strings.Repeat(".b", maxSteps+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if again, err := parsePath("a" + keyed(text)); len(text) < 500 && (err != nil || len(again.steps) != 1 || again.steps[0].text != text) {
			t.Errorf("key %q: got %+v, %v", text, again, err)
		}
		p, err := parsePath(text)
		if err != nil {
			return
		}
		if len(text) > maxPath || len(p.steps) > maxSteps || p.text != text {
			t.Fatalf("got %+v", p)
		}
		var b strings.Builder
		b.WriteString(p.property)
		for _, s := range p.steps {
			switch s.kind {
			case member:
				b.WriteString("." + s.text)
			case textKey:
				b.WriteString(keyed(s.text))
			case numberKey:
				b.WriteString(numbered(s.number))
			}
		}
		again, err := parsePath(b.String())
		if err != nil {
			// Escapes may have made it too long.
			if b.Len() <= maxPath {
				t.Fatalf("%q was written as %q: %v", text, b.String(), err)
			}
			return
		}
		if again.property != p.property || len(again.steps) != len(p.steps) {
			t.Fatalf("%q was written as %q: %+v", text, b.String(), again)
		}
		for i := range p.steps {
			if again.steps[i] != p.steps[i] {
				t.Fatalf("%q was written as %q: %+v", text, b.String(), again)
			}
		}
	})
}
