package message_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/gateway/message"
)

const (
	key  = "52b1d8e1-3b7f-4b6f-9d43-5a1d1a2c0f2e"
	uuid = "0c6a1a52-58a5-4e2f-8f5b-0d7c3a7e9b11"
	id   = "session[" + key + "]" + uuid
)

func envelope(header, body string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/">` + header + `<Body>` + body + `</Body></Envelope>`
}

func call(arguments string) string {
	return envelope("", `<Work xmlns="urn:vim25"><_this type="Worker">w-1</_this>`+arguments+`</Work>`)
}

func parse(t *testing.T, raw string) *message.Message {
	t.Helper()
	m, err := message.Parse([]byte(raw), message.Watch{})
	if err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return m
}

func TestARequestIsReadWithItsHeaders(t *testing.T) {
	raw := envelope(`<Header><operationID xmlns="">op-&#49;</operationID>`+
		`<vcSessionCookie>tok<!-- -->en</vcSessionCookie></Header>`,
		`<ContinueRetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector"><![CDATA[`+id+`]]></_this>`+
			`<token>0</token></ContinueRetrievePropertiesEx>`)
	m := parse(t, raw)
	if m.Method != "ContinueRetrievePropertiesEx" || m.Type != "PropertyCollector" ||
		m.This.Text != id || m.Cookie.Text != "token" || m.Operation != "op-1" || m.Token.Text != "0" {
		t.Errorf("%+v", m)
	}
	if operation := raw[m.Body:m.After]; !strings.HasPrefix(operation, "<Continue") ||
		!strings.HasSuffix(operation, "PropertiesEx>") {
		t.Errorf("the operation is %q", operation)
	}
	got := string(m.Append(nil, []message.Edit{
		{Place: m.Cookie, With: `new"<`}, {Place: m.This, With: "pc"}, {Place: m.Token, With: "1"},
	}))
	want := strings.NewReplacer("tok<!-- -->en", "new&#34;&lt;", "<![CDATA["+id+"]]>", "pc", "<token>0", "<token>1")
	if got != want.Replace(raw) {
		t.Errorf("got %s", got)
	}
}

func TestIDsAreFoundHoweverTheyAreWritten(t *testing.T) {
	spaced := "\n " + id + "\t"
	for written, want := range map[string][]string{
		`<a>` + id + `</a>`:                                              {id},
		`<a>` + spaced + `</a>`:                                          {id},
		`<a><b/><b>` + id + `</b></a>`:                                   {id},
		`<a>` + id + ` and ` + id + `</a>`:                               {id, id},
		`<a>https://h/nfc/session%5B` + key + `%5d` + uuid + `/disk</a>`: {"session%5B" + key + "%5d" + uuid},
		`<a>s&#101;ssion[` + key + `]` + uuid + `</a>`:                   {id},
		`<a>session&#x5B;` + key + `&#93;` + uuid + ` x</a>`:             {id + " x"},
		`<a>ses<![CDATA[sion[` + key + `]]]>` + uuid + `</a>`:            {id},
		`<a>ses<!-- -->sion[` + key + `]` + uuid + `</a>`:                {id},
		`<a>` + strings.ToUpper(id) + `</a>`:                             {strings.ToUpper(id)},
		`<a>session[x]y</a>`:                                             {"session[x]y"},
		`<a>session[x]y of mine</a>`:                                     nil,
		`<a>session ` + key + `</a>`:                                     nil,
		`<a>session[` + key + `</a>`:                                     nil,
		`<a>obsession[` + key + `]` + uuid + `</a>`:                      {id},
		`<a></a><b/>`: nil,
	} {
		m := parse(t, call(written))
		var got []string
		for _, p := range m.IDs {
			got = append(got, p.Text)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") || m.Hidden {
			t.Errorf("%s: %q", written, got)
		}
	}
	if m := parse(t, call(`<a b="`+id+`"/>`)); !m.Hidden {
		t.Error("an id in an attribute is not seen")
	}
}

