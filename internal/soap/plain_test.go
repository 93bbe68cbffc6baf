package soap

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/vim"
)

// show is all that a token says.
func show(t *token, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d-%d {%s}%s %q", t.kind, t.begin, t.end, t.space, t.name, t.text)
	for _, a := range t.attributes {
		fmt.Fprintf(&b, " {%s}%s=%q", a.space, a.name, a.value)
	}
	return b.String()
}

// samePlain checks that plain gives the tokens of standard, as far as it reads,
// and that the reader gives all of them, but for messages that scan refuses, which
// neither reads to the end. It reports whether plain came to the end.
func samePlain(t testing.TB, message []byte) bool {
	t.Helper()
	var p plain
	p.start(message)
	plainly, refused := true, scan(message) != nil
	twin := newStandard(message)
	r := new(codec).reader(message)
	for {
		token, err := twin.next()
		want := show(token, err)
		if plainly {
			got, plainErr := p.next()
			if plainly = !errors.Is(plainErr, errNotPlain); plainly && show(got, plainErr) != want {
				t.Fatalf("%.2000q: plain reads\n%s\nthe standard library\n%s", message, show(got, plainErr), want)
			}
		}
		got, readErr := r.next()
		if refused && !plainly {
			if readErr == nil || errors.Is(readErr, io.EOF) {
				t.Fatalf("%.2000q: the reader goes on with %s", message, show(got, readErr))
			}
			return false
		}
		if show(got, readErr) != want {
			t.Fatalf("%.2000q: the reader reads\n%s\nthe standard library\n%s", message, show(got, readErr), want)
		}
		if err != nil {
			if refused {
				t.Fatalf("%.2000q: read to its end, and scan says %v", message, scan(message))
			}
			return plainly && errors.Is(err, io.EOF)
		}
		if r.last != token.end {
			t.Fatalf("%.2000q: the reader is at %d, the standard library at %d", message, r.last, token.end)
		}
	}
}

// sameCall checks that a message becomes the same call, or the same refusal, by
// either tokenizer, and any refusal if scan refuses it.
func sameCall(t testing.TB, raw []byte) {
	t.Helper()
	read := func(r *reader) (*message, string) {
		m := &message{decoder: decoder{reader: r, codec: &codec{}}, raw: raw, api: newFake(), call: &vim.Call{}}
		if err := m.envelope(); err != nil {
			return m, err.Error()
		}
		return m, ""
	}
	plainly := new(codec).reader(raw)
	got, gotErr := read(plainly)
	if err := scan(raw); err != nil {
		if gotErr == "" {
			t.Fatalf("%.2000q becomes a call, and scan says %v", raw, err)
		}
		return
	}
	want, wantErr := read(&reader{standard: newStandard(raw)})
	same := got.call.Args == nil && want.call.Args == nil ||
		got.call.Args != nil && want.call.Args != nil && equal(got.call.Args, want.call.Args)
	got.call.Args, want.call.Args = nil, nil
	if gotErr != wantErr || !same || !reflect.DeepEqual(got.call, want.call) || got.cookie != want.cookie ||
		got.operation != want.operation || got.typed != want.typed || string(got.security) != string(want.security) || got.memory != want.memory {
		t.Fatalf("%.2000q is\n%+v %q, by the standard library\n%+v %q", raw, got.call, gotErr, want.call, wantErr)
	}
}

