package soap

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/xmltoken"
)

// standardOnly makes a reader use encoding/xml from the envelope on.
var standardOnly = xmltoken.Options{Signed: []string{nsEnvelope, nsEnvelope12}}

// fast reports whether a whole message is read without encoding/xml. It checks that the tokens are the same
// as those of encoding/xml.
func fast(t testing.TB, message []byte) bool {
	t.Helper()
	var r, standard xmltoken.Reader
	r.Start(message, signed)
	standard.Start(message, standardOnly)
	for {
		got, err := r.Next()
		want, wantErr := standard.Next()
		if (err == nil) != (wantErr == nil) || err == nil && fmt.Sprint(*got) != fmt.Sprint(*want) {
			t.Fatalf("%.2000q: read %v %v, by the standard library %v %v", message, got, err, want, wantErr)
		}
		if err != nil {
			return r.Fast() && errors.Is(err, io.EOF)
		}
	}
}

// sameCall checks that a message becomes the same call, or the same refusal, with both tokenizers. If
// encoding/xml must not get the message, it only checks that the message is refused.
func sameCall(t testing.TB, raw []byte) {
	t.Helper()
	read := func(o xmltoken.Options) (*message, string) {
		r := &reader{}
		r.Start(raw, o)
		m := &message{decoder: decoder{reader: r, codec: newCodec()}, raw: raw, api: newFake(), call: &vim.Call{}}
		if err := m.envelope(); err != nil {
			return m, err.Error()
		}
		return m, ""
	}
	got, gotErr := read(signed)
	if err := xmltoken.Check(raw, xmltoken.Limits{}); err != nil {
		if gotErr == "" {
			t.Fatalf("%.2000q becomes a call, and Check says %v", raw, err)
		}
		return
	}
	want, wantErr := read(standardOnly)
	same := got.call.Args == nil && want.call.Args == nil ||
		got.call.Args != nil && want.call.Args != nil && equal(got.call.Args, want.call.Args)
	got.call.Args, want.call.Args = nil, nil
	if gotErr != wantErr || !same || !reflect.DeepEqual(got.call, want.call) ||
		got.cookie.Reveal() != want.cookie.Reveal() ||
		got.operation != want.operation || got.typed != want.typed || string(got.security) != string(want.security) ||
		got.memory != want.memory {
		t.Fatalf("%.2000q is\n%+v %q, by the standard library\n%+v %q", raw, got.call, gotErr, want.call, wantErr)
	}
}

// odd are parts of documents about which XML parsers disagree.
var odd = []string{
	"<a/>", "<a></a >", "<a><b></a></b>", "</a>", "x", " ", "<é/>", "<:a/>", `<p:a xmlns:p="u"/>`, `<a xmlns=""/>`,
	`<a xmlns="` + nsSecurity + `"/>`, `<a b="1" b="2"/>`, `<a b = '1'/>`, "]]>", "]]&gt;", "1\r\n2\r3&#13;", "\x00",
	"\xff", "größe 日本 𝄞", "&lt;&#65;&#x1D11E;", "&nbsp;", "&#0;", "<![CDATA[<b>]]>", "x<![CDATA[y]]>z",
	"<!-- -->", "<?x?>", "<!DOCTYPE a>",
}

func TestAMessageBecomesTheSameCallByEitherTokenizer(t *testing.T) {
	for _, piece := range odd {
		sameCall(t, []byte(envelope(manager("Login", "<userName>"+piece+"</userName><password>b</password>"))))
		sameCall(t, []byte(envelope(manager("Login", piece+"<userName>a</userName><password>b</password>"))))
	}
	for _, message := range attacks() {
		sameCall(t, []byte(message))
	}
}

