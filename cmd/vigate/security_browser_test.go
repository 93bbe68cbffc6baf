package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
)

// surfaceRequest is a request to a path and its expected response.
type surfaceRequest struct {
	method, path, body string
	header             http.Header
	status             int
}

// wholeSurface returns a request of each kind to each path that is served, and to some paths that
// are not.
func wholeSurface(token string) []surfaceRequest {
	json, xml := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"text/xml"}}
	signed := http.Header{"Vmware-Api-Session-Id": {token}}
	const root = "/sdk/vim25/8.0.1.0/"
	return []surfaceRequest{
		{"GET", root + sm + "currentSession", "", signed, 200},
		{"HEAD", root + sm + "currentSession", "", signed, 200},
		{"GET", root + sm + "currentSession", "", nil, 204},
		{"GET", root + sm + "sessionList", "", nil, 500},
		{"POST", root + sm + "Login", `{"userName":"nobody","password":"wrong"}`, json, 500},
		{"POST", root + sm + "Login", "<xml/>", xml, 500},
		{"PUT", root + sm + "Login", "", nil, 405},
		{"GET", root + sm + "Login", "", nil, 405},
		{"POST", root + sm + "currentSession", "", signed, 405},
		{"POST", root + sm + "UpdateServiceMessage", `{"message":""}`, signed, 204},
		{"POST", root + sm + "Login", `{"password":"` + strings.Repeat("x", 1<<20) + `"}`, json, 413},
		{"GET", root + "openapi.json", "", nil, 200},
		{"POST", root + "openapi.json", "", nil, 405},
		{"GET", "/sdk/vim25/none/openapi.json", "", nil, 404},
		{"GET", "/sdk/vim25/", "", nil, 500},
		{"GET", "/sdk/vim25", "", nil, 307},
		{"GET", "/sdk//vim25/8.0.1.0/x", "", nil, 307},
		{"GET", "/sdk/vim25/../../etc", "", nil, 307},
		{"POST", "/sdk/vim25/./x", "", nil, 307},
		{"POST", "/api/vcenter/system?action=hello", `{"api_releases":["8.0.1.0"]}`, json, 200},
		{"POST", "/api/vcenter/system?action=hello", `nothing`, json, 400},
		{"GET", "/api/vcenter/system?action=hello", "", nil, 405},
		{"GET", "/api/vcenter/system", "", nil, 404},
		{"POST", "/sdk", "<nothing/>", xml, 500},
		{"GET", "/sdk", "", nil, 404},
		{"HEAD", "/sdk/", "", nil, 404},
		{"PUT", "/sdk/vimService", "", nil, 405},
		{"GET", "/sdk/vimServiceVersions.xml", "", nil, 200},
		{"DELETE", "/sdk/vimServiceVersions.xml", "", nil, 405},
		{"POST", "/api/session", "", nil, 401},
		{"PUT", "/api/session", "", nil, 405},
		{"POST", "/rest/com/vmware/cis/session", "", nil, 401},
		{"PATCH", "/rest/com/vmware/cis/session", "", nil, 405},
		{"POST", "/sts/STSService", "<nothing/>", xml, 500},
		{"GET", "/sts/STSService", "", nil, 405},
		{"POST", "/lookupservice/sdk", lookupCall, xml, 200},
		{"POST", "/lookupservice/sdk", "<nothing/>", xml, 500},
		{"GET", "/lookupservice/sdk", "", nil, 405},
		{"POST", "/api/vcenter/authentication/token", "", nil, 400},
		{"GET", "/api/vcenter/authentication/token", "", nil, 405},
		{"GET", "/", "", nil, 200},
		{"POST", "/", "", nil, 405},
		{"OPTIONS", "/sdk", "", nil, 405},
		{"GET", "/nowhere/at/all", "", nil, 404},
		{"GET", "/healthz", "", nil, 200},
		{"GET", "/readyz", "", nil, 200},
		{"POST", "/readyz", "", nil, 405},
	}
}

// lookupCall is the first call of every client of the Lookup Service.
const lookupCall = `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>` +
	`<RetrieveServiceContent xmlns="urn:lookup"/></Body></Envelope>`

