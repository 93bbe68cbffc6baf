package xmltoken

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAStreamGivesTheTokensOfTheMessage(t *testing.T) {
	for _, message := range []string{
		`<a xmlns="n" b="c"><d/>text<!-- c --><![CDATA[<]]>&amp;</a>`,
		`<?xml version="1.0"?><a xmlns:p="n"><p:b p:c="d"/></a>`,
		`<a b="1" b="2"/>`, `<!DOCTYPE a><a/>`, `<a>`, `<a></b>`, ``,
	} {
		var whole, stream Reader
		whole.Start([]byte(message), Options{})
		stream.StartStream(iotest.OneByteReader(strings.NewReader(message)), Options{})
		for {
			a, errA := whole.Next()
			b, errB := stream.Next()
			if (errA == nil) != (errB == nil) || errors.Is(errA, io.EOF) != errors.Is(errB, io.EOF) {
				t.Fatalf("%s: %v, as a stream %v", message, errA, errB)
			}
			if errA != nil {
				break
			}
			// The pieces of a text may differ. Here, no text has more than one.
			if a.Kind != b.Kind || string(a.Name) != string(b.Name) || string(a.Space) != string(b.Space) ||
				len(a.Attributes) != len(b.Attributes) || string(a.Text) != string(b.Text) ||
				whole.Offset() != stream.Offset() {
				t.Fatalf("%s: %+v, as a stream %+v", message, a, b)
			}
		}
	}
}

func TestAStreamEndsWithTheErrorOfItsSource(t *testing.T) {
	lost := errors.New("the connection is lost")
	var r Reader
	r.StartStream(io.MultiReader(strings.NewReader("<a><b>text"), iotest.ErrReader(lost)), Options{})
	var err error
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, lost) {
		t.Error(err)
	}
}

func TestAStreamHasALimitOfDepthAndNoneOfLength(t *testing.T) {
	deep := func(n int) error {
		var r Reader
		message := strings.Repeat("<a>", n) + strings.Repeat("</a>", n)
		r.StartStream(strings.NewReader(message), Options{Limits: Limits{Depth: 9}})
		for {
			if _, err := r.Next(); err != nil {
				return err
			}
		}
	}
	if err := deep(9); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := deep(10); !errors.Is(err, errDepth) {
		t.Error(err)
	}
	var r Reader
	r.StartStream(strings.NewReader("<a>"+strings.Repeat("<b/>", 300_000)+"</a>"), Options{})
	if _, err := r.Child(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		e, err := r.Child()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			break
		}
		if err := r.Skip(); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := r.End(); n != 300_000 || err != nil {
		t.Errorf("%d elements, %v", n, err)
	}
}

// answerOf returns a message of some megabytes in the form of an answer.
func answerOf(objects int) string {
	return `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="soap" xmlns:xsi="instance"><s:Body>` +
		`<r xmlns="v">` +
		strings.Repeat(`<o xsi:type="T"><name>a &amp; b</name><val>1</val><none/></o>`, objects) +
		`</r></s:Body></s:Envelope>`
}

// count reads a message and returns the number of tokens.
func count(t testing.TB, r *Reader) (tokens int) {
	t.Helper()
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return tokens
		} else if err != nil {
			t.Fatal(err)
		}
		tokens++
	}
}

func TestALongStreamIsReadByTheFastTokenizerInLittleMemory(t *testing.T) {
	message := answerOf(1 << 17)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var r Reader
	r.StartStream(strings.NewReader(message), Options{})
	tokens := count(t, &r)
	runtime.ReadMemStats(&after)
	if want := 10<<17 + 6; tokens != want || !r.Fast() {
		t.Errorf("%d tokens, want %d, by the fast tokenizer: %v", tokens, want, r.Fast())
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes were read in %d bytes of memory", len(message), took)
	}
}

func TestAStreamGoesOnWithTheStandardTokenizerInTheMiddle(t *testing.T) {
	long := strings.Repeat("n", maxKept+1)
	for _, odd := range []string{"<!-- c -->", "<?p?>", "<x><![CDATA[<]]></x>", "<" + long + "/>",
		`<x xmlns="` + long + `"/>`} {
		message := strings.Replace(answerOf(2000), "<r xmlns", `<r xmlns:q='a"b' xmlns`, 1)
		at := strings.LastIndex(message, "<o ")
		message = message[:at] + odd + message[at:]
		var fast, whole Reader
		fast.StartStream(iotest.HalfReader(strings.NewReader(message)), Options{})
		whole.standard = newStandard([]byte(message))
		for {
			a, errA := fast.Next()
			b, errB := whole.Next()
			if got, want := show(a, errA), show(b, errB); got != want {
				t.Fatalf("%s: %s, want %s", odd, got, want)
			}
			if errA != nil {
				break
			}
		}
		if fast.Fast() {
			t.Errorf("%.20s is read by the fast tokenizer", odd)
		}
	}
}

