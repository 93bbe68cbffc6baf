package link

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
)

func address(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func served(path string) bool {
	for _, p := range []string{"/sdk", "/nfc", "/folder", "/rest", "/api", "/cls", "/ticket"} {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// toFront rewrites the URLs of an upstream as a front does.
func toFront(t testing.TB) *Rewriter {
	from := []*url.URL{address(t, "https://vc1.example/sdk"), {Scheme: "https", Host: "*"}}
	return New(from, address(t, "https://front.example:9443"), served)
}

var cases = []struct{ name, in, want string }{
	{"a URL", "https://vc1.example/nfc/1", "https://front.example:9443/nfc/1"},
	{"its own port", "<url>https://vc1.example:443/nfc/1</url>", "<url>https://front.example:9443/nfc/1</url>"},
	{"another port", "https://vc1.example:5480/nfc/1", "https://vc1.example:5480/nfc/1"},
	{"no port, another scheme", "http://vc1.example/folder/a", "https://front.example:9443/folder/a"},
	{"capitals", "HTTPS://VC1.Example/folder", "HTTPS://front.example:9443/folder"},
	{"a dot at the end of the name", "https://vc1.example./folder/", "https://front.example:9443/folder/"},
	{"a WebSocket", `"wss://vc1.example:443/ticket/ab"`, `"wss://front.example:9443/ticket/ab"`},
	{"JSON with escaped slashes", `{"uri":"https:\/\/vc1.example:443\/rest\/x"}`,
		`{"uri":"https:\/\/front.example:9443\/rest\/x"}`},
	{"a password", "https://user:pass@vc1.example/sdk", "https://front.example:9443/sdk"},
	{"a password in XML", "https://user:p&amp;ss@vc1.example/sdk", "https://front.example:9443/sdk"},
	{"a password in JSON", `"https://user:p\u0026ss@vc1.example/sdk"`, `"https://front.example:9443/sdk"`},
	{"a password with @", "https://a@b:c@vc1.example/sdk", "https://front.example:9443/sdk"},
	{"a password before a path that is not served", "https://u:p@vc1.example/ui/x", "https://vc1.example/ui/x"},
	{"a password before no path", "see https://u:p@vc1.example.", "see https://vc1.example."},
	{"a password of another server", "https://u:p@esx1.example/folder/x", "https://u:p@esx1.example/folder/x"},
	{"a path that is not served", "https://vc1.example/ui/", "https://vc1.example/ui/"},
	{"a path that begins as a served one", "https://vc1.example/nfcs/1", "https://vc1.example/nfcs/1"},
	{"no path", "https://vc1.example", "https://vc1.example"},
	{"another server", "https://vc10.example/nfc/1", "https://vc10.example/nfc/1"},
	{"a longer name", "https://vc1.example.org/nfc/1", "https://vc1.example.org/nfc/1"},
	{"the name as a user", "https://vc1.example@other/nfc/1", "https://vc1.example@other/nfc/1"},
	{"another scheme", "xhttps://vc1.example/nfc/1 git+https://vc1.example/nfc/1",
		"xhttps://vc1.example/nfc/1 git+https://vc1.example/nfc/1"},
	{"a name in the query", "https://other/?u=https://vc1.example/sdk",
		"https://other/?u=https://front.example:9443/sdk"},
	{"two side by side", "https://vc1.example/sdk https://vc1.example/nfc/2",
		"https://front.example:9443/sdk https://front.example:9443/nfc/2"},
	{"the end of an attribute", `a="https://vc1.example/sdk"b='https://vc1.example/api'`,
		`a="https://front.example:9443/sdk"b='https://front.example:9443/api'`},
	{"an entity after the name", "&quot;https://vc1.example&quot;", "&quot;https://vc1.example&quot;"},
	{"a name for the client to fill in", "https://*/nfc/1", "https://*/nfc/1"},
	{"a name to fill in, with a port", "https://*:443/nfc/1", "https://front.example:9443/nfc/1"},
	{"a name to fill in, with another scheme", "http://*/nfc/1", "https://front.example:9443/nfc/1"},
	{"a percent-encoded id", "https://vc1.example/nfc/session%5Bab%5Dcd/disk-0.vmdk",
		"https://front.example:9443/nfc/session%5Bab%5Dcd/disk-0.vmdk"},
	{"a namespace", `xmlns="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x:y"`,
		`xmlns="http://www.w3.org/2001/XMLSchema-instance" xsi:type="x:y"`},
	{"half a URL", "https:/", "https:/"},
	{"a URL without an authority", "https:///nfc", "https:///nfc"},
	{"binary", "\x00https://\xff\xfe/nfc h ht htt http https wss", "\x00https://\xff\xfe/nfc h ht htt http https wss"},
}

func TestURLsOfTheUpstreamBecomeThoseOfTheFront(t *testing.T) {
	for _, c := range cases {
		if got := toFront(t).Text(c.in); got != c.want {
			t.Errorf("%s: %q became %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestAURLIsFoundWhereverAStreamIsCut(t *testing.T) {
	r := toFront(t)
	for _, c := range cases {
		for cut := range len(c.in) + 1 {
			parts := io.MultiReader(strings.NewReader(c.in[:cut]), strings.NewReader(c.in[cut:]))
			got, err := io.ReadAll(r.Reader(parts))
			if err != nil || string(got) != c.want {
				t.Errorf("%s, cut at %d: %q, %v", c.name, cut, got, err)
			}
		}
		got, err := io.ReadAll(r.Reader(iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(c.in)))))
		if err != nil || string(got) != c.want {
			t.Errorf("%s, byte by byte: %q, %v", c.name, got, err)
		}
	}
}

func TestAnUpstreamAtAPortOfItsOwnIsFoundByNameAndPort(t *testing.T) {
	r := New([]*url.URL{address(t, "http://127.0.0.1:8989/sdk"), address(t, "https://[::1]:444/sdk")},
		address(t, "https://front"), served)
	for in, want := range map[string]string{
		"http://127.0.0.1:8989/nfc/1": "https://front/nfc/1",
		"ws://127.0.0.1:8989/ticket":  "wss://front/ticket",
		"http://127.0.0.1:8990/nfc/1": "http://127.0.0.1:8990/nfc/1",
		"https://[::1]:444/nfc/1":     "https://front/nfc/1",
		"https://[::1]/nfc/1":         "https://front/nfc/1",
		"https://[::1]:445/nfc/1":     "https://[::1]:445/nfc/1",
	} {
		if got := r.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestALongTextPassesWithItsURLsRewritten(t *testing.T) {
	var in, want strings.Builder
	for range 20_000 {
		in.WriteString(`<val xmlns:i="http://www.w3.org/2001/i" i:type="s">https://vc1.example/nfc/1</val>`)
		want.WriteString(`<val xmlns:i="http://www.w3.org/2001/i" i:type="s">https://front.example:9443/nfc/1</val>`)
	}
	got, err := io.ReadAll(toFront(t).Reader(strings.NewReader(in.String())))
	if err != nil || string(got) != want.String() {
		t.Errorf("%d bytes, %v; want %d", len(got), err, want.Len())
	}
}

func TestAnEndlessAuthorityOrPathIsNotHeldBack(t *testing.T) {
	for _, in := range []string{
		"https://" + strings.Repeat("a", 200_000),
		"https://" + strings.Repeat("a:@", 70_000),
		"https://vc1.example/" + strings.Repeat("a", 200_000),
		strings.Repeat("https://", 30_000), strings.Repeat("https:\\/", 30_000), strings.Repeat("h", 100_000),
	} {
		got, err := io.ReadAll(toFront(t).Reader(strings.NewReader(in)))
		if err != nil || string(got) != in {
			t.Errorf("%.20s…: %d bytes of %d, %v", in, len(got), len(in), err)
		}
	}
}

func TestTheErrorOfTheSourceComesAfterItsBytes(t *testing.T) {
	broken := errors.New("broken")
	src := io.MultiReader(strings.NewReader("see https://vc1.example/nfc/1"), iotest.ErrReader(broken))
	got, err := io.ReadAll(toFront(t).Reader(src))
	if !errors.Is(err, broken) || string(got) != "see https://front.example:9443/nfc/1" {
		t.Errorf("got %q, %v", got, err)
	}
}

// stepper returns one text for each Read, and reports when it is asked for more than it has.
type stepper struct {
	texts []string
	asked int
}

func (s *stepper) Read(p []byte) (int, error) {
	s.asked++
	if len(s.texts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.texts[0])
	s.texts = s.texts[1:]
	return n, nil
}

func TestWhatIsNoPartOfAURLIsPassedOnAtOnce(t *testing.T) {
	s := &stepper{texts: []string{"one event: https://vc1.example/nfc/1\n", "more"}}
	r, b := toFront(t).Reader(s), make([]byte, 100)
	n, err := r.Read(b)
	if err != nil || string(b[:n]) != "one event: https://front.example:9443/nfc/1\n" || s.asked != 1 {
		t.Errorf("read %q, %v after %d reads of the source", b[:n], err, s.asked)
	}
}

func FuzzNoByteIsChangedThatNeedNotBe(f *testing.F) {
	for _, c := range cases {
		f.Add(c.in, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		r := toFront(t)
		whole := r.Text(in)
		parts := &chunks{s: in, n: int(size)%17 + 1}
		got, err := io.ReadAll(r.Reader(parts))
		if err != nil || string(got) != whole {
			t.Fatalf("%q in parts became %q, %v; as a whole %q", in, got, err, whole)
		}
		lower := strings.ToLower(in)
		if whole != in && !strings.Contains(lower, "vc1.example") && !strings.Contains(in, "*") {
			t.Fatalf("%q became %q", in, whole)
		}
		// What was rewritten is the same again after both ways.
		back := New([]*url.URL{address(t, "https://front.example:9443")}, address(t, "https://vc1.example"), served)
		if again := r.Text(back.Text(whole)); again != r.Text(whole) {
			t.Fatalf("%q became %q, and %q after both ways", in, whole, again)
		}
	})
}

type chunks struct {
	s string
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := copy(p, c.s[:min(c.n, len(c.s))])
	c.s = c.s[n:]
	return n, nil
}

func BenchmarkReader(b *testing.B) {
	element := `<val xmlns:i="http://www.w3.org/2001/i" i:type="xsd:string">2026-01-01T00:00:00Z some</val>`
	text := strings.Repeat(element, 10_000)
	r := toFront(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := io.Copy(io.Discard, r.Reader(strings.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}
