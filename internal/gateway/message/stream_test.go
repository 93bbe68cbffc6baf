package message_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
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

func BenchmarkStream(b *testing.B) {
	answer := []byte(strings.Repeat(`<objects><obj type="VirtualMachine">vm-4711</obj><propSet>`+
		`<name>config.uuid</name><val xsi:type="xsd:string">4207e2d2-0c3b-5c47-a8b5-6a6a6a6a6a6a</val>`+
		`</propSet></objects>`, 1<<15))
	for _, sessions := range []int{1, 10, 100} {
		var keys []string
		for range sessions {
			keys = append(keys, strconv.FormatUint(rand.Uint64()|1<<63, 16)+"-"+
				strconv.FormatUint(rand.Uint64()|1<<63, 16)+"-ab")
		}
		b.Run(strconv.Itoa(sessions), func(b *testing.B) {
			table := message.NewTable(keys, 64)
			var s message.Stream
			b.SetBytes(int64(len(answer)))
			for b.Loop() {
				s.Reset(table, swap(keys), bytes.NewReader(answer))
				if n, err := s.WriteTo(io.Discard); err != nil || n != int64(len(answer)) {
					b.Fatal(n, err)
				}
			}
		})
	}
}
