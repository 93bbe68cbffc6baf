package xmltoken

import (
	"bytes"
	"encoding/xml"
	"testing"
	"unicode/utf8"
)

// checkAppended checks that AppendText and appendEscaped agree, and that a parser reads the result
// as the same text unless XML can't represent it.
func checkAppended(t *testing.T, text string) {
	t.Helper()
	quick, slow := AppendText(nil, text), appendEscaped(nil, text)
	if !bytes.Equal(quick, slow) {
		t.Fatalf("%q is written as %q and as %q", text, quick, slow)
	}
	var x struct {
		Attribute string `xml:"b,attr"`
		Text      string `xml:",chardata"`
	}
	document := append(append(append(append([]byte(`<a b="`), quick...), `">`...), quick...), "</a>"...)
	if err := xml.Unmarshal(document, &x); err != nil || x.Attribute != x.Text {
		t.Fatalf("%q: %q %+v %v", text, document, x, err)
	}
	holds := utf8.ValidString(text)
	for _, r := range text {
		holds = holds && (character(r) || r == '\t' || r == '\r' || r == '\n')
	}
	if holds != (x.Text == text) {
		t.Fatalf("%q reads back as %q", text, x.Text)
	}
}

var texts = []string{
	"", "plain", " <a b='c'>&amp;]]>\"", "\t\r\n\r", "größe 日本 𝄞\u2028", "\ufffd", "~\x7f\u0080",
	"\x00a", "\xff", "\ufffe\uffff", "\x1f", "\xed\xa0\x80", "é\xc3",
}

func TestAppendedTextReadsBackAsItIs(t *testing.T) {
	for _, text := range texts {
		checkAppended(t, text)
	}
	for text, want := range map[string]string{
		"\x00a": "\ufffda", "\xff": "\ufffd", "\ufffe\uffff": "\ufffd\ufffd", "\x1f": "\ufffd", `<"&`: "&lt;&#34;&amp;",
	} {
		if got := string(AppendText(nil, text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzAppendedTextReadsBackAsItIs(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(checkAppended)
}