// oddities are documents in which parsers differ, and whether plain reads them.
var oddities = map[string]bool{
	`<a/>`: true, `<a />`: true, `<a></a>`: true, "<a\n\t></a>": true, `<a></a >`: false, `<a/ >`: false, `< a/>`: false,
	`<a><b></a></b>`: false, `<a></b>`: false, `<a>`: false, `</a>`: false, `<a></a></a>`: false, `<a></aa>`: false, `<aa></a>`: false, `<a></`: false,
	`<a/><b/>`: true, `<a/>x`: true, `x<a/>`: true, "<a/> \n": true, `<a/>]]>`: false, `<a/>&`: false, `x`: true, ``: true, ` `: true,

	// Names.
	`<a.b-c_1/>`: true, `<_a/>`: true, `<1a/>`: false, `<-a/>`: false, `<.a/>`: false, `<é/>`: false, `<aé/>`: false, `<a·/>`: false, `<a$/>`: false,
	`<:a/>`: false, `<a:/>`: false, `<a:b:c/>`: false, `<a xmlns:b="u"><b:1/></a>`: false, `<:/>`: false, `<a b:="1"/>`: false, `<a :b="1"/>`: false,
	`<xmlns/>`: false, `<xmlns xmlns="u"/>`: false, `<a é="1"/>`: false, `<a`: false, `<a b`: false, `<`: false, `<a:b`: false, `<a b:c`: false,

	// Namespaces.
	`<p:a/>`: false, `<a p:b="1"/>`: false, `<p:a xmlns:p="u"/>`: true, `<p:a xmlns:p="u"></a>`: false, `<p:a xmlns:p="u"></p:a>`: true,
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
	`<a xmlns="` + nsSecurity + `"/>`:                                false,
	`<a xmlns:1="u"/>`:                                               false,
	`<a xmlns:a="1" xmlns:b="2" xmlns:c="3" xmlns:d="4" xmlns:e="5" xmlns:f="6" xmlns:g="7"><g:a a:x=""/></a>`: true,

	// Attributes.
	`<a b="1" b="2"/>`: false, `<a xmlns:p="u" p:b="1" b="2"/>`: true, `<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`: false,
	`<a b="1"c="2"/>`: false, `<a b = "1"/>`: false, `<a b= "1"/>`: false, `<a b=1/>`: false, `<a b/>`: false, `<a b="/>`: false, `<a b="1'/>`: false,
	"<a b=' 1\t\n2 '/>": true, "<a b='1\r\n2\r3\r\r\n4'/>": true, `<a b="<"/>`: false, `<a b=">" c="]]>" d='"' e="'"/>`: true, `<a b=""/>`: true,
	`<a b="&lt;" c="&#10;&#xD;" d="&amp;lt;"/>`: true, `<a b="&"/>`: false, `<a b="é" c="` + "\uffff" + `"/>`: false,
	`<a b="1" c="2" d="3" e="4" f="&amp;" g="&lt;"/>`: true, `<a b="1"/ c="2">`: false, `<a b="1"`: false, `<a b="1" `: false, `<a b="1"/`: false,

	// Text.
	`<a>]]></a>`: false, `<a>]]&gt;</a>`: true, `<a>]>]] ></a>`: true, `<a>]&#93;></a>`: true, `<a>]]]></a>`: false, "<a>]]\r></a>": true,
	"<a>1\r\n2\r3\r\r\n4\n\r5&#13;\n\r&#10;</a>": true, "<a>\x00</a>": false, "<a>\x0b</a>": false, "<a>\x7f\u0080</a>": true,
	"<a>\ufffe</a>": false, "<a>\uffff</a>": false, "<a>\ufffd</a>": true, "<a>\xff</a>": false, "<a>\xc0\x80</a>": false, "<a>\xed\xa0\x80</a>": false,
	"<a>größe 日本 𝄞 \u2028\u0085</a>": true, "<a>\xf4\x90\x80\x80</a>": false, "<a>é\xc3</a>": false, "\ufeff<a/>": true,

	// References.
	`<a>&lt;&gt;&amp;&apos;&quot;</a>`: true, `<a>&nbsp;</a>`: false, `<a>&lt</a>`: false, `<a>&;</a>`: false, `<a>& </a>`: false, `<a>&LT;</a>`: false,
	`<a>&#65;&#x41;&#x1D11E;</a>`: true, `<a>&#0;</a>`: false, `<a>&#x1;</a>`: false, `<a>&#xFFFE;</a>`: false, `<a>&#xD800;</a>`: false, `<a>&#xFFFD;</a>`: true,
	`<a>&#x110000;</a>`: false, `<a>&#x10FFFF;</a>`: true, `<a>&#99999999999999999999;</a>`: false, `<a>&#X41;</a>`: false, `<a>&#;</a>`: false, `<a>&#x;</a>`: false,
	`<a>&#+65;</a>`: false, `<a>&#-65;</a>`: false, `<a>&#6_5;</a>`: false, `<a>&# 65;</a>`: false, `<a>&#x0x41;</a>`: false, `<a>&#0065;</a>`: true, `<a>&#000000000065;</a>`: false,
	`<a>&#4294967361;</a>`: false, `<a>&lt;&</a>`: false, `<a>&amp;amp;</a>`: true, `<a>&l&lt;t;</a>`: false, `<a>&am<b/>p;</a>`: false,

	// What is no element.
	`<a><![CDATA[<b>]]></a>`: false, `<a><!-- --></a>`: false, `<!-- x --><a/>`: false, `<a><?x?></a>`: false, `<!DOCTYPE a><a/>`: false, `<a>x<![CDATA[y]]>z</a>`: false,
	`<?xml version="1.0"?><a/>`: true, `<?xml version='1.0'?><a/>`: false, `<?xml version="1.1"?><a/>`: false, ` <?xml version="1.0"?><a/>`: false,
	`<?xml version="1.0" encoding="UTF-8"?>` + "\r\n<a/>": true, `<?xml version="1.0" encoding="latin1"?><a/>`: false, `<?xml version="1.0"?><?xml version="1.0"?><a/>`: false,
	`<?xml version="1.0" encoding="utf-8"?><a/>`: true, `<?xml version="1.0" encoding="UTF-8" standalone="no"?><a/>`: false,
}

