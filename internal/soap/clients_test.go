package soap_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// site is a server of the vectors' world. Tests post messages to it unchanged.
type site struct {
	*vectors.World
	t   *testing.T
	mux *http.ServeMux
}

func newSite(t *testing.T) *site {
	s := &site{vectors.NewWorld(t), t, http.NewServeMux()}
	soap.Mount(s.mux, s.API, binding.NewBodies(0), soap.Options{Version: vimtest.APIVersion})
	return s
}

// post sends a message as a client does. token is the token of the session, or "".
func (s *site) post(path, message, token string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(message))
	r.Header.Set("Content-Type", "text/xml")
	r.Header.Set("SOAPAction", "urn:vim25/6.7.3")
	if token != "" {
		r.Header.Set("Cookie", "vmware_soap_session="+token)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &s.Peer)))
	return w
}

var cookie = regexp.MustCompile(`vmware_soap_session="([0-9a-f]{40})"`)

const soapNS = "http://schemas.xmlsoap.org/soap/envelope/"

// dialects are the forms in which different clients write an operation into an envelope. In envelope, %s
// stands for the element of the operation. In that element, NS: stands for the prefix of its tags.
var dialects = map[string]struct{ envelope, prefix string }{
	// The operation inherits the namespace of the envelope, which is the default namespace.
	"Ansible roles: the envelope's namespace": {
		`<Envelope xmlns="` + soapNS + `" xmlns:xsi="` + xsi + `"><Body>%s</Body></Envelope>`, "",
	},
	"PHP, and govc's holder-of-key login: no namespace": {
		`<SOAP-ENV:Envelope xmlns:SOAP-ENV="` + soapNS + `" xmlns:xsi="` + xsi + `">` +
			"\n\t<SOAP-ENV:Body>\n%s</SOAP-ENV:Body></SOAP-ENV:Envelope>", "",
	},
	"node: the API's namespace is the default": {
		`<?xml version="1.0" encoding="utf-8"?><soapenv:Envelope xmlns="urn:vim25" xmlns:soapenv="` + soapNS + `">` +
			`<soapenv:Header/><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`, "",
	},
	"node-soap: a prefix": {
		`<soap:Envelope xmlns:soap="` + soapNS + `" xmlns:vim25="urn:vim25"><soap:Body>%s</soap:Body></soap:Envelope>`,
		"vim25:",
	},
	"suds: another prefix": {
		`<SOAP-ENV:Envelope xmlns:ns0="` + soapNS + `" xmlns:ns1="urn:vim25" xmlns:SOAP-ENV="` + soapNS + `">` +
			`<SOAP-ENV:Header/><ns0:Body>%s</ns0:Body></SOAP-ENV:Envelope>`, "ns1:",
	},
}

// said returns a message in a dialect.
func said(envelope, prefix, operation string) string {
	return strings.Replace(envelope, "%s", strings.ReplaceAll(operation, "NS:", prefix), 1)
}

const content = "<NS:RetrieveServiceContent><NS:_this>ServiceInstance</NS:_this></NS:RetrieveServiceContent>"

