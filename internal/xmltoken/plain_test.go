package xmltoken

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// signed is the namespace of signed elements.
const signed = "urn:signed"

var options = Options{Signed: []string{signed}}

// show returns a text with all fields of a token.
func show(t *Token, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d-%d {%s}%s %q", t.Kind, t.Begin, t.End, t.Space, t.Name, t.Text)
	for _, a := range t.Attributes {
		fmt.Fprintf(&b, " {%s}%s=%q", a.Space, a.Name, a.Value)
	}
	return b.String()
}

// inParts returns a message as it can arrive: a short one byte by byte.
func inParts(message []byte) io.Reader {
	if len(message) < firstWindow {
		return iotest.OneByteReader(bytes.NewReader(message))
	}
	return iotest.HalfReader(bytes.NewReader(message))
}

// sameTokens checks that plain returns the same tokens as standard as far as it reads, and that a
// Reader returns all of them, also of a stream. Neither reads a message to its end if Check refuses the
// message, unless it is a stream. sameTokens reports whether plain read the message to its end.
func sameTokens(t testing.TB, message []byte) bool {
	t.Helper()
	var p plain
	p.start(message, options)
	fast, refused := true, Check(message, options.Limits)
	twin := newStandard(message)
	var r, stream Reader
	r.Start(message, options)
	stream.StartStream(inParts(message), options)
	for {
		token, err := twin.next()
		want := show(token, err)
		if fast {
			got, plainErr := p.next()
			if fast = !errors.Is(plainErr, errNotPlain); fast && show(got, plainErr) != want {
				t.Fatalf("%.2000q: plain reads\n%s\nthe standard library\n%s", message, show(got, plainErr), want)
			}
		}
		got, readErr := r.Next()
		if r.Fast() != (fast || refused != nil) {
			t.Fatalf("%.2000q: plain reads: %v, and Fast says %v", message, fast, r.Fast())
		}
		if refused != nil && !fast {
			if readErr == nil || errors.Is(readErr, io.EOF) {
				t.Fatalf("%.2000q: the reader goes on with %s", message, show(got, readErr))
			}
			return false
		}
		if show(got, readErr) != want {
			t.Fatalf("%.2000q: the reader reads\n%s\nthe standard library\n%s", message, show(got, readErr), want)
		}
		if refused == nil { // a stream has fewer limits
			got, streamErr := stream.Next()
			if err != nil && (streamErr == nil || errors.Is(streamErr, io.EOF) != errors.Is(err, io.EOF)) ||
				err == nil && show(got, streamErr) != want {
				t.Fatalf("%.2000q: as a stream\n%s\nthe standard library\n%s", message, show(got, streamErr), want)
			}
		}
		if err != nil {
			if refused != nil {
				t.Fatalf("%.2000q: read to its end, and Check says %v", message, refused)
			}
			return fast && errors.Is(err, io.EOF)
		}
		if r.Offset() != token.End {
			t.Fatalf("%.2000q: the reader is at %d, the standard library at %d", message, r.Offset(), token.End)
		}
	}
}

