package soap

import (
	"encoding/binary"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

const mark = "\ufeff"

// inUTF16 returns a text in UTF-16.
func inUTF16(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

func contentType(t string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", t)
		if t == "" {
			r.Header.Del("Content-Type")
		}
	}
}

// named returns a login whose XML declaration names an encoding.
func named(encoding string) string {
	login := envelope(manager("Login", "<userName>größe 𝄞</userName><password>p</password>"))
	return strings.Replace(login, "UTF-8", encoding, 1)
}

func TestAMessageIsReadInTheEncodingThatItIsIn(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	for name, c := range map[string]struct {
		message, contentType string
	}{
		"a mark, as .NET writes it":         {mark + named("utf-8"), "text/xml; charset=utf-8"},
		"a mark alone":                      {mark + named("utf-8"), "text/xml"},
		"a mark without a declaration":      {mark + strings.SplitN(named("utf-8"), "\n", 2)[1], "text/xml"},
		"a mark, not what is declared":      {mark + named("ISO-8859-1"), "text/xml"},
		"the charset, not what is declared": {named("utf-16"), "text/xml; charset=utf-8"},
		"the charset, not that of Latin":    {named("ISO-8859-1"), `application/soap+xml; charset="UTF-8"; action="x"`},
		"declared, with all that XML allows": {
			strings.Replace(named("us-ascii"), `="us-ascii"?>`, "\t=\n 'us-ascii' standalone = \"yes\" ?>", 1),
			"text/xml; charset=utf-8",
		},
		"no type":                          {named("UTF-8"), ""},
		"UTF-16 with a mark, little":       {inUTF16(le, mark+named("utf-16")), "text/xml"},
		"UTF-16 with a mark, big":          {inUTF16(be, mark+named("utf-16")), "text/xml; charset=utf-16"},
		"UTF-16 with a mark, no type":      {inUTF16(be, mark+named("UTF-8")), ""},
		"UTF-16 by its charset, little":    {inUTF16(le, named("utf-16")), "text/xml; charset=utf-16"},
		"UTF-16 by its charset, big":       {inUTF16(be, named("utf-16")), "text/xml; charset=UTF-16"},
		"UTF-16LE":                         {inUTF16(le, named("utf-16le")), "text/xml; charset=utf-16le"},
		"UTF-16BE":                         {inUTF16(be, named("UTF-16BE")), "text/xml; charset=utf-16be"},
		"UTF-16 without a declaration":     {inUTF16(le, mark+strings.SplitN(named(""), "\n", 2)[1]), "text/xml"},
		"the mark counts, not the charset": {inUTF16(le, mark+named("utf-8")), "text/xml; charset=utf-8"},
	} {
		f := newFake()
		w := f.post(c.message, contentType(c.contentType))
		want := &types.LoginRequestType{UserName: "größe 𝄞", Password: "p"}
		if w.Code != 200 || len(f.calls) != 1 || !reflect.DeepEqual(f.calls[0].Args, want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if got := w.Header().Get("Content-Type"); got != "text/xml; charset=utf-8" {
			t.Errorf("%s: the answer is %s", name, got)
		}
		if held := f.bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes are held", name, held)
		}
	}
}

func TestAMessageInAnotherEncodingIsRefused(t *testing.T) {
	le := binary.LittleEndian
	half := string(rune(0xfffd)) // marks the place for half of a surrogate pair
	broken := strings.Replace(inUTF16(le, mark+named("utf-16")+half), "\xfd\xff", "\x00\xd8", 1)
	for name, c := range map[string]struct{ message, contentType string }{
		"Latin":                       {"x", "text/xml; charset=iso-8859-1"},
		"declared as Latin":           {named("ISO-8859-1"), "text/xml"},
		"declared as UTF-16":          {named("UTF-16"), "text/xml"},
		"UTF-16 that nothing tells":   {inUTF16(le, named("utf-16")), "text/xml"},
		"UTF-32":                      {"\xff\xfe\x00\x00<\x00\x00\x00", "text/xml"},
		"UTF-8 that is UTF-16":        {named("utf-8"), "text/xml; charset=utf-16"},
		"the wrong order":             {inUTF16(le, named("utf-16")), "text/xml; charset=utf-16be"},
		"half a code unit":            {inUTF16(le, mark+named("utf-16")) + "x", "text/xml"},
		"half a pair":                 {broken, "text/xml"},
		"a pair that is turned round": {strings.Replace(broken, "\x00\xd8", "\x00\xdc\x00\xd8", 1), "text/xml"},
		"two marks":                   {mark + mark + named("utf-8"), "text/xml"},
		"two marks in UTF-16":         {inUTF16(le, mark+mark+named("utf-16")), "text/xml"},
		"XML 1.1, and UTF-16": {strings.Replace(named("utf-16"), `"1.0"`, `"1.1"`, 1),
			"text/xml; charset=utf-8"},
		"a mark alone":           {mark, "text/xml"},
		"a mark of UTF-16 alone": {"\xff\xfe", "text/xml"},
	} {
		f := newFake()
		wantFault(t, f.post(c.message, contentType(c.contentType)), "ClientFaultCode", "InvalidRequest")
		if len(f.calls) != 0 {
			t.Errorf("%s: called", name)
		}
	}
	f := newFake()
	w := f.post(named("utf-8"), func(r *http.Request) {
		r.Header["Content-Type"] = []string{"text/xml; charset=utf-8", "text/xml; charset=utf-16"}
	})
	wantFault(t, w, "ClientFaultCode", "InvalidRequest")
}

// A message that is refused in UTF-8 is refused in UTF-16 too, and costs the same.
func TestAnAttackInUTF16IsRefusedAsInUTF8(t *testing.T) {
	for name, message := range attacks() {
		if !utf8.ValidString(message) {
			continue
		}
		asUTF8, asUTF16 := newFake(), newFake()
		plain := asUTF8.post(message, nil)
		converted := inUTF16(binary.LittleEndian, mark+message)
		if len(converted) > maxBody {
			converted = converted[:maxBody] // the part that the server reads
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		w := asUTF16.post(converted, contentType("text/xml"))
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if w.Code != 500 || len(asUTF16.calls) != 0 || len(asUTF16.refused) != 1 {
			t.Errorf("%s: %d, %d calls", name, w.Code, len(asUTF16.calls))
		}
		if len(converted) < maxBody && w.Body.String() != plain.Body.String() {
			t.Errorf("%s: %s\nin UTF-8: %s", name, w.Body, plain.Body)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 192<<20 || took > time.Minute {
			t.Errorf("%s: %d MiB, %v", name, made>>20, took)
		}
	}
}

// A text that is not ASCII can be larger in UTF-8 than in UTF-16. The converted text has the same limit as
// received bytes, and counts against the same bound.
func TestWhatAMessageInUTF16BecomesIsBounded(t *testing.T) {
	message := func(n int) string {
		members := "<userName>" + strings.Repeat("日", n) + "</userName><password>p</password>"
		return inUTF16(binary.LittleEndian, mark+envelope(manager("Login", members)))
	}
	f := newFake()
	if w := f.post(message(maxBody/3-1000), contentType("text/xml")); w.Code != 200 || len(f.calls) != 1 {
		t.Errorf("below the limit: %d %.300s", w.Code, w.Body)
	}
	w := f.post(message(maxBody/3+1), contentType("text/xml"))
	wantFault(t, w, "ClientFaultCode", "InvalidRequest")
	if len(f.calls) != 1 || f.bodies.Held() != 0 {
		t.Errorf("past the limit: %d calls, %d bytes are held", len(f.calls), f.bodies.Held())
	}
	// The message has 1.2 MB, and 1.8 MB in UTF-8. One address may use 2 MiB.
	f = newFake()
	f.bodies = binding.NewBodies(8 << 20)
	if w := f.post(message(600_000), contentType("text/xml")); w.Code != 503 || f.bodies.Held() != 0 {
		t.Errorf("past the share of an address: %d %.300s, %d bytes are held", w.Code, w.Body, f.bodies.Held())
	}
}

// The proof contains the message in UTF-8, and the body only if it is unchanged.
func TestTheProofOfAMessageIsInUTF8(t *testing.T) {
	security := `<Security xmlns="` + nsSecurity + `"><a>1</a></Security>`
	message := strings.Replace(envelope(manager("LoginByToken", "")), "<soapenv:Body>",
		"<soapenv:Header>"+security+"</soapenv:Header><soapenv:Body>", 1)
	bare := strings.SplitN(message, "\n", 2)[1]
	other := strings.Replace(message, "UTF-8", "utf-16", 1)
	for name, c := range map[string]struct{ sent, message, body string }{
		"plain":                   {message, message, message},
		"a mark":                  {mark + message, message, mark + message},
		"another declaration":     {other, "\n" + bare, other},
		"UTF-16":                  {inUTF16(binary.BigEndian, mark+message), message, ""},
		"UTF-16, and so declared": {inUTF16(binary.BigEndian, mark+other), "\n" + bare, ""},
	} {
		f := newFake()
		var got, header, body string
		f.do = func(call *vim.Call) (vim.Result, *vim.Fault) {
			p := call.Proof
			got, header, body = string(p.Message.Reveal()), string(p.Security.Reveal()), string(p.Body.Reveal())
			return vim.Result{}, nil
		}
		f.post(c.sent, nil)
		if got != c.message || header != security || body != c.body {
			t.Errorf("%s: %q, %q, %q", name, got, header, body)
		}
	}
}

func FuzzUTF16(f *testing.F) {
	f.Add([]byte("a\x00\x3d\xd8\x00\xde"), true)
	f.Add([]byte("\x00a\xd8\x3d\xde\x00"), false)
	f.Add([]byte("\xd8\x00"), false)
	f.Fuzz(func(t *testing.T, text []byte, little bool) {
		order := binary.ByteOrder(binary.BigEndian)
		if little {
			order = binary.LittleEndian
		}
		units := make([]uint16, len(text)/2)
		for i := range units {
			units[i] = order.Uint16(text[2*i:])
		}
		runes := utf16.Decode(units)
		size, ok := sizeInUTF8(text, order)
		if ok != (len(text)%2 == 0 && slices.Equal(utf16.Encode(runes), units)) {
			t.Fatalf("%x is UTF-16: %v", text, ok)
		}
		if !ok {
			return
		}
		if got := appendUTF8(nil, text, order); string(got) != string(runes) || int64(len(got)) != size {
			t.Fatalf("%x is %q, want %q; %d bytes, want %d", text, got, string(runes), len(got), size)
		}
	})
}
