package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/xml"
)

// longAnswer is the least size of the answer to a retrieval of the property config, in bytes.
const longAnswer = 50_000_000

// light answers with constants. Only the sessions are kept: a call needs a session, as everywhere.
type light struct {
	calls   atomic.Int64
	content []byte
	long    []byte

	mu       sync.RWMutex    // guards what follows
	sessions map[string]bool // by cookie
	most     int
}

func newLight() (*light, error) {
	var content bytes.Buffer
	result := xml.StartElement{Name: xml.Name{Local: "returnval"}}
	err := xml.NewEncoder(&content).EncodeElement(vpx.ServiceContent, result)
	if err != nil {
		return nil, fmt.Errorf("make content: %w", err)
	}
	const object = `<objects><obj type="VirtualMachine">vm-4711</obj><propSet><name>config.uuid</name>` +
		`<val xsi:type="xsd:string">4207e2d2-0c3b-5c47-a8b5-6a6a6a6a6a6a</val></propSet></objects>`
	return &light{
		content: response("RetrieveServiceContent", content.String()),
		long: response("RetrievePropertiesEx",
			"<returnval>"+strings.Repeat(object, longAnswer/len(object)+1)+"</returnval>"),
		sessions: map[string]bool{},
	}, nil
}

// response returns the answer to a method as a vCenter writes it.
func response(method, result string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" ` +
		`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` + "\n<soapenv:Body>\n<" + method +
		`Response xmlns="urn:vim25">` + result + "</" + method + "Response>\n</soapenv:Body>\n</soapenv:Envelope>")
}

// fault returns a fault as a vCenter writes it.
func fault(name string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` + "\n<soapenv:Body>\n<soapenv:Fault>" +
		`<faultcode>ServerFaultCode</faultcode><faultstring>fault</faultstring><detail><` + name +
		`Fault xmlns="urn:vim25" xsi:type="` + name + `"/></detail></soapenv:Fault>` +
		"\n</soapenv:Body>\n</soapenv:Envelope>")
}

// ServeHTTP serves a SOAP request.
func (l *light) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	l.calls.Add(1)
	status, answer := l.answer(w, r, methodOf(body), body)
	w.Header()["Content-Type"] = []string{"text/xml; charset=utf-8"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(answer))}
	w.WriteHeader(status)
	_, _ = w.Write(answer) // the client may have gone
}

// methodOf returns the name of the element after the start tag of the envelope's body.
func methodOf(body []byte) string {
	_, rest, _ := bytes.Cut(body, []byte("Body>"))
	_, rest, _ = bytes.Cut(rest, []byte("<"))
	return string(rest[:max(0, bytes.IndexAny(rest, " />"))])
}

func (l *light) answer(w http.ResponseWriter, r *http.Request, method string, body []byte) (int, []byte) {
	switch method {
	case "RetrieveServiceContent":
		return http.StatusOK, l.content
	case "Login":
		return http.StatusOK, l.login(w)
	}
	cookie := ""
	if c, err := r.Cookie(soap.SessionCookieName); err == nil {
		cookie = c.Value
	}
	if !l.knows(cookie) {
		return http.StatusInternalServerError, fault("NotAuthenticated")
	}
	switch method {
	case "RetrievePropertiesEx":
		switch {
		case bytes.Contains(body, []byte("<pathSet>name</pathSet>")):
			return http.StatusOK, aName
		case bytes.Contains(body, []byte("<pathSet>config</pathSet>")):
			return http.StatusOK, l.long
		}
		return http.StatusOK, response(method, "")
	case "CreatePropertyCollector":
		return http.StatusOK, response(method, `<returnval type="PropertyCollector">session[`+cookie+`]`+
			newKey()+`</returnval>`)
	case "CurrentTime":
		return http.StatusOK, response(method, "<returnval>2026-01-02T03:04:05Z</returnval>")
	case "Logout":
		l.forget(cookie)
		return http.StatusOK, response(method, "")
	}
	return http.StatusInternalServerError, fault("NotSupported")
}

// aName is the answer to a retrieval of a name.
var aName = response("RetrievePropertiesEx", `<returnval><objects><obj type="VirtualMachine">vm-62</obj><propSet>`+
	`<name>name</name><val xsi:type="xsd:string">DC0_H0_VM0</val></propSet></objects></returnval>`)

func (l *light) login(w http.ResponseWriter) []byte {
	key, cookie := newKey(), newKey()
	http.SetCookie(w, &http.Cookie{Name: soap.SessionCookieName, Value: cookie, Path: "/", HttpOnly: true})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions[cookie] = true
	l.most = max(l.most, len(l.sessions))
	return response("Login", "<returnval><key>"+key+`</key><userName>bench</userName><fullName>bench</fullName>`+
		`<loginTime>2026-01-02T03:04:05Z</loginTime><lastActiveTime>2026-01-02T03:04:05Z</lastActiveTime>`+
		`<locale>en</locale><messageLocale>en</messageLocale></returnval>`)
}

// newKey returns a text that is as long as a UUID: the search for keys in answers depends on that.
func newKey() string { return (rand.Text() + rand.Text())[:36] }

func (l *light) knows(cookie string) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.sessions[cookie]
}

func (l *light) forget(cookie string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, cookie)
}

func (l *light) state() State {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return State{Calls: l.calls.Load(), Sessions: len(l.sessions), Most: l.most}
}

func (l *light) endAll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.sessions)
	return nil
}
