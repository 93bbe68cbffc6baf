package soap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/vim"
)

// attacks are messages that must be refused, by what they attempt.
func attacks() map[string]string {
	login := manager("Login", "<userName>a</userName><password>b</password>")
	good := envelope(login)
	prolog := func(s string) string { return strings.Replace(good, "?>\n", "?>\n"+s, 1) }
	body := func(s string) string { return envelope(s) }
	return map[string]string{
		"entity expansion": prolog(
			`<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>`),
		"external entity":               prolog(`<!DOCTYPE x SYSTEM "file:///etc/passwd">`),
		"bare doctype":                  prolog("<!DOCTYPE x>"),
		"entity":                        body(manager("Login", "<userName>&a;</userName><password>b</password>")),
		"processing instruction":        prolog(`<?xml-stylesheet href="x"?>`),
		"processing instruction inside": body("<?php x?>" + login),
		"declaration inside":            body(`<?xml version="1.0"?>` + login),
		"XML 1.1":                       strings.Replace(good, `version="1.0"`, `version="1.1"`, 1),
		"depth": strings.Replace(good, "<soapenv:Body>",
			"<soapenv:Header>"+strings.Repeat("<a>", 100_000), 1),
		"depth closed": strings.Replace(good, "<soapenv:Body>",
			"<soapenv:Header>"+strings.Repeat("<a>", 100_000)+strings.Repeat("</a>", 100_000)+
				"</soapenv:Header><soapenv:Body>", 1),
		"attributes": body("<Login " + strings.Repeat(`a="" `, 1_000_000) + "/>"),
		"attributes in the header": strings.Replace(good, "<soapenv:Body>",
			"<soapenv:Header><x "+strings.Repeat(`a="" `, 1_000_000)+"/></soapenv:Header><soapenv:Body>", 1),
		"namespace storm":     body("<Login " + strings.Repeat(`xmlns:a="" `, 100_000) + "/>"),
		"nested namespaces":   body(strings.Repeat(`<a `+strings.Repeat(`xmlns:a="b" `, 50)+`>`, 60)),
		"elements":            body(manager("TerminateSession", strings.Repeat("<sessionId/>", 600_000))),
		"comments":            body(strings.Repeat("<!---->", 1_000_000) + login),
		"invalid UTF-8":       body(manager("Login", "<userName>\xff</userName><password>b</password>")),
		"a control character": body(manager("Login", "<userName>\x01</userName><password>b</password>")),
		"UTF-16":              "\xff\xfe<\x00?\x00x\x00",
		"repeated attribute": strings.Replace(good, `type="SessionManager"`,
			`type="SessionManager" type="Folder"`, 1),
		"two names for one attribute": strings.Replace(good, `type="SessionManager"`,
			`xmlns:p="u" xmlns:q="u" p:a="" q:a="" type="SessionManager"`, 1),
		"two bodies": strings.Replace(good, "</soapenv:Envelope>",
			"<soapenv:Body>"+login+"</soapenv:Body></soapenv:Envelope>", 1),
		"two headers": strings.Replace(good, "<soapenv:Body>",
			"<soapenv:Header/><soapenv:Header/><soapenv:Body>", 1),
		"header after body": strings.Replace(good, "</soapenv:Envelope>",
			"<soapenv:Header/></soapenv:Envelope>", 1),
		"two operations":          body(login + login),
		"two envelopes":           good + good[strings.Index(good, "<soapenv:Env"):],
		"text after the envelope": good + "x",
		"text in the body":        body("x" + login),
		"text among members":      body(manager("Login", "x<userName>a</userName><password>b</password>")),
		"empty body":              body(""),
		"no body":                 `<e:Envelope xmlns:e="` + nsEnvelope + `"/>`,
		"no envelope":             login,
		"an envelope of nothing":  `<Envelope><Body>` + login + `</Body></Envelope>`,
		"an operation of others": body(`<Login xmlns="urn:other"><_this ` +
			`type="SessionManager">SessionManager</_this></Login>`),
		"nothing":         "",
		"space":           " \n",
		"cut short":       good[:len(good)-5],
		"crossed tags":    strings.Replace(good, "</userName>", "</password>", 1),
		"JSON":            `{"userName":"a"}`,
		"an open quote":   `<a b="`,
		"an open comment": "<!--",
		"an open section": "<a><![CDATA[",
	}
}

