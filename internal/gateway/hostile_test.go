package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/message"
)

// token returns the token of the client's session.
func (c *client) token() string {
	return strings.Trim(c.Jar.Cookies(mustURL(c.s.server.URL + "/sdk"))[0].Value, `"`)
}

// ask sends a request with exactly these headers.
func (s *scene) ask(method, target, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+target, strings.NewReader(body))
	s.must(err)
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	a, err := recording{s, http.DefaultTransport}.RoundTrip(r)
	s.must(err)
	defer func() { _ = a.Body.Close() }()
	b, err := io.ReadAll(a.Body)
	s.must(err)
	return a, string(b)
}

const currentTime = `<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></CurrentTime>`

// withCookie returns an envelope with the header vcSessionCookie.
func withCookie(token, call string) string {
	return `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><vcSessionCookie>` + token +
		`</vcSessionCookie></e:Header><e:Body>` + call + `</e:Body></e:Envelope>`
}

// answers makes the double answer a method with the content of an envelope's body.
func (d *double) answers(method, body string, header ...string) {
	d.set(func() {
		d.intercept = func(m string, w http.ResponseWriter, _ *http.Request) bool {
			if m != method {
				return false
			}
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			for i := 0; i < len(header); i += 2 {
				w.Header().Add(header[i], header[i+1])
			}
			_, _ = io.WriteString(w, envelope(body))
			return true
		}
	})
}

func TestTheAuditLineOfACallThatIsPassedOnNamesTheAccount(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "        methods: [\"Find*\", \"PowerOff*\"]\n")
	c := s.login(1)
	vm := object.NewVirtualMachine(c.Client.Client, c.machine("DC0_H0_VM0"))
	_, err := vm.PowerOff(s.ctx())
	s.must(err)
	if _, err := vm.PowerOn(s.ctx()); !isFault[types.NoPermission](err) {
		t.Errorf("a method that the account does not allow: %v", err)
	}
	for _, operation := range []string{"PowerOffVM_Task", "PowerOnVM_Task"} {
		line := ""
		for l := range strings.Lines(s.log.String()) {
			if strings.Contains(l, "operation=VirtualMachine."+operation) {
				line = l
			}
		}
		if strings.Count(line, " account=svc") != 1 {
			t.Errorf("the line is %q", line)
		}
	}
	for l := range strings.Lines(s.log.String()) {
		if strings.Contains(l, "FindByInventoryPath") && strings.Contains(l, "msg=audit") {
			t.Errorf("a read left the line %q", l)
		}
	}
}

func TestTheQueryOfACallPassesButForCredentialsAndIDsOfOthers(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	query := ""
	d.set(func() {
		d.intercept = func(m string, _ http.ResponseWriter, r *http.Request) bool {
			if m == "CurrentTime" {
				query = r.URL.RawQuery
			}
			return false
		}
	})
	cookie := []string{"Cookie", `vmware_soap_session="` + c.token() + `"`, "Content-Type", "text/xml"}
	for ask, want := range map[string]string{
		"/sdk": "", "/sdk?trace=1&name=a%20b": "trace=1&name=a%20b",
		"/sdk?a=1&session=" + c.token() + "&b=2":                     "a=1&b=2",
		"/sdk?x=%" + fmt.Sprintf("%x", c.token()[0]) + c.token()[1:]: "",
	} {
		query = "none"
		if a, answer := s.ask("POST", ask, envelope(currentTime), cookie...); a.StatusCode != 200 || query != want {
			t.Errorf("%s: %s %s, the upstream got the query %q, want %q", ask, a.Status, answer, query, want)
		}
	}
	before := d.total()
	foreign := "/sdk?view=session[" + strings.Repeat("1", 8) + "-1111-1111-1111-111111111111]" +
		strings.Repeat("2", 36)
	if a, answer := s.ask("POST", foreign, envelope(currentTime), cookie...); d.total() != before ||
		!strings.Contains(answer, "ManagedObjectNotFound") {
		t.Errorf("with an id of another: %s %s", a.Status, answer)
	}
}