func TestWhatReceiversMayReadDifferentlyIsRefused(t *testing.T) {
	this := `<_this type="A">a</_this>`
	for _, raw := range []string{
		"", "no XML", call("<a>"), `<Body/>`,
		envelope("", ""), envelope("", `<A/>`), envelope("", `<A><b/>`+this+`</A>`),
		envelope("", `<A>`+this+this+`</A>`),

		envelope("", `<A>`+this+`</A><B>`+this+`</B>`), envelope("<Header/><Header/>", `<A>`+this+`</A>`),
		envelope("<Header/><Body/>", `<A>`+this+`</A>`), envelope("<Other/>", `<A>`+this+`</A>`),
		envelope("<Header><vcSessionCookie>a</vcSessionCookie><vcSessionCookie>b</vcSessionCookie></Header>",
			`<A>`+this+`</A>`),
		envelope("", `<A><_this type="A">sess<b/>ion</_this></A>`),
		call(`<a>sess<b/>ion[` + key + `]` + uuid + `</a>`), call(`text`), call(``) + call(``), call(``) + "text",
		strings.Replace(call(``), "UTF-8", "UTF-16", 1), `<!DOCTYPE a []>` + call(``),
	} {
		m, err := message.Parse([]byte(raw), message.Watch{})
		if _, ok := errors.AsType[*message.FormError](err); !ok {
			t.Errorf("%s: %+v, %v", raw, m, err)
		}
	}
}

func TestAMessageWithoutAnOperationIDGetsOne(t *testing.T) {
	const with = `<operationID xmlns="">a&amp;b</operationID>`
	body := `<A><_this type="B">b</_this></A>`
	prefixed := `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>` + body +
		`</e:Body></e:Envelope>`
	for raw, want := range map[string]string{
		envelope("", body):                      envelope("<Header>"+with+"</Header>", body),
		envelope("<Header><x/></Header>", body): envelope("<Header>"+with+"<x/></Header>", body),
		prefixed: strings.Replace(prefixed, "<e:Body>",
			"<e:Header>"+with+"</e:Header><e:Body>", 1),
	} {
		m := parse(t, raw)
		e, ok := m.Name("a&b")
		if got := string(m.Append(nil, []message.Edit{e})); got != want || !ok || !m.Unnamed {
			t.Errorf("got %s", got)
		}
		if got := parse(t, want); got.Unnamed || got.Operation != "a&b" {
			t.Errorf("%+v", got)
		}
	}
	if _, ok := parse(t, envelope("<Header/>", body)).Name("x"); ok {
		t.Error("an empty Header can't have a child")
	}
}

func TestTranslateKeepsTheFormOfEachID(t *testing.T) {
	to := func(id string) (string, bool) { return strings.Replace(id, key, "K", 1), strings.Contains(id, key) }
	for text, want := range map[string]string{
		"plain": "plain", "a " + id + " b": "a session[K]" + uuid + " b",
		"/nfc/session%5b" + key + "%5D" + uuid + "/x": "/nfc/session%5BK%5D" + uuid + "/x",
	} {
		if got, ok := message.Translate(text, to); got != want || !ok {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got, ok := message.Translate("session[other]x", to); ok {
		t.Errorf("another's id gives %q", got)
	}
}

// texts returns the text of each element without children as encoding/xml reads it, and all attributes.
func texts(raw []byte) (leaves, attributes []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	var open []strings.Builder
	parent := map[int]bool{}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return leaves, attributes, nil
		}
		if err != nil {
			return nil, nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			parent[len(open)] = true
			open = append(open, strings.Builder{})
			parent[len(open)] = false
			for _, a := range t.Attr {
				attributes = append(attributes, a.Value)
			}
		case xml.EndElement:
			text := open[len(open)-1].String()
			if !parent[len(open)] || strings.TrimSpace(text) != "" {
				leaves = append(leaves, text)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].Write(t)
			}
		}
	}
}

