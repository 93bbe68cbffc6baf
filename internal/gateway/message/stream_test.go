package message_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vigate/vigate/internal/gateway/message"
)

// swap replaces each text by another one.
type swap []string

func (s swap) Replace(out []byte, text int, _ []byte) ([]byte, int) {
	return append(out, s[text]...), 0
}

// slowly replaces texts as Stream must: at each place the longest one.
func slowly(s string, from, to []string) string {
	var b strings.Builder
	for len(s) > 0 {
		best := -1
		for i, f := range from {
			if f != "" && strings.HasPrefix(s, f) && (best < 0 || len(f) > len(from[best])) {
				best = i
			}
		}
		if best < 0 {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		b.WriteString(to[best])
		s = s[len(from[best]):]
	}
	return b.String()
}

// parts reads a text in parts of random lengths.
type parts struct {
	rest   string
	random *rand.Rand
}

func (p *parts) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.random.IntN(9))], p.rest)
	p.rest = p.rest[n:]
	if p.rest == "" {
		return n, io.EOF
	}
	return n, nil
}

// halves reads a text in two parts, if there is room for them, so that there is a long part.
type halves struct {
	text string
	cut  int
}

func (h *halves) Read(b []byte) (int, error) {
	n := copy(b, h.text[:h.cut])
	h.text, h.cut = h.text[n:], h.cut-n
	if h.cut == 0 {
		h.cut = len(h.text)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func FuzzAStreamReplacesTheLongestTextAtEachPlace(f *testing.F) {
	f.Add("a session[k1]u1, k1 and k2", "k1", "session[k1]u1", "k", uint64(1))
	f.Add("aaaaab", "aa", "aab", "a", uint64(2))
	f.Add(strings.Repeat("0123456789abcdef-", 9000), "0123456789abcdef-0123", "", "f-0", uint64(3))
	f.Add(strings.Repeat("</sessionId", 9000)+">", "</sessionId>", "sessionId>", "essionId></sess", uint64(4))
	f.Fuzz(func(t *testing.T, s, a, b, c string, seed uint64) {
		from, to := []string{a, b, c}, []string{"<A>", "", "longer than c"}
		if a == b || b == c || a == c {
			return
		}
		want := slowly(s, from, to)
		for _, reach := range []int{0, 3, 50} {
			table := message.NewTable(from, reach)
			if got := string(table.Append(nil, []byte(s), swap(to))); got != want {
				t.Fatalf("Append: %q in %q: %q, want %q", from, s, got, want)
			}
			var x message.Stream
			for range 2 { // the second time with used memory
				x.Reset(table, swap(to), &parts{s, rand.New(rand.NewPCG(seed, 1))})
				got, err := io.ReadAll(&x)
				if err != nil || string(got) != want {
					t.Fatalf("Read: %q in %q: %q %v, want %q", from, s, got, err, want)
				}
				for _, source := range []io.Reader{
					strings.NewReader(s), &parts{s, rand.New(rand.NewPCG(seed, 2))},
					&halves{text: s, cut: int(seed % uint64(len(s)+1))},
				} {
					var w bytes.Buffer
					x.Reset(table, swap(to), source)
					if n, err := x.WriteTo(&w); err != nil || n != int64(w.Len()) || w.String() != want {
						t.Fatalf("WriteTo: %q in %q: %q %v, want %q", from, s, w.String(), err, want)
					}
				}
			}
		}
	})
}

// around notes what it sees, and removes one byte on each side.
type around struct {
	reach int
	seen  []string
}

func (a *around) Replace(out []byte, _ int, rest []byte) ([]byte, int) {
	a.seen = append(a.seen, string(out[max(0, len(out)-a.reach):])+"|"+string(rest[:min(len(rest), a.reach)]))
	used := min(1, len(rest))
	return append(out[:max(0, len(out)-1)], '*'), used
}

func TestALongTextIsPassedOnWithoutACopy(t *testing.T) {
	table := message.NewTable([]string{"KEY"}, 9)
	text := strings.Repeat("0123456789", 100_000)
	var s message.Stream
	for range 2 {
		s.Reset(table, swap{"*"}, strings.NewReader("KEY"+text+"KEY"+text+"KEY"))
		var w sizes
		if _, err := s.WriteTo(&w); err != nil || w.Buffer.String() != "*"+text+"*"+text+"*" {
			t.Errorf("%d bytes, %v", w.Len(), err)
		}
		if w.most < 100_000 || w.parts > 40 {
			t.Errorf("it came in %d parts, of at most %d bytes", w.parts, w.most)
		}
	}
}

// sizes notes in which parts a text comes.
type sizes struct {
	bytes.Buffer
	parts, most int
}

func (s *sizes) Write(b []byte) (int, error) {
	s.parts, s.most = s.parts+1, max(s.most, len(b))
	return s.Buffer.Write(b)
}

func TestAReplacerSeesWhatIsAroundATextAndMayReplaceIt(t *testing.T) {
	const reach = 5
	table := message.NewTable([]string{"KEY"}, reach)
	filler := strings.Repeat("-", 33<<10)
	text := "KEY1" + filler + "abcde(KEY)fghij" + filler + "xKEY"
	for name, source := range map[string]io.Reader{
		"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"with the end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		var s message.Stream
		a := &around{reach: reach}
		s.Reset(table, a, source)
		var got bytes.Buffer
		_, err := s.WriteTo(&got)
		want := "*" + filler + "abcde*fghij" + filler + "*"
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %d bytes", name, err, got.Len())
		}
		if seen := strings.Join(a.seen, " "); seen != "|1---- bcde(|)fghi ----x|" {
			t.Errorf("%s: seen %q", name, seen)
		}
	}
}

func TestAStreamPassesAnErrorOnAfterWhatCameBefore(t *testing.T) {
	broken := errors.New("broken")
	table := message.NewTable([]string{"KEY"}, 9)
	var s message.Stream
	s.Reset(table, swap{"*"}, io.MultiReader(strings.NewReader("a KEY and KE"), iotest.ErrReader(broken)))
	if got, err := io.ReadAll(&s); string(got) != "a * and KE" || !errors.Is(err, broken) {
		t.Errorf("Read: %q %v", got, err)
	}
	var w bytes.Buffer
	s.Reset(table, swap{"*"}, io.MultiReader(strings.NewReader("a KEY and KE"), iotest.ErrReader(broken)))
	if _, err := s.WriteTo(&w); w.String() != "a * and KE" || !errors.Is(err, broken) {
		t.Errorf("WriteTo: %q %v", w.String(), err)
	}
}

func TestAnEmptyTableChangesNothing(t *testing.T) {
	var s message.Stream
	for _, texts := range [][]string{nil, {""}} {
		s.Reset(message.NewTable(texts, 9), swap{}, strings.NewReader("as it is"))
		if got, err := io.ReadAll(&s); string(got) != "as it is" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
}

// TestTextsAreFoundAtEveryPlace puts texts of several lengths into long answers: at each distance from the beginning,
// one after the other and one in the other. A text that lacks its last or its first byte is none.
func TestTextsAreFoundAtEveryPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, sizes := range [][]int{{36}, {12, 13, 16, 36, 36}, {4, 70}, {5, 90, 90}, {1, 2, 3}, {3, 40}, {64, 65}} {
		for range 20 {
			var from, to []string
			for n, size := range sizes {
				var b strings.Builder
				for range size {
					b.WriteByte("abc-"[random.IntN(4)])
				}
				from, to = append(from, b.String()), append(to, "<"+strconv.Itoa(n)+">")
			}
			if len(from) > 1 && !slices.Contains(from, from[0]+from[1]) {
				from = append(from, from[0]+from[1]) // begins as another text does
				to = append(to, "<both>")
			}
			table := message.NewTable(from, 5)
			for before := range 80 {
				text := from[before%len(from)]
				filler := strings.Repeat("x", before)
				s := filler + text + from[0] + filler + text[1:] + filler + text[:len(text)-1] + filler + text
				if got, want := string(table.Append(nil, []byte(s), swap(to))), slowly(s, from, to); got != want {
					t.Fatalf("%q in %q: %q, want %q", from, s, got, want)
				}
				if !table.In(s) || table.In(filler) {
					t.Fatalf("%q in %q: %v, in %q: %v", from, s, table.In(s), filler, table.In(filler))
				}
			}
		}
	}
}