func TestTheSOAPHeaderAloneCarriesASession(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	type_ := []string{"Content-Type", "text/xml"}
	if a, answer := s.ask("POST", "/sdk", withCookie(c.token(), currentTime), type_...); a.StatusCode != 200 {
		t.Errorf("passed on: %s %s", a.Status, answer)
	}
	if got := d.last("CurrentTime").body; strings.Contains(got, c.token()) {
		t.Errorf("the upstream got the token of the front: %s", got)
	}
	logout := `<Logout xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></Logout>`
	// It counts before a cookie that the HTTP library of the client has kept.
	stale := append([]string{"Cookie", `vmware_soap_session="` + strings.Repeat("f", 40) + `"`}, type_...)
	if a, answer := s.ask("POST", "/sdk", withCookie(c.token(), logout), stale...); a.StatusCode != 200 {
		t.Errorf("served here: %s %s", a.Status, answer)
	}
	before := d.total()
	if a, answer := s.ask("POST", "/sdk", withCookie(c.token(), currentTime), type_...); a.StatusCode != 500 ||
		!strings.Contains(answer, "NotAuthenticated") || d.total() != before {
		t.Errorf("after the end: %s %s", a.Status, answer)
	}
}

func TestTheTokenReachesTheUpstreamNowhere(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	cookie := []string{"Cookie", `vmware_soap_session="` + c.token() + `"`, "Content-Type", "text/xml"}
	find := func(path string) string {
		return `<FindByInventoryPath xmlns="urn:vim25"><_this type="SearchIndex">SearchIndex</_this><inventoryPath>` +
			path + `</inventoryPath></FindByInventoryPath>`
	}
	before := d.total()
	for name, body := range map[string]string{
		"in an argument":  envelope(find(c.token())),
		"in a comment":    envelope(find("/DC0") + "<!-- " + c.token() + " -->"),
		"in an attribute": strings.Replace(envelope(find("/DC0")), "<Body>", `<Body id="`+c.token()+`">`, 1),
		"in another header too": strings.Replace(withCookie(c.token(), find("/DC0")), "</e:Header>",
			"<x>"+c.token()+"</x></e:Header>", 1),
	} {
		if a, answer := s.ask("POST", "/sdk", body, cookie...); !strings.Contains(answer, "InvalidRequest") {
			t.Errorf("%s: %s %s", name, a.Status, answer)
		}
	}
	if n := d.total(); n != before {
		t.Errorf("the upstream was asked %d times", n-before)
	}
	s.ask("POST", "/sdk", envelope(currentTime), append(cookie, "X-Session", "is "+c.token(), "X-Forwarded-For",
		"192.0.2.7", "Connection", "X-Mine, Soapaction", "X-Mine", "1", "Authorization", "Basic "+c.token())...)
	for name, values := range d.last("CurrentTime").header {
		text := strings.Join(values, " ")
		if strings.Contains(text, c.token()) || strings.Contains(text, "192.0.2.7") || name == "X-Mine" ||
			name == "Authorization" {
			t.Errorf("the upstream got %s: %s", name, text)
		}
	}
}