func TestPlainReadsAsTheStandardLibraryOrNotAtAll(t *testing.T) {
	for document, plainly := range oddities {
		if got := samePlain(t, []byte(document)); got != plainly {
			t.Errorf("%q: read plainly: %v, want %v", document, got, plainly)
		}
		// The same with a prefix of a message before it, and inside of one.
		samePlain(t, []byte(`<x xmlns="u"><y>1</y>`+document+`</x>`))
		sameCall(t, []byte(envelope(manager("Login", "<userName>"+document+"</userName><password>b</password>"))))
		sameCall(t, []byte(envelope(manager("Login", document+"<userName>a</userName><password>b</password>"))))
	}
	for _, message := range attacks() {
		if len(message) < 10_000 { // token by token the others take long
			samePlain(t, []byte(message))
		}
		sameCall(t, []byte(message))
	}
}

// plainly reports whether plain comes to the message's end.
func plainly(message []byte) bool {
	var p plain
	p.start(message)
	for {
		if _, err := p.next(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

func TestPlainHasTheLimitsOfTheScan(t *testing.T) {
	many := func(what string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, what, i)
		}
		return b.String()
	}
	nest := func(tag string, n int) string {
		return strings.Repeat("<"+tag+">", n) + strings.Repeat("</"+tag[:1]+">", n)
	}
	for name, tt := range map[string]struct {
		limit int
		of    func(n int) string
	}{
		"depth":                 {maxDepth, func(n int) string { return nest("a", n) }},
		"depth of an empty one": {maxDepth, func(n int) string { return strings.Repeat("<a>", n-1) + "<b/>" + strings.Repeat("</a>", n-1) }},
		"attributes":            {maxAttributes, func(n int) string { return "<a" + many(` b%d=""`, n) + "/>" }},
		"attributes and spaces": {maxAttributes, func(n int) string { return `<a xmlns="u" xmlns:b="v"` + many(` b%d=""`, n-2) + "/>" }},
		"declarations in a tag": {maxAttributes, func(n int) string { return "<a" + many(` xmlns:b%d="u"`, n) + "/>" }},
		"declarations in scope": {maxNamespaces, func(n int) string {
			return "<a" + many(` xmlns:b%d="u"`, 60) + "><c" + many(` xmlns:d%d="u"`, 60) + "><e" + many(` xmlns:f%d="u"`, n-120) + "/></c></a>"
		}},
		"elements": {maxMarkup, func(n int) string { return "<a>" + strings.Repeat("<b/>", n-2) + "</a>" }},
		"elements with their end": {maxMarkup, func(n int) string {
			return "<a>" + strings.Repeat("<b></b>", n/2-1) + strings.Repeat("<b/>", n%2) + "</a>"
		}},
	} {
		if message := []byte(tt.of(tt.limit)); !plainly(message) || scan(message) != nil {
			t.Errorf("%s: %d are not read plainly, or scan says %v", name, tt.limit, scan(message))
		}
		if message := []byte(tt.of(tt.limit + 1)); plainly(message) || scan(message) == nil {
			t.Errorf("%s: %d are read plainly, or scan lets them pass", name, tt.limit+1)
		}
	}
	// What looks like declarations counts as such.
	look := "<a" + many(` xmlnsb%d=""`, 60) + "><c" + many(` xmlnsd%d=""`, 60) + "><e" + many(` xmlnsf%d=""`, 9) + "/></c></a>"
	if plainly([]byte(look)) || !errors.Is(scan([]byte(look)), errNamespaces) {
		t.Errorf("scan says %v", scan([]byte(look)))
	}
}

// Every message of the kind that clients send is read plainly to its end, and
// nothing that is signed.
func TestWhatClientsSendIsPlainUnlessItIsSigned(t *testing.T) {
	for _, message := range clientMessages() {
		signed := strings.Contains(message, nsSecurity)
		if samePlain(t, []byte(message)) == signed {
			t.Errorf("signed %v, read plainly %v: %s", signed, !signed, message)
		}
		sameCall(t, []byte(message))
	}
}

// clientMessages are requests as clients of the API write them.
func clientMessages() []string {
	const pyVmomi = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
`
	return []string{
		retrieve,
		envelope(manager("Login", "<userName>a&amp;b</userName><password>&lt;ö&#x20AC;</password><locale>de</locale>")),
		envelope(manager("Fetch", "<prop>currentSession</prop>")),
		envelope(operation("OptionManager", "VpxSettings", "UpdateOptions",
			`<changedValue xsi:type="OptionValue"><key>a</key><value xsi:type="xsd:int">1</value></changedValue>`)),
		envelope(operation("OptionManager", "VpxSettings", "UpdateOptions",
			`<changedValue xsi:type="OptionValue"><key>a</key><value xsi:type="ArrayOfOptionDef"><OptionDef/></value></changedValue>`)),
		envelope(operation("EventManager", "EventManager", "PostEvent", `<eventToPost xsi:type="EventEx"><key>1</key></eventToPost>`)),
		pyVmomi + `<soapenv:Header><vcSessionCookie>` + digits + `</vcSessionCookie></soapenv:Header>
<soapenv:Body><Fetch xmlns="urn:vim25"><_this versionId="8.0.3.0" type="SessionManager">SessionManager</_this><prop>sessionList</prop></Fetch></soapenv:Body>
</soapenv:Envelope>`,
		pyVmomi + `<soapenv:Body><RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>` +
			`<specSet><propSet xsi:type="PropertySpec"><type>SessionManager</type><all>false</all><pathSet>currentSession</pathSet></propSet>` +
			`<objectSet><obj type="SessionManager">SessionManager</obj><skip>false</skip><selectSet xsi:type="TraversalSpec"><name>a</name><type>Folder</type><path>childEntity</path>` +
			`<selectSet><name>a</name></selectSet></selectSet></objectSet></specSet><options><maxObjects>1</maxObjects></options></RetrievePropertiesEx></soapenv:Body>
</soapenv:Envelope>`,
		strings.Replace(envelope(manager("LoginByToken", "")), "<soapenv:Body>",
			`<soapenv:Header><operationID>x</operationID><Security xmlns="`+nsSecurity+`"><a/></Security></soapenv:Header><soapenv:Body>`, 1),
	}
}

// What plain read before it gave up is not read otherwise afterwards: a signed
// header is kept as the bytes that it is.
func TestTheReaderGoesOnWherePlainStops(t *testing.T) {
	security := `<Security xmlns="` + nsSecurity + `"><a>1</a></Security>`
	signed := strings.Replace(envelope(manager("LoginByToken", "")), "<soapenv:Body>",
		"<soapenv:Header><operationID>x</operationID>"+security+"</soapenv:Header><soapenv:Body>", 1)
	m := &message{decoder: decoder{codec: &codec{}}, raw: []byte(signed), api: newFake(), call: &vim.Call{}}
	if err := m.read(); err != nil || string(m.security) != security || m.operation != "x" {
		t.Errorf("%v: %q %q", err, m.security, m.operation)
	}
}

func FuzzPlainAndTheStandardLibraryReadTheSame(f *testing.F) {
	for document := range oddities {
		f.Add([]byte(document))
		f.Add([]byte(envelope(manager("Login", "<userName>"+document+"</userName><password>b</password>"))))
	}
	for _, message := range attacks() {
		if len(message) < 10_000 {
			f.Add([]byte(message))
		}
	}
	for _, message := range clientMessages() {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > 64<<10 {
			return // time is better spent on short ones
		}
		samePlain(t, message)
		sameCall(t, message)
	})
}
