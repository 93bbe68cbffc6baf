package value

import (
	"strings"
	"testing"
)

func TestPathsAreParsedIntoSteps(t *testing.T) {
	p, err := Parse(`a.b["k.[]\"\\"].c[-12].d`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Step{{text: "b"}, {kind: textKey, text: `k.[]"\`}, {text: "c"}, {kind: numberKey, number: -12},
		{text: "d"}}
	if p.Property != "a" || len(p.Steps) != len(want) {
		t.Fatalf("got %+v", p)
	}
	for i := range want {
		if p.Steps[i] != want[i] {
			t.Errorf("step %d: got %+v, want %+v", i, p.Steps[i], want[i])
		}
	}
}

// FuzzPath checks that a path that is parsed, formatted and parsed again stays the same, and that
// every key survives quoting.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"message", "currentSession.userName", `sessionList["KEY"].userName`, "a[1][-2]", `a["\"\\"]`, `a[""]`, "",
		".", "a[", `a["`, `a["\`, "a[01]", "a..b",
		"a" + strings.Repeat(".b", maxSteps+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if again, err := Parse("a" + quoteKey(text)); len(text) < 500 &&
			(err != nil || len(again.Steps) != 1 || again.Steps[0].text != text) {
			t.Errorf("key %q: got %+v, %v", text, again, err)
		}
		p, err := Parse(text)
		if err != nil {
			return
		}
		if len(text) > MaxPath || len(p.Steps) > maxSteps || p.Text != text {
			t.Fatalf("got %+v", p)
		}
		var b strings.Builder
		b.WriteString(p.Property)
		for _, s := range p.Steps {
			switch s.kind {
			case member:
				b.WriteString("." + s.text)
			case textKey:
				b.WriteString(quoteKey(s.text))
			case numberKey:
				b.WriteString(formatKey(s.number))
			}
		}
		again, err := Parse(b.String())
		if err != nil {
			// The path may have become too long because of escapes.
			if b.Len() <= MaxPath {
				t.Fatalf("%q was written as %q: %v", text, b.String(), err)
			}
			return
		}
		if again.Property != p.Property || len(again.Steps) != len(p.Steps) {
			t.Fatalf("%q was written as %q: %+v", text, b.String(), again)
		}
		for i := range p.Steps {
			if again.Steps[i] != p.Steps[i] {
				t.Fatalf("%q was written as %q: %+v", text, b.String(), again)
			}
		}
	})
}