// FuzzPassingOn checks that a request without ids passes as it is, that no id is overlooked, and that a new
// id changes nothing but the old one.
func FuzzPassingOn(f *testing.F) {
	for _, body := range []string{
		`<a>` + id + `</a>`, `<a>1 &lt; 2 ` + id + ` "</a><b/>`, `<a>ses<![CDATA[sion[` + key + `]]]>` + uuid + `</a>`,
		`<a><!-- x -->` + id + `</a>`, `<a>sess<b/>ion[` + key + `]` + uuid + `</a>`, "<a>\r\n" + id + "\r</a>",
		`<a x="` + id + `"/>`, `<a>session&#x5b;` + key + `]` + uuid + `</a>`, `<é>` + id + `</é>`,
	} {
		f.Add(call(body))
	}
	f.Add(envelope(`<Header><vcSessionCookie>c</vcSessionCookie></Header>`, `<A><_this type="B">`+id+`</_this></A>`))
	f.Fuzz(func(t *testing.T, raw string) {
		m, err := message.Parse([]byte(raw), message.Watch{})
		if err != nil {
			return
		}
		if got := m.Append(nil, nil); string(got) != raw {
			t.Fatalf("%q becomes %q", raw, got)
		}
		before, attributes, err := texts([]byte(raw))
		if err != nil {
			t.Fatalf("%q is accepted, but: %v", raw, err)
		}
		var edits []message.Edit
		to := func(string) (string, bool) { return "NEW", true }
		seen := false
		for _, p := range append([]message.Place{m.This}, m.IDs...) {
			seen = seen || m.This.Text != p.Text || strings.Contains(strings.ToLower(p.Text), "session")
			with, _ := message.Translate(p.Text, to)
			edits = append(edits, message.Edit{Place: p, With: with})
		}
		for _, a := range attributes {
			if _, ok := message.Translate(a, func(string) (string, bool) { return "", false }); !ok && !m.Hidden {
				t.Fatalf("the attribute %q is overlooked", a)
			}
		}
		after, _, err := texts(m.Append(nil, edits))
		if err != nil || len(after) != len(before) {
			t.Fatalf("%q becomes %q: %v", raw, m.Append(nil, edits), err)
		}
		for i, was := range before {
			want, _ := message.Translate(was, to)
			if was == m.Cookie.Text {
				continue // the front replaces it as a whole
			}
			if after[i] != want {
				t.Fatalf("%q: the text %q becomes %q, want %q", raw, was, after[i], want)
			}
		}
	})
}

// Texts that almost are ids must not be looked at again and again.
func TestALongTextIsSearchedForIDsOnce(t *testing.T) {
	const size = 8 << 20
	blanks := strings.Repeat(" ", size/2)
	for name, text := range map[string]string{
		"short ids behind blanks": blanks + strings.Repeat("session[x]y ", size/24),
		"one before blanks":       "session[x]y" + blanks + strings.Repeat("session[x]y ", size/24),
		"openings":                strings.Repeat("session[", size/8),
		"a long word":             "session[" + strings.Repeat("a", size),
		"letters":                 strings.Repeat("s", size),
	} {
		m, err := message.Parse([]byte(request(text)), message.Watch{})
		if err != nil || len(m.IDs) > 0 {
			t.Errorf("%s: %v, %d ids", name, err, len(m.IDs))
		}
	}
}

func request(text string) string {
	return `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Find xmlns="urn:vim25">` +
		`<_this>x</_this><name>` + text + `</name></Find></Body></Envelope>`
}

func TestAnAnswerHasTheMembersOfItsValue(t *testing.T) {
	raw := `<e:Envelope xmlns:e="x"><e:Header><returnval><host>no</host></returnval></e:Header><e:Body><R><other/>` +
		`<returnval type="T"> <host a="1">a&amp;b</host><list><host>in</host></list><empty/></returnval></R></e:Body>` +
		`</e:Envelope>`
	var got []string
	for _, m := range message.Members([]byte(raw)) {
		got = append(got, m.Name+"|"+m.Text+"|"+raw[m.Begin:m.End]+"|"+raw[m.Element.Begin:m.Element.End])
	}
	want := []string{
		`host|a&b|a&amp;b|<host a="1">a&amp;b</host>`, `list||<host>in</host>|<list><host>in</host></list>`,
		`empty|||<empty/>`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := message.Members([]byte(raw[:len(raw)-60])); len(got) > 3 {
		t.Errorf("a cut answer has %v", got)
	}
}
