package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// op returns an operation on session "s" that takes from call to ret.
func op(k Kind, out Outcome, call, ret int64) Op {
	return Op{Kind: k, Session: "s", User: "u", Outcome: out, Call: call, Return: ret, Seen: "s", SeenUser: "u"}
}

func redeem(ticket int, out Outcome, made string, call, ret int64) Op {
	o := op(Redeem, out, call, ret)
	o.Ticket, o.Made = ticket, made
	return o
}

// texts returns the beginnings of the violations' texts.
func texts(v *Verdict) string {
	var all []string
	for _, x := range v.Violations {
		all = append(all, strings.SplitN(x.What, ":", 2)[0])
	}
	if v.Illegal != nil {
		all = append(all, "illegal")
	}
	return strings.Join(all, " ")
}

func TestEachBrokenPromiseIsFoundAndEachKeptOneIsNot(t *testing.T) {
	start := op(Start, OK, 1, 2)
	seen := op(Use, OK, 5, 6)
	seen.Seen, seen.SeenUser = "t", "v"
	other := op(Start, OK, 3, 4)
	other.Session = "t"
	for _, c := range []struct {
		name string
		ops  []Op
		want string
	}{
		{"a life", []Op{
			start, op(Use, OK, 3, 4), op(End, OK, 5, 6), op(Use, Refused, 7, 8), op(End, Refused, 9, 10),
		}, ""},
		{"back after its end", []Op{start, op(End, OK, 3, 4), op(Use, OK, 5, 6)}, "I1 illegal"},
		{"used as it ends", []Op{start, op(End, OK, 3, 9), op(Use, OK, 5, 6), op(Use, Refused, 7, 8)}, ""},
		{"over and back as it ends", []Op{
			start, op(End, OK, 3, 9), op(Use, Refused, 4, 5), op(Use, OK, 6, 7),
		}, "illegal"},
		{"lost", []Op{start, op(Use, Refused, 3, 4)}, "I2 illegal"},
		{"lost, as its end is told", []Op{start, op(End, Refused, 3, 4)}, "I2 illegal"},
		{"ended by two at once", []Op{start, op(End, Refused, 3, 6), op(End, OK, 4, 5)}, ""},
		{"ended by a call without an answer", []Op{start, op(End, Unknown, 3, Forever), op(Use, Refused, 5, 6)}, ""},
		{"not ended by it", []Op{start, op(End, Unknown, 3, 4), op(Use, OK, 5, 6)}, ""},
		{"ended by it after its process died", []Op{
			start, op(End, Unknown, 3, 4), op(Use, OK, 5, 6), op(Use, Refused, 7, 8),
		}, "illegal"},
		{"ended by it, and back", []Op{
			start, op(End, Unknown, 3, Forever), op(Use, Refused, 5, 6), op(Use, OK, 7, 8),
		}, "illegal"},
		{"a ticket once", []Op{
			start, redeem(1, OK, "a", 3, 4), redeem(1, Refused, "", 3, 5), redeem(2, OK, "b", 6, 7),
		}, ""},
		{"a ticket twice", []Op{start, redeem(1, OK, "a", 3, 5), redeem(1, OK, "b", 3, 5)}, "I3 illegal"},
		{"a ticket that no caller spent", []Op{start, redeem(1, Refused, "", 3, 4)}, "illegal"},
		{"a ticket spent by a caller without an answer", []Op{
			start, redeem(1, Unknown, "", 3, 4), redeem(1, Refused, "", 5, 6),
		}, ""},
		{"a ticket held by a caller that has to give it back", []Op{
			start, redeem(1, Full, "", 3, 6), redeem(1, Refused, "", 4, 5), redeem(1, OK, "a", 7, 8),
		}, ""},
		{"a ticket not given back", []Op{start, redeem(1, Full, "", 3, 6), redeem(1, Refused, "", 7, 8)}, "illegal"},
		{"a ticket that outlives its session", []Op{start, op(End, OK, 3, 4), redeem(1, OK, "a", 5, 6)}, "I1 illegal"},
		{"more than allowed", []Op{start, other}, "I4"},
		{"another's answer", []Op{start, seen}, "I5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := Rules{}
			if c.want == "I4" {
				rules.MaxPerUser = 1
			}
			if got := texts(Check(c.ops, rules)); got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestAStaleAnswerIsAllowedForItsBoundOnly(t *testing.T) {
	ops := []Op{op(Start, OK, 1, 2), op(End, OK, 3, 4), op(Use, OK, 10, 11)}
	for stale, want := range map[time.Duration]string{5: "I1 illegal", 7: ""} {
		if got := texts(Check(ops, Rules{Stale: stale})); got != want {
			t.Errorf("%d ns: found %q, want %q", stale, got, want)
		}
	}
}

func TestAnUnknownOutcomeEndsWithItsProcess(t *testing.T) {
	r := NewRecorder()
	r.Add(Op{Node: "a", Kind: End, Session: "s", Outcome: Unknown, Call: 1, Return: 2})
	if got := r.Ops(true)[0].Return; got != Forever {
		t.Errorf("with its process alive it ends at %d", got)
	}
	r.Died("b")
	if got := r.Ops(true)[0].Return; got != Forever {
		t.Errorf("with another's death it ends at %d", got)
	}
	r.Died("a")
	if got := r.Ops(true)[0].Return; got == Forever || got < 2 {
		t.Errorf("after its process's death it ends at %d", got)
	}
	if got := r.Ops(false)[0].Return; got != Forever {
		t.Errorf("if other processes act for it it ends at %d", got)
	}
}

// TestTheSmallestHistoryIsPrinted hides a contradiction of three operations among hundreds.
func TestTheSmallestHistoryIsPrinted(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	ops := []Op{op(Start, OK, 1, 2)}
	for i := range 120 {
		at := 10 + rnd.Int64N(1000)
		ops = append(ops, op(Use, OK, at, at+rnd.Int64N(20)), redeem(i%40+1, OK, fmt.Sprint("made", i), at, at+5))
		if i >= 40 {
			ops = ops[:len(ops)-1] // its ticket was spent
		}
	}
	ops = append(ops, op(End, OK, 2000, 2010), op(Use, OK, 2020, 2030))
	for range 40 {
		at := 2040 + rnd.Int64N(1000)
		ops = append(ops, op(Use, Refused, at, at+5))
	}
	v := Check(ops, Rules{})
	if v.Illegal == nil {
		t.Fatal("not found")
	}
	if n := len(v.Illegal.Ops); n != 3 {
		t.Errorf("%d operations remain, want 3", n)
	}
	text := v.Illegal.String()
	for _, want := range []string{"not linearizable", "start s: ok", "end s: ok", "use s: works"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestWhatIsPrintedCanNotBeSmaller adds each contradiction to good histories that have operations
// of all kinds.
func TestWhatIsPrintedCanNotBeSmaller(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant []Op
		want  int // operations that remain, with the start
	}{
		{"back after its end", []Op{op(End, OK, 5000, 5010), op(Use, OK, 5020, 5030)}, 3},
		{"a ticket twice", []Op{redeem(99, OK, "a", 5000, 5010), redeem(99, OK, "b", 5000, 5010)}, 3},
		{"a ticket that no caller spent", []Op{redeem(99, Refused, "", 1500, 1510)}, 2},
		// The end, which may explain the first, remains.
		{"over, and back", []Op{op(Use, Refused, 5000, 5010), op(Use, OK, 5020, 5030)}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(4) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				ops := append([]Op{op(Start, OK, 1, 2)}, c.plant...)
				for i := range 30 {
					at := 10 + rnd.Int64N(1900)
					ops = append(ops, op(Use, OK, at, at+rnd.Int64N(20)), op(Issue, OK, at+3, at+9),
						redeem(i+1, OK, fmt.Sprint("made", i), at, at+5), redeem(i+1, Refused, "", at+6, at+30),
						redeem(60+i, Unknown, "", at, at+5))
				}
				for i := range 3 {
					ops = append(ops, redeem(50+i, Unknown, "", 100, 120), redeem(50+i, Refused, "", 1990, 1995))
				}
				ops = append(ops, op(End, Unknown, 2000, Forever))
				rnd.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
				v := Check(ops, Rules{})
				if v.Illegal == nil {
					t.Fatalf("seed %d: not found", seed)
				}
				if n := len(v.Illegal.Ops); n != c.want {
					t.Fatalf("seed %d: %d operations remain, want %d:\n%s", seed, n, c.want, v.Illegal)
				}
			}
		})
	}
}