// browse sends a request and does not follow redirects.
func (s *scene) browse(base string, x surfaceRequest, more http.Header) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), x.method, base+x.path, strings.NewReader(x.body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range []http.Header{x.header, more} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	resp, err := s.c.Transport.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", x.method, x.path, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.t.Errorf("%s %s: %v", x.method, x.path, err)
	}
	return resp
}

// A page is answered only where there is one, and its policy lets it load and frame nothing from elsewhere.
func TestEveryPathAnswersWithItsHeadersAndPagesWithAPolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	for _, base := range []string{s.tls, s.plain} {
		for _, x := range wholeSurface(s.admin) {
			resp := s.browse(base, x, nil)
			if resp.StatusCode != x.status {
				t.Errorf("%s %s: %d, want %d", x.method, x.path, resp.StatusCode, x.status)
			}
			h := resp.Header
			if got := h.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
				t.Errorf("%s %s: %d has Cache-Control %q", x.method, x.path, resp.StatusCode, got)
			}
			if got := h.Values("X-Content-Type-Options"); len(got) != 1 || got[0] != "nosniff" {
				t.Errorf("%s %s: %d has X-Content-Type-Options %q", x.method, x.path, resp.StatusCode, got)
			}
			page := x.method == "GET" && x.path == "/"
			if got := strings.Contains(h.Get("Content-Type"), "html"); got != page {
				t.Errorf("%s %s: %d is %s", x.method, x.path, resp.StatusCode, h.Get("Content-Type"))
			}
			policy := h.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
				if page && !strings.Contains(policy, part) {
					t.Errorf("%s %s has the policy %q, without %s", x.method, x.path, policy, part)
				}
			}
		}
	}
}

// A request that a page of another origin makes a browser send is refused, or it reads public data
// without cookies.
func TestAPageOfAnotherOriginIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	cookies := "vmware_soap_session=\"" + s.admin + "\"; vmware-api-session-id=" + s.admin
	for _, x := range wholeSurface(s.admin) {
		changes := x.method != "GET" && x.method != "HEAD"
		if x.header.Get("Vmware-Api-Session-Id") != "" || strings.HasSuffix(x.path, "z") {
			continue // no page can set the token's header, and health is public
		}
		for _, from := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}},
			{"Origin": {"https://evil.example"}}, {"Origin": {"null"}}} {
			from["Cookie"] = []string{cookies}
			for _, base := range []string{s.tls, s.plain} {
				if resp := s.browse(base, x, from); changes && resp.StatusCode < 300 {
					t.Errorf("%s %s from %v: %d", x.method, x.path, from, resp.StatusCode)
				} else if len(resp.Header["Set-Cookie"]) > 0 {
					t.Errorf("%s %s from %v sets %q", x.method, x.path, from, resp.Header["Set-Cookie"])
				}
			}
		}
	}
	if !s.lives(s.admin) {
		t.Error("a page of another origin ended the session")
	}
}

func TestAReboundNameLogsNobodyInOnThePlainListener(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *config.Config) {
		c.LocalTickets, c.PlainHTTPHosts = config.LocalTicketsLoopback, []string{"vigate.example"}
	})
	login := "POST /sdk/vim25/8.0.1.0/" + sm + "Login HTTP/1.1\r\nHost: %\r\nSec-Fetch-Site: same-origin\r\n" +
		"Content-Type: application/json\r\nConnection: close\r\nContent-Length: "
	body := loginBody(adminUser, adminPassword)
	ticket := `{"userName":"root"}`
	for host, good := range map[string]bool{"evil.example:8989": false, "evil.example": false, "localhost": true,
		"127.0.0.1:8989": true, "vigate.example": true} {
		got := s.sendRaw(strings.Replace(login, "%", host, 1) + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
		if in := strings.HasPrefix(got, "HTTP/1.1 200 "); in != good ||
			in != strings.Contains(strings.ToLower(got), "set-cookie: ") {
			t.Errorf("a login to %s: %.100q", host, got)
		}
		got = s.sendRaw(strings.Replace(strings.Replace(login, "Login", "AcquireLocalTicket", 1), "%", host, 1) +
			strconv.Itoa(len(ticket)) + "\r\n\r\n" + ticket)
		if !good && !strings.HasPrefix(got, "HTTP/1.1 403 ") {
			t.Errorf("a local ticket to %s: %.100q", host, got)
		}
	}
}