// oddities are documents that parsers read differently. The value says whether plain reads them.
var oddities = map[string]bool{
	`<a/>`: true, `<a />`: true, `<a></a>`: true, "<a\n\t></a>": true, `<a></a >`: false, `<a/ >`: false,
	`< a/>`:          false,
	`<a><b></a></b>`: false, `<a></b>`: false, `<a>`: false, `</a>`: false, `<a></a></a>`: false, `<a></aa>`: false,
	`<aa></a>`: false, `<a></`: false,
	`<a/><b/>`: true, `<a/>x`: true, `x<a/>`: true, "<a/> \n": true, `<a/>]]>`: false, `<a/>&`: false, `x`: true,
	``: true, ` `: true,

	// Names.
	`<a.b-c_1/>`: true, `<_a/>`: true, `<1a/>`: false, `<-a/>`: false, `<.a/>`: false, `<é/>`: false, `<aé/>`: false,
	`<a·/>`: false, `<a$/>`: false,
	`<:a/>`: false, `<a:/>`: false, `<a:b:c/>`: false, `<a xmlns:b="u"><b:1/></a>`: false, `<:/>`: false,
	`<a b:="1"/>`: false, `<a :b="1"/>`: false,
	`<xmlns/>`: false, `<xmlns xmlns="u"/>`: false, `<a é="1"/>`: false, `<a`: false, `<a b`: false, `<`: false,
	`<a:b`: false, `<a b:c`: false,

	// Namespaces.
	`<p:a/>`: false, `<a p:b="1"/>`: false, `<p:a xmlns:p="u"/>`: true, `<p:a xmlns:p="u"></a>`: false,
	`<p:a xmlns:p="u"></p:a>`:                                        true,
	`<p:a xmlns:p="u" xmlns:q="u"></q:a>`:                            false,
	`<a xmlns="u" b="1"><b/><c xmlns=""><d/></c><e/></a>`:            true,
	`<a xmlns:p="u"><b xmlns:p=""><p:c/></b></a>`:                    false,
	`<a xmlns:p="u"><p:b xmlns:p="v" p:x="1"><p:c/></p:b><p:d/></a>`: true,
	`<p:a p:b="1" xmlns:p="u"/>`:                                     true,
	`<a><b xmlns:p="u"/><p:c/></a>`:                                  false,
	`<a xml:lang="en"/>`:                                             false,
	`<xml:a/>`:                                                       false,
	`<a xmlns:xml="http://www.w3.org/XML/1998/namespace"/>`:          false,
	`<a xmlns:xmlns="u"/>`:                                           false,
	`<xmlns:a/>`:                                                     false,
	`<a xmlns:p="xmlns" xmlns:q="u" p:q="1"/>`:                       false,
	`<a xmlns="xmlns" xmlns:p="u"><b/></a>`:                          false,
	`<a xmlns:p="u&amp;v"><p:b/></a>`:                                false,
	"<a xmlns:p='u\r\nv'><p:b/></a>":                                 false,
	`<a xmlns="" xmlns:p=" "><p:b/></a>`:                             true,
	`<a xmlns:p="u" xmlns:p="v"/>`:                                   false,
	`<a xmlns="u" xmlns="v"/>`:                                       false,
	`<a xmlns:p="u" p:xmlns="v"><b/></a>`:                            true,
	`<a xmlnsx="u"><b/></a>`:                                         false,
	`<a xmlns="` + signed + `"/>`:                                    false,
	`<a xmlns:1="u"/>`:                                               false,
	`<a xmlns:a="1" xmlns:b="2" xmlns:c="3" xmlns:d="4" xmlns:e="5" xmlns:f="6" xmlns:g="7"><g:a a:x=""/></a>`: true,

	// Attributes.
	`<a b="1" b="2"/>`: false, `<a xmlns:p="u" p:b="1" b="2"/>`: true,
	`<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`: false,
	`<a b="1"c="2"/>`: false, `<a b = "1"/>`: false, `<a b= "1"/>`: false, `<a b=1/>`: false, `<a b/>`: false,
	`<a b="/>`: false, `<a b="1'/>`: false,
	"<a b=' 1\t\n2 '/>": true, "<a b='1\r\n2\r3\r\r\n4'/>": true, `<a b="<"/>`: false,
	`<a b=">" c="]]>" d='"' e="'"/>`: true, `<a b=""/>`: true,
	`<a b="&lt;" c="&#10;&#xD;" d="&amp;lt;"/>`: true, `<a b="&"/>`: false, `<a b="é" c="` + "\uffff" + `"/>`: false,
	`<a b="1" c="2" d="3" e="4" f="&amp;" g="&lt;"/>`: true, `<a b="1"/ c="2">`: false, `<a b="1"`: false,
	`<a b="1" `: false, `<a b="1"/`: false,

	// Text.
	`<a>]]></a>`: false, `<a>]]&gt;</a>`: true, `<a>]>]] ></a>`: true, `<a>]&#93;></a>`: true, `<a>]]]></a>`: false,
	"<a>]]\r></a>": true,
	"<a>1\r\n2\r3\r\r\n4\n\r5&#13;\n\r&#10;</a>": true, "<a>\x00</a>": false, "<a>\x0b</a>": false,
	"<a>\x7f\u0080</a>": true,
	"<a>\ufffe</a>":     false, "<a>\uffff</a>": false, "<a>\ufffd</a>": true, "<a>\xff</a>": false,
	"<a>\xc0\x80</a>": false, "<a>\xed\xa0\x80</a>": false,
	"<a>größe 日本 𝄞 \u2028\u0085</a>": true, "<a>\xf4\x90\x80\x80</a>": false, "<a>é\xc3</a>": false, "\ufeff<a/>": true,

	// References.
	`<a>&lt;&gt;&amp;&apos;&quot;</a>`: true, `<a>&nbsp;</a>`: false, `<a>&lt</a>`: false, `<a>&;</a>`: false,
	`<a>& </a>`: false, `<a>&LT;</a>`: false,
	`<a>&#65;&#x41;&#x1D11E;</a>`: true, `<a>&#0;</a>`: false, `<a>&#x1;</a>`: false, `<a>&#xFFFE;</a>`: false,
	`<a>&#xD800;</a>`: false, `<a>&#xFFFD;</a>`: true,
	`<a>&#x110000;</a>`: false, `<a>&#x10FFFF;</a>`: true, `<a>&#99999999999999999999;</a>`: false,
	`<a>&#X41;</a>`: false, `<a>&#;</a>`: false, `<a>&#x;</a>`: false,
	`<a>&#+65;</a>`: false, `<a>&#-65;</a>`: false, `<a>&#6_5;</a>`: false, `<a>&# 65;</a>`: false,
	`<a>&#x0x41;</a>`: false, `<a>&#0065;</a>`: true, `<a>&#000000000065;</a>`: false,
	`<a>&#4294967361;</a>`: false, `<a>&lt;&</a>`: false, `<a>&amp;amp;</a>`: true, `<a>&l&lt;t;</a>`: false,
	`<a>&am<b/>p;</a>`: false,

	// Constructs that are not elements.
	`<a><![CDATA[<b>]]></a>`: false, `<a><!-- --></a>`: false, `<!-- x --><a/>`: false, `<a><?x?></a>`: false,
	`<!DOCTYPE a><a/>`: false, `<a>x<![CDATA[y]]>z</a>`: false,
	`<?xml version="1.0"?><a/>`: true, `<?xml version='1.0'?><a/>`: false, `<?xml version="1.1"?><a/>`: false,
	` <?xml version="1.0"?><a/>`:                          false,
	`<?xml version="1.0" encoding="UTF-8"?>` + "\r\n<a/>": true, `<?xml version="1.0" encoding="latin1"?><a/>`: false,
	`<?xml version="1.0"?><?xml version="1.0"?><a/>`:             false,
	`<?xml version="1.0" encoding="utf-8"?><a/>`:                 true,
	`<?xml version="1.0" encoding="UTF-8" standalone="no"?><a/>`: false,
}