func TestOperationsAreTakenInWhateverNamespaceClientsWriteThem(t *testing.T) {
	s := newSite(t)
	for name, d := range dialects {
		w := s.post("/sdk", said(d.envelope, d.prefix, content), "", nil)
		want := `<sessionManager type="SessionManager">SessionManager</sessionManager>`
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		login := `<NS:Login><NS:_this>SessionManager</NS:_this><NS:userName>administrator@vsphere.local</NS:userName>` +
			`<NS:password>` + vectors.Password("administrator") + `</NS:password></NS:Login>`
		w = s.post("/sdk", said(d.envelope, d.prefix, login), "", nil)
		token := cookie.FindStringSubmatch(w.Header().Get("Set-Cookie"))
		if w.Code != 200 || token == nil {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		// Nested members, the type of a value, and references without a type.
		w = s.post("/sdk", said(d.envelope, d.prefix, `<NS:RetrievePropertiesEx><NS:_this>propertyCollector</NS:_this>`+
			`<NS:specSet><NS:propSet><NS:type>SessionManager</NS:type>`+
			`<NS:pathSet>currentSession</NS:pathSet></NS:propSet>`+
			`<NS:objectSet><NS:obj>SessionManager</NS:obj></NS:objectSet></NS:specSet><NS:options/>`+
			`</NS:RetrievePropertiesEx>`), token[1], nil)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `<userName>VSPHERE.LOCAL\Administrator</userName>`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestAnOperationOfAnotherNamespaceIsRefused(t *testing.T) {
	s := newSite(t)
	d := dialects["suds: another prefix"]
	for _, message := range []string{
		strings.Replace(said(d.envelope, d.prefix, content), "urn:vim25", "urn:other", 1),
		said(d.envelope, "undeclared:", content),
		said(d.envelope, d.prefix, strings.ReplaceAll(content, "NS:_this", `x:_this xmlns:x="urn:other"`)),
	} {
		if w := s.post("/sdk", message, "", nil); w.Code != 500 || !strings.Contains(w.Body.String(), "<faultstring>") {
			t.Errorf("%d %s: %s", w.Code, w.Body, message)
		}
	}
}

// The id of an object of a session tells the type of the object to that session only.
func TestTheIDTellsTheTypeOfAnObjectOfTheCallersSession(t *testing.T) {
	s := newSite(t)
	d := dialects["PHP, and govc's holder-of-key login: no namespace"]
	token := func(user string) string {
		token, err := s.Token(user)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	create := said(d.envelope, d.prefix, `<CreateListView><_this>ViewManager</_this></CreateListView>`)
	w := s.post("/sdk", create, token("administrator"), nil)
	made := regexp.MustCompile(`<returnval type="ListView">([^<]+)</returnval>`).FindStringSubmatch(w.Body.String())
	if made == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	destroy := said(d.envelope, d.prefix, "<DestroyView><_this>"+made[1]+"</_this></DestroyView>")
	for who, want := range map[string]string{"": "NotAuthenticatedFault", "reader": "InvalidRequestFault"} {
		other := ""
		if who != "" {
			other = token(who)
		}
		if w := s.post("/sdk", destroy, other, nil); w.Code != 500 || !strings.Contains(w.Body.String(), "<"+want) {
			t.Errorf("%q: %d %s", who, w.Code, w.Body)
		}
	}
	// The message may name the session, instead of the cookie.
	header := "<SOAP-ENV:Header><vcSessionCookie>" + token("administrator") + "</vcSessionCookie></SOAP-ENV:Header>"
	named := strings.Replace(destroy, "\n\t<SOAP-ENV:Body>", header+"<SOAP-ENV:Body>", 1)
	if w := s.post("/sdk", named, "", nil); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAnIDThatNamesNoObjectNeedsAType(t *testing.T) {
	s := newSite(t)
	d := dialects["PHP, and govc's holder-of-key login: no namespace"]
	for _, this := range []string{
		"<_this>nothing</_this>", "<_this/>", `<_this type="">nothing</_this>`, "<_this>session[x]y</_this>",
	} {
		w := s.post("/sdk", said(d.envelope, d.prefix, "<Logout>"+this+"</Logout>"), "", nil)
		got := w.Body.String()
		if w.Code != 500 || !strings.Contains(got, "InvalidRequestFault") &&
			!strings.Contains(got, "NotAuthenticatedFault") {
			t.Errorf("%s: %d %s", this, w.Code, got)
		}
	}
	w := s.post("/sdk", said(d.envelope, d.prefix, "<Logout><_this>nothing</_this></Logout>"), "", nil)
	if !strings.Contains(w.Body.String(), "_this: want a reference with a type") {
		t.Errorf("%s", w.Body)
	}
}
