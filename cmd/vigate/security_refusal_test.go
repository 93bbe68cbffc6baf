package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// shape is the form of a binding's refusals. wrong returns what a body lacks of that form, or "".
type shape struct {
	kind  string // content type
	wrong func(body []byte) string
}

// The forms of refusals, by binding.
var (
	viFault = shape{"application/json", func(body []byte) string {
		var f struct {
			Type string `json:"_typeName"`
			Text string `json:"faultstring"`
		}
		if err := json.Unmarshal(body, &f); err != nil || f.Type == "" || f.Text == "" {
			return "no fault of VI JSON"
		}
		return ""
	}}
	automationFault = shape{"application/json", func(body []byte) string {
		var f struct {
			automationMessages
			Type string `json:"error_type"`
		}
		if err := json.Unmarshal(body, &f); err != nil || f.Type == "" || f.empty() {
			return "no error of the Automation API"
		}
		return ""
	}}
	olderFault = shape{"application/json", func(body []byte) string {
		var f struct {
			Type  string             `json:"type"`
			Value automationMessages `json:"value"`
		}
		if err := json.Unmarshal(body, &f); err != nil || !strings.HasPrefix(f.Type, "com.vmware.vapi.std.errors.") ||
			f.Value.empty() {
			return "no error of the older form"
		}
		return ""
	}}
	soapFault = shape{"text/xml; charset=utf-8", func(body []byte) string {
		var f struct {
			Code string `xml:"Body>Fault>faultcode"`
			Text string `xml:"Body>Fault>faultstring"`
		}
		if err := xml.Unmarshal(body, &f); err != nil || f.Code == "" || f.Text == "" {
			return "no fault of SOAP"
		}
		return ""
	}}
)

type automationMessages struct {
	Messages []struct {
		Text string `json:"default_message"`
	} `json:"messages"`
}

func (m automationMessages) empty() bool { return len(m.Messages) == 0 || m.Messages[0].Text == "" }

// refusingPaths returns paths of each binding, with the form of their refusals.
func refusingPaths() map[string]shape {
	const root = "/sdk/vim25/8.0.1.0/"
	all := map[string]shape{}
	for _, path := range []string{
		root, root + sm, root + sm + "Login", root + sm + "Logout", root + sm + "currentSession", root + sm + "message",
		root + sm + "nothing",
		root + sm + "currentSession/", root + sm + "Login/", root + sm + "a/b", root + "SessionManager/other/message",
		root + "Nothing/x/y",
		"/sdk/vim25/", "/sdk/vim25/7.0.3.0/" + sm + "message", "/sdk/vim25/latest/" + sm + "Login",
		root + "openapi.json", root + "openapi.json/",
		"/sdk/vim25/7.0.3.0/openapi.json", root + sm + "%00", root + "openapi.json?release=x",
	} {
		all[path] = viFault
	}
	for _, path := range []string{
		"/api/session", "/api/session?~action=get", "/api/session/", "/api/", "/api/vcenter/vm", "/api/vcenter/system",
		"/api/vcenter/system?action=hello",
		"/api/vcenter/system?action=other", "/api/vcenter/system/",
	} {
		all[path] = automationFault
	}
	for _, path := range []string{
		"/rest/com/vmware/cis/session", "/rest/com/vmware/cis/session?~action=get",
		"/rest/com/vmware/cis/session?~action=other", "/rest/com/vmware/cis/session/", "/rest/",
		"/rest/com/vmware/cis/tagging/tag",
	} {
		all[path] = olderFault
	}
	for _, path := range []string{"/sdk", "/sdk/", "//sdk", "/sdk/vimService", "/sdk/webService",
		"/sdk/vimServiceVersions.xml"} {
		all[path] = soapFault
	}
	return all
}

// The test sends every method to every path, with every flaw that a request can have. Each refusal
// must have the form of its binding.
func TestEveryRefusalHasTheFormOfItsBinding(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	cookie := `vmware_soap_session="` + s.admin + `"`
	flaws := map[string]surfaceRequest{
		"nothing":      {},
		"no message":   {body: "nothing"},
		"another type": {body: "{}", header: http.Header{"Content-Type": {"text/plain"}}},
		"compressed": {body: "{}",
			header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}},
		"another set":     {body: "{}", header: http.Header{"Content-Type": {"application/json; charset=utf-7"}}},
		"unknown members": {body: `{"a":1}`, header: http.Header{"Content-Type": {"application/json"}}},
		"too large": {body: strings.Repeat(" ", 9<<20),
			header: http.Header{"Content-Type": {"application/json"}}},
		"another origin":    {header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Cookie": {cookie}}},
		"a dead token":      {header: http.Header{"Vmware-Api-Session-Id": {strings.Repeat("0", 40)}}},
		"wrong credentials": {header: http.Header{"Authorization": {"Bearer x"}}},
	}
	refused := map[int]int{}
	for path, want := range refusingPaths() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			for what, x := range flaws {
				if x.body != "" && method != "POST" {
					continue // the flaw has no meaning for other methods
				}
				x.method, x.path = method, path
				base := s.plain
				if what == "nothing" {
					base = s.tls // HTTP/2
				}
				status, wrong := s.refusal(base, x, want)
				if refused[status]++; wrong != "" {
					t.Errorf("%s %s with %s: %d, %s", method, path, what, status, wrong)
				}
			}
		}
	}
	for _, status := range []int{400, 401, 403, 404, 405, 413, 500} {
		if refused[status] == 0 {
			t.Errorf("nothing was refused with %d", status)
		}
	}
}

// refusal sends a request. If the response is a refusal, it returns what is wrong with its form.
func (s *scene) refusal(base string, x surfaceRequest, want shape) (status int, wrong string) {
	s.t.Helper()
	var body io.Reader
	if x.body != "" {
		body = strings.NewReader(x.body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), x.method, base+x.path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range x.header {
		req.Header[name] = values
	}
	resp, err := s.c.Transport.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", x.method, x.path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, err.Error()
	}
	if resp.StatusCode < 400 {
		return resp.StatusCode, ""
	}
	allow := resp.Header.Get("Allow")
	switch {
	case resp.StatusCode == 405 && (allow == "" || slices.Contains(strings.Split(allow, ", "), x.method)):
		return resp.StatusCode, "it allows " + allow
	case resp.Header.Get("Content-Type") != want.kind:
		return resp.StatusCode, "its type is " + resp.Header.Get("Content-Type")
	case x.method == "HEAD" && (len(b) > 0 || resp.ContentLength <= 0):
		return resp.StatusCode, "not the header of what GET would have"
	case x.method == "HEAD":
		return resp.StatusCode, ""
	}
	if wrong := want.wrong(b); wrong != "" {
		return resp.StatusCode, wrong + ": " + string(bytes.TrimSpace(b[:min(len(b), 300)]))
	}
	return resp.StatusCode, ""
}