func TestPlainReadsADocumentLikeTheStandardLibraryOrRefusesIt(t *testing.T) {
	for document, fast := range oddities {
		if got := sameTokens(t, []byte(document)); got != fast {
			t.Errorf("%q: read by plain: %v, want %v", document, got, fast)
		}
		// The same document inside another one, so that plain reads some tokens before it.
		sameTokens(t, []byte(`<x xmlns="u"><y>1</y>`+document+`</x>`))
	}
	for name, message := range attacks() {
		if len(message) < 10_000 && sameTokens(t, []byte(message)) {
			t.Errorf("%s: read by plain to its end", name)
		}
	}
}

// byPlain reports whether plain reads the message to its end.
func byPlain(message []byte, l Limits) bool {
	var p plain
	p.start(message, Options{Limits: l})
	for {
		if _, err := p.next(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// counted repeats a pattern with the numbers from 0 to n-1 in it.
func counted(pattern string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, pattern, i)
	}
	return b.String()
}

// nested returns nested elements that have n attributes in total, with at most each per element.
func nested(attribute string, each, n int) string {
	var tags, ends string
	for i := 0; n > 0; i++ {
		now := min(each, n)
		tags += "<a" + counted(fmt.Sprintf(" %s%d%%d='u'", attribute, i), now) + ">"
		ends += "</a>"
		n -= now
	}
	return tags + ends
}

func TestPlainHasTheLimitsOfTheScan(t *testing.T) {
	for _, l := range []Limits{{}, {Depth: 12, Markup: 40, Attributes: 5, Namespaces: 11}} {
		d := l.orDefault()
		for name, tt := range map[string]struct {
			limit int
			of    func(n int) string
			want  error
		}{
			"depth": {d.Depth, func(n int) string {
				return strings.Repeat("<a>", n) +
					strings.Repeat("</a>", n)
			}, errDepth},
			"depth of an empty one": {d.Depth, func(n int) string {
				return strings.Repeat("<a>", n-1) + "<b/>" +
					strings.Repeat("</a>", n-1)
			}, errDepth},
			"attributes": {d.Attributes, func(n int) string { return "<a" + counted(` b%d=""`, n) + "/>" },
				errAttributes},
			"attributes and spaces": {d.Attributes, func(n int) string {
				return `<a xmlns="u" xmlns:b="v"` +
					counted(` b%d=""`, n-2) + "/>"
			}, errAttributes},
			"declarations in a tag": {d.Attributes,
				func(n int) string { return "<a" + counted(` xmlns:b%d="u"`, n) + "/>" }, errAttributes},
			"declarations in scope": {d.Namespaces, func(n int) string { return nested("xmlns:b", d.Attributes, n) },
				errNamespaces},
			"elements": {d.Markup,
				func(n int) string { return "<a>" + strings.Repeat("<b/>", n-2) + "</a>" }, errMarkup},
			"elements with their end": {d.Markup, func(n int) string {
				return "<a>" + strings.Repeat("<b></b>", n/2-1) + strings.Repeat("<b/>", n%2) + "</a>"
			}, errMarkup},
		} {
			if message := []byte(tt.of(tt.limit)); !byPlain(message, l) || Check(message, l) != nil {
				t.Errorf("%s: %d are not read by plain, or Check says %v", name, tt.limit, Check(message, l))
			}
			if message := []byte(tt.of(tt.limit + 1)); byPlain(message, l) || !errors.Is(Check(message, l), tt.want) {
				t.Errorf("%s: %d are read by plain, or Check says %v, want %v", name, tt.limit+1, Check(message, l),
					tt.want)
			}
		}
		// Attributes that look like declarations count as declarations.
		look := []byte(nested("xmlnsb", d.Attributes, d.Namespaces+1))
		if byPlain(look, l) || !errors.Is(Check(look, l), errNamespaces) {
			t.Errorf("Check says %v", Check(look, l))
		}
	}
}

func FuzzPlainAndTheStandardLibraryReadTheSame(f *testing.F) {
	for document := range oddities {
		f.Add([]byte(document))
		f.Add([]byte(`<?xml version="1.0" encoding="UTF-8"?><x xmlns="u" xmlns:p="v"><p:y z="1">` + document +
			`</p:y></x>`))
	}
	for _, message := range attacks() {
		if len(message) < 10_000 {
			f.Add([]byte(message))
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > 64<<10 {
			return // the time is better spent on short messages
		}
		sameTokens(t, message)
		if Check(message, Limits{}) == nil {
			bounded(t, message)
		}
	})
}