func TestAKeyThatIsNotKnownYetStandsInNoAnswer(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	_ = c.machine("DC0_H0_VM0") // so that there is an upstream session
	own := s.up.Secrets().All()[0].Reveal()
	const strange = "52d6b2a8-9c5f-4f1a-8a47-0d2f5b6f3c11"
	event := func(key string) string {
		return `<returnval xsi:type="UserLoginSessionEvent" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
			`<key>7</key><ipAddress>192.0.2.1</ipAddress><sessionId>` + key + `</sessionId></returnval>`
	}
	list := `<returnval xsi:type="ArrayOfUserSession" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` +
		`<UserSession><key>` + strange + `</key><userName>a</userName></UserSession><UserSession>` + "\n" +
		`<key>` + own + `</key></UserSession></returnval><returnval xsi:type="UserSession"><key>` + strange +
		`</key></returnval>`
	long := strings.Repeat("<x>filler</x>", 20_000)
	for name, body := range map[string]string{
		"a login":                   event(strange),
		"one's own":                 event(own),
		"both, in a long answer":    long + event(strange) + long + event(own) + long + event(strange),
		"sessions":                  list,
		"sessions in a long answer": long + list + long,
	} {
		d.answers("QueryEvents", `<QueryEventsResponse xmlns="urn:vim25">`+body+`</QueryEventsResponse>`)
		query := envelope(`<QueryEvents xmlns="urn:vim25"><_this type="EventManager">EventManager</_this><filter/>` +
			`</QueryEvents>`)
		a, answer := s.ask("POST", "/sdk", query, "Cookie", "vmware_soap_session="+c.token(),
			"Content-Type", "text/xml")
		nobody := message.Masked(strange)
		want := strings.NewReplacer(strange, nobody, own, c.key).Replace(body)
		if a.StatusCode != 200 || !strings.Contains(answer, want) {
			t.Errorf("%s: %s, %d bytes, want %d\n%.900s", name, a.Status, len(answer), len(want), answer)
		}
	}
}

func TestACompressedAnswerIsNotPassedOnUnread(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	for _, encoding := range []string{"gzip", "br", "Deflate"} {
		d.answers("CurrentTime", "secret", "Content-Encoding", encoding)
		_, answer := s.ask("POST", "/sdk", envelope(currentTime), "Cookie", "vmware_soap_session="+c.token(),
			"Content-Type", "text/xml", "Accept-Encoding", "gzip, br")
		if !strings.Contains(answer, "SystemError") || strings.Contains(answer, "secret") {
			t.Errorf("%s: %s", encoding, answer)
		}
	}
	if got := d.last("CurrentTime").header.Get("Accept-Encoding"); got != "identity" {
		t.Errorf("the upstream may answer with the encoding %q", got)
	}
}

func TestNoCookieOfTheUpstreamReachesAClient(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	d.set(func() {
		d.intercept = func(m string, w http.ResponseWriter, _ *http.Request) bool {
			if m != "CurrentTime" {
				return false
			}
			h := w.Header()
			h.Set("Link", "<early>")
			h.Set("Set-Cookie", "early=1")
			w.WriteHeader(http.StatusEarlyHints)
			h.Del("Link")
			h["Trailer"] = []string{"Set-Cookie"}
			h["Set-Cookie"] = []string{"vmware_soap_session=x", "JSESSIONID=y"}
			h.Set("Vmware-Api-Session-Id", "z")
			_, _ = io.WriteString(w, envelope(""))
			h.Set("Set-Cookie", "late=1")
			return true
		}
	})
	a, _ := s.ask("POST", "/sdk", envelope(currentTime), "Cookie", "vmware_soap_session="+c.token(),
		"Content-Type", "text/xml")
	for _, h := range []http.Header{a.Header, a.Trailer} {
		for name := range h {
			if name == "Set-Cookie" || name == "Vmware-Api-Session-Id" || name == "Link" {
				t.Errorf("the client got %s: %v", name, h[name])
			}
		}
	}
}

// An upstream may have objects of sessions whose ids don't show that.
func TestObjectsWithoutASessionInTheirIDsAreUnknownToOthersHoweverTheyAreNamed(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	a, b := s.login(1), s.login(2)
	d.answers("CreateContainerView", `<CreateContainerViewResponse xmlns="urn:vim25"><returnval type="ContainerView">`+
		`odd-view-12345</returnval></CreateContainerViewResponse>`)
	view, err := methods.CreateContainerView(s.ctx(), a.Client, &types.CreateContainerView{
		This: *a.ServiceContent.ViewManager, Container: a.ServiceContent.RootFolder,
	})
	s.must(err)
	id := view.Returnval.Value
	if id != "odd-view-12345" {
		t.Fatalf("the view is %s", id)
	}
	_ = b.machine("DC0_H0_VM0")
	before := d.total()
	for _, id := range []string{id, " " + id + "\n", "odd&#45;view-12345", "<![CDATA[" + id + "]]>"} {
		for _, call := range []string{
			`<DestroyView xmlns="urn:vim25"><_this type="ContainerView">` + id + `</_this></DestroyView>`,
			`<CreateListViewFromView xmlns="urn:vim25"><_this type="ViewManager">ViewManager</_this>` +
				`<view type="ContainerView">` + id + `</view></CreateListViewFromView>`,
			`<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>` +
				`<specSet><propSet><type>ContainerView</type><all>true</all></propSet><objectSet><obj>` + id +
				`</obj></objectSet></specSet><options/></RetrievePropertiesEx>`,
		} {
			status, answer := b.post(envelope(call))
			if status != 500 || !strings.Contains(answer, "ManagedObjectNotFound") {
				t.Errorf("%s: %d %s", call, status, answer)
			}
		}
	}
	if n := d.total(); n != before {
		t.Errorf("the upstream was asked %d times", n-before)
	}
}