func TestAnAttackGetsAFaultInBoundedTimeAndMemory(t *testing.T) {
	for name, message := range attacks() {
		f := newFake()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		w := f.post(message, nil)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		wantFault(t, w, "ClientFaultCode", "InvalidRequest")
		if len(f.calls) != 0 || len(f.refused) != 1 {
			t.Errorf("%s: %d calls, %d refused", name, len(f.calls), len(f.refused))
		}
		// TotalAlloc counts all allocations, and most of this memory is free again: the body is read into a few
		// buffers, each larger than the one before.
		if made := after.TotalAlloc - before.TotalAlloc; made > 64<<20 || took > time.Minute {
			t.Errorf("%s: %d MiB, %v", name, made>>20, took)
		}
	}
}

func TestWhatAMessageBecomesIsBounded(t *testing.T) {
	// Within the limits of xmltoken, this is the largest value that a few bytes can become.
	f := newFake()
	members := strings.Repeat(`<changedValue><key/><value xsi:type="ArrayOfOptionDef">`+
		strings.Repeat(`<OptionDef><label/><summary/><key/><optionType xsi:type="IntOption"><valueIsReadonly/>`+
			`</optionType></OptionDef>`, 100)+`</value></changedValue>`, 400)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := f.call(operation("OptionManager", "VpxSettings", "UpdateOptions", members))
	runtime.ReadMemStats(&after)
	if w.Code != 500 || len(f.calls) != 0 || after.TotalAlloc-before.TotalAlloc > 400<<20 {
		t.Errorf("%d, %d MiB", w.Code, (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	many := strings.Repeat("<sessionId>52000000-0000-0000-0000-000000000000</sessionId>", 100_000)
	if w := f.call(manager("TerminateSession", many)); w.Code != 200 || len(f.calls) != 1 {
		t.Errorf("a hundred thousand keys: %d %.300s", w.Code, w.Body)
	}
}

func TestSOAP12IsTheWrongVersion(t *testing.T) {
	wantFault(t, newFake().post(`<e:Envelope xmlns:e="`+nsEnvelope12+`"><e:Body/></e:Envelope>`, nil),
		"soapenv:VersionMismatch", "InvalidRequest")
}

func TestABodyThatIsNotPlainTextInUTF8IsRefused(t *testing.T) {
	message := envelope(manager("Logout", ""))
	for name, c := range map[string]struct {
		change func(*http.Request)
		ok     bool
	}{
		"gzip":     {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, false},
		"identity": {func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") }, true},
		"latin":    {func(r *http.Request) { r.Header.Set("Content-Type", "text/xml; charset=iso-8859-1") }, false},
		"a form": {func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}, true},
		"no type":   {func(r *http.Request) { r.Header.Del("Content-Type") }, true},
		"announced": {func(r *http.Request) { r.ContentLength = maxBody + 1 }, false},
		"too long": {func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", maxBody+1)))
			r.ContentLength = -1
		}, false},
		"broken off": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(message), failing{}))
		}, false},
		"unknown length": {func(r *http.Request) {
			long := io.MultiReader(strings.NewReader(message), strings.NewReader(strings.Repeat(" ", 300<<10)))
			r.Body, r.ContentLength = io.NopCloser(long), -1
		}, true},
	} {
		f := newFake()
		w := f.post(message, c.change)
		if !c.ok {
			wantFault(t, w, "ClientFaultCode", "InvalidRequest")
		}
		if called := len(f.calls) == 1; called != c.ok {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("reset") }

func TestLargeMessagesShareABound(t *testing.T) {
	f := newFake()
	f.bodies = binding.NewBodies(4 << 20) // one address may use a quarter
	large := envelope(manager("Logout", strings.Repeat(" ", 1<<20)))
	if w := f.post(large, nil); w.Code != 503 || w.Header().Get("Retry-After") == "" ||
		!strings.Contains(w.Body.String(), "<faultstring>") {
		t.Errorf("past the bound: %d %s", w.Code, w.Body)
	}
	if held := f.bodies.Held(); held != 0 {
		t.Errorf("a refused message holds %d bytes", held)
	}
	if w := f.post(envelope(manager("Logout", "")), nil); w.Code != 200 {
		t.Errorf("a small message past the bound: %d %s", w.Code, w.Body)
	}
	f.bodies = binding.NewBodies(0)
	f.do = func(c *vim.Call) (vim.Result, *vim.Fault) {
		// The call may wait for a long time.
		if held := f.bodies.Held(); held != 0 || !c.Proof.Message.IsZero() || !c.Proof.Body.IsZero() {
			t.Errorf("a call on its way holds %d bytes of its message", held)
		}
		return vim.Result{}, nil
	}
	if w := f.post(large, nil); w.Code != 200 || f.bodies.Held() != 0 {
		t.Errorf("below the bound: %d, %d bytes held after it", w.Code, f.bodies.Held())
	}
}

// A login with a token keeps its message as it was sent, because the token is verified on it. Other calls
// don't keep theirs.
func TestOnlyACallThatNeedsProofKeepsItsMessage(t *testing.T) {
	security := `<Security xmlns="` + nsSecurity + `"><a>` + strings.Repeat("x", 10<<10) + `</a></Security>`
	for name, needs := range map[string]bool{"LoginByToken": true, "Login": false, "Logout": false} {
		members := ""
		if name == "Login" {
			members = "<userName>a</userName><password>b</password>"
		}
		message := strings.Replace(envelope(manager(name, members)), "<soapenv:Body>",
			"<soapenv:Header>"+security+"</soapenv:Header><soapenv:Body>", 1)
		f := newFake()
		f.do = func(c *vim.Call) (vim.Result, *vim.Fault) {
			p := c.Proof
			switch {
			case needs && (string(p.Message.Reveal()) != message || string(p.Security.Reveal()) != security ||
				string(p.Body.Reveal()) != message || f.bodies.Held() == 0):
				t.Errorf("%s: the proof is %.100q, and %d bytes are counted", name, p.Message.Reveal(), f.bodies.Held())
			case !needs && (!p.Message.IsZero() || !p.Security.IsZero() || !p.Body.IsZero() || f.bodies.Held() != 0):
				t.Errorf("%s keeps %.100q, and %d bytes are counted", name, p.Message.Reveal(), f.bodies.Held())
			}
			return vim.Result{}, nil
		}
		if w := f.post(message, nil); w.Code != 200 || f.bodies.Held() != 0 {
			t.Errorf("%s: %d %s, and %d bytes are counted", name, w.Code, w.Body, f.bodies.Held())
		}
	}
}

func TestAPanicInTheCodecIsAFault(t *testing.T) {
	f := newFake()
	f.objects[0].Methods[0].Args = nil // so that NewArgs panics
	w := f.call(manager("Login", "<userName>a</userName><password>b</password>"))
	wantFault(t, w, "ServerFaultCode", "SystemError")
}

func FuzzARequest(f *testing.F) {
	for _, message := range attacks() {
		if len(message) < 10_000 {
			f.Add([]byte(message))
		}
	}
	f.Add([]byte(envelope(manager("Login", "<userName>a</userName><password>b</password><locale>de</locale>"))))
	f.Add([]byte(envelope(manager("Fetch", "<prop>currentSession</prop>"))))
	f.Add([]byte(envelope(operation("OptionManager", "VpxSettings", "UpdateOptions",
		`<changedValue xsi:type="OptionValue"><key>a</key><value xsi:type="ArrayOfOptionDef"><OptionDef/></value>`+
			`</changedValue>`))))
	f.Add([]byte(envelope(operation("EventManager", "EventManager", "PostEvent", `<eventToPost xsi:type="EventEx">`+
		`<key>1</key></eventToPost>`))))
	f.Add([]byte(retrieve))
	f.Add([]byte("\ufeff" + retrieve))
	f.Add([]byte(inUTF16(binary.LittleEndian, "\ufeff"+retrieve)))
	f.Add([]byte(strings.Replace(envelope(manager("LoginByToken", "")), "<soapenv:Body>",
		`<soapenv:Header><operationID>x</operationID><Security xmlns="`+nsSecurity+
			`"><a/></Security></soapenv:Header><soapenv:Body>`, 1)))
	f.Fuzz(func(t *testing.T, message []byte) {
		api := newFake()
		w := api.post(string(message), nil)
		if len(api.calls)+len(api.refused) != 1 {
			t.Fatalf("%d calls, %d refused", len(api.calls), len(api.refused))
		}
		if len(api.refused) == 1 {
			if w.Code != 500 || api.refused[0].Kind() == "SystemError" {
				t.Fatalf("%d %s: %v", w.Code, w.Body, api.refused[0])
			}
			return
		}
		// The decoded arguments can be encoded and decoded again, with the same result.
		c := api.calls[0]
		if order, _ := encodingOf(message, ""); order != nil {
			if !c.Proof.Body.IsZero() {
				t.Fatal("the proof has a body that was not sent")
			}
		} else if !bytes.HasSuffix(message, c.Proof.Message.Reveal()) ||
			!bytes.Contains(message, c.Proof.Security.Reveal()) {
			t.Fatal("the proof is not what was sent")
		}
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if c.Args == nil {
			return
		}
		again := newFake()
		codec := newCodec()
		e := encoder{codec: codec, release: newest}
		e.arguments(c.Args)
		again.call(operation(c.Object.Type, "x", c.Name, string(e.Buf)))
		if e.Err == nil && (len(again.calls) != 1 || !equal(again.calls[0].Args, c.Args)) {
			t.Fatalf("read as %+v, and again %+v from %s", c.Args, again.refused, e.Buf)
		}
	})
}