// Messages as clients send them are read without encoding/xml, unless they are signed.
func TestWhatClientsSendIsReadFastUnlessItIsSigned(t *testing.T) {
	for _, message := range clientMessages() {
		signed := strings.Contains(message, nsSecurity)
		if fast(t, []byte(message)) == signed {
			t.Errorf("signed %v, read fast %v: %s", signed, !signed, message)
		}
		sameCall(t, []byte(message))
	}
}

// clientMessages returns requests as clients of the API write them.
func clientMessages() []string {
	const pyVmomi = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" ` +
		`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
`
	return []string{
		retrieve,
		envelope(manager("Login",
			"<userName>a&amp;b</userName><password>&lt;ö&#x20AC;</password><locale>de</locale>")),
		envelope(manager("Fetch", "<prop>currentSession</prop>")),
		envelope(operation("OptionManager", "VpxSettings", "UpdateOptions",
			`<changedValue xsi:type="OptionValue"><key>a</key><value xsi:type="xsd:int">1</value></changedValue>`)),
		envelope(operation("OptionManager", "VpxSettings", "UpdateOptions",
			`<changedValue xsi:type="OptionValue"><key>a</key><value xsi:type="ArrayOfOptionDef"><OptionDef/>`+
				`</value></changedValue>`)),
		envelope(operation("EventManager", "EventManager", "PostEvent",
			`<eventToPost xsi:type="EventEx"><key>1</key></eventToPost>`)),
		pyVmomi + `<soapenv:Header><vcSessionCookie>` + digits + `</vcSessionCookie></soapenv:Header>
<soapenv:Body><Fetch xmlns="urn:vim25"><_this versionId="8.0.3.0" type="SessionManager">SessionManager</_this>` +
			`<prop>sessionList</prop></Fetch></soapenv:Body>
</soapenv:Envelope>`,
		pyVmomi + `<soapenv:Body><RetrievePropertiesEx xmlns="urn:vim25"><_this ` +
			`type="PropertyCollector">propertyCollector</_this>` +
			`<specSet><propSet xsi:type="PropertySpec"><type>SessionManager</type><all>false</all>` +
			`<pathSet>currentSession</pathSet></propSet>` +
			`<objectSet><obj type="SessionManager">SessionManager</obj><skip>false</skip><selectSet ` +
			`xsi:type="TraversalSpec"><name>a</name><type>Folder</type><path>childEntity</path>` +
			`<selectSet><name>a</name></selectSet></selectSet></objectSet></specSet><options>` +
			`<maxObjects>1</maxObjects></options></RetrievePropertiesEx></soapenv:Body>
</soapenv:Envelope>`,
		strings.Replace(envelope(manager("LoginByToken", "")), "<soapenv:Body>",
			`<soapenv:Header><operationID>x</operationID><Security xmlns="`+nsSecurity+
				`"><a/></Security></soapenv:Header><soapenv:Body>`, 1),
	}
}

// A message can change from one tokenizer to the other in its middle. This does not affect what was read
// before, and the bytes of a signed header stay as they were sent.
func TestAHeaderThatIsSignedIsKeptAsItWasSent(t *testing.T) {
	security := `<Security xmlns="` + nsSecurity + `"><a>1</a></Security>`
	signed := strings.Replace(envelope(manager("LoginByToken", "")), "<soapenv:Body>",
		"<soapenv:Header><operationID>x</operationID>"+security+"</soapenv:Header><soapenv:Body>", 1)
	m := &message{decoder: decoder{codec: newCodec()}, raw: []byte(signed), api: newFake(), call: &vim.Call{}}
	if err := m.read(); err != nil || string(m.security) != security || m.operation != "x" {
		t.Errorf("%v: %q %q", err, m.security, m.operation)
	}
}

func FuzzAMessageBecomesTheSameCallByEitherTokenizer(f *testing.F) {
	for _, piece := range odd {
		f.Add([]byte(envelope(manager("Login", "<userName>"+piece+"</userName><password>b</password>"))))
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
			return // short messages make better use of the time
		}
		sameCall(t, message)
	})
}