func TestATextOfAStreamMayBeLongerThanTheWindowUpToALimit(t *testing.T) {
	for size, ok := range map[int]bool{
		firstWindow - 1: true, firstWindow: true, laterWindow: true, 3*laterWindow + 1: true, maxWindow: false,
	} {
		text := strings.Repeat("x", size-2) + "é"
		var r Reader
		r.StartStream(iotest.HalfReader(strings.NewReader(`<a b="`+text+`">`+text+`</a><c/>`)), Options{})
		e, err := r.Next()
		if !ok {
			if !errors.Is(err, errToken) {
				t.Errorf("%d bytes: %v", size, err)
			}
			continue
		}
		if err != nil || string(e.Attribute("", "b")) != text {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got, err := r.Text(); err != nil || string(got) != text {
			t.Errorf("%d bytes of text: %d, %v", size, len(got), err)
		}
	}
}

func TestASourceThatGivesNothingIsAnError(t *testing.T) {
	var r Reader
	r.StartStream(io.MultiReader(strings.NewReader("<a><b/>"), nothing{}), Options{})
	var err error
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

// nothing is a source that never has anything.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func BenchmarkStream(b *testing.B) {
	message := answerOf(1 << 16)
	b.ReportAllocs()
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		var r Reader
		r.StartStream(strings.NewReader(message), Options{})
		_ = count(b, &r)
	}
}

func TestAValueWithAnAngleBracketDoesNotEndTheFastPathAtTheEndOfAWindow(t *testing.T) {
	const values = `a>b' c="/>" d='">' e=">` + "\n" + `">x>y</o><o n='>'/>`
	message := `<r xmlns="u">` + strings.Repeat(`<o n='`+values, 3000) + `</r>`
	for _, source := range []io.Reader{
		strings.NewReader(message), iotest.OneByteReader(strings.NewReader(message)),
	} {
		var r Reader
		r.StartStream(source, Options{})
		if tokens := count(t, &r); tokens != 5*3000+2 || !r.Fast() {
			t.Errorf("%d tokens, by the fast tokenizer: %v", tokens, r.Fast())
		}
	}
	for _, tag := range []string{`<o n="a>b`, `<o n='`, `<o n="x<y`, `<o n=">`, `<o`, `<`, `</r`, `<!`, `<?`} {
		var r Reader
		r.StartStream(strings.NewReader("<r>"+tag), Options{})
		for err := error(nil); err == nil; {
			if _, err = r.Next(); errors.Is(err, io.EOF) {
				t.Errorf("%s: the end of the message is not missed", tag)
			}
		}
	}
}

func TestNoPartOfAStreamIsLongerThanTheLimit(t *testing.T) {
	filler := strings.Repeat("x", 1<<10)
	for _, kind := range []struct{ begin, end string }{
		{"<!-- ", " -->"}, {"<!-- > ", " -->"}, {"<![CDATA[", "]]>"}, {"<![CDATA[>", "]]>"}, {"<?p ", "?>"},
		{"", ""}, {`<o n="`, `"/>`}, {`<o n=">`, `"/>`}, {"<!-- -->", ""},
	} {
		for _, size := range []int{maxToken / 8, maxToken * 3} {
			var r Reader
			r.StartStream(io.MultiReader(strings.NewReader("<r>"+kind.begin), &repeater{filler, size},
				strings.NewReader(kind.end+"</r>")), Options{})
			var err error
			for err == nil {
				_, err = r.Next()
			}
			want := io.EOF
			if size > maxToken {
				want = errToken
			}
			if !errors.Is(err, want) {
				t.Errorf("%s with %d bytes: %v", kind.begin, size, err)
			}
		}
	}
}

// repeater reads a text again and again until it has given so many bytes.
type repeater struct {
	text string
	left int
}

func (r *repeater) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.left)], r.text)
	r.left -= n
	return n, nil
}
