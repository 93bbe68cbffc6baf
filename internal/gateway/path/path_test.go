package path

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/vim"
)

// seen is what the upstream got.
type seen struct {
	mu   sync.Mutex // guards all
	all  []*http.Request
	body []string
}

func (s *seen) add(r *http.Request) string {
	b, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.body = append(s.all, r), append(s.body, string(b))
	return string(b)
}

func (s *seen) last() (*http.Request, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.all) - 1
	if n < 0 {
		return nil, ""
	}
	return s.all[n], s.body[n]
}

// echo answers with the body and the given header.
func echo(s *seen, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b := s.add(r)
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, b)
	}
}

func TestARequestReachesTheUpstreamWithOtherCredentialsAndNothingElseChanged(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s, "Set-Cookie", "vmware_soap_session=upstream-key-1", "Vmware-Api-Session-Id", "rest-id-1",
		"X-Answer", "yes"))
	res, body := w.do("PUT", "/folder/a%2Fb%20c?dcPath=x%2Fy&dsName=d", "content", "Authorization", "Basic YTpi",
		"Vmware-Api-Session-Id", token, "X-Request", "one", "User-Agent", "client/1",
		"Content-Type", "application/octet-stream")
	got, sent := s.last()
	if got == nil {
		t.Fatal("the upstream got nothing")
	}
	if got.URL.EscapedPath() != "/folder/a%2Fb%20c" || got.URL.RawQuery != "dcPath=x%2Fy&dsName=d" ||
		sent != "content" || got.ContentLength != 7 {
		t.Errorf("the upstream got %s, %q of %d bytes", got.URL, sent, got.ContentLength)
	}
	want := http.Header{
		"Cookie": {`vmware_soap_session="upstream-key-1"`}, "X-Request": {"one"}, "Accept-Encoding": {"identity"},
		"Content-Type": {"application/octet-stream"}, "Content-Length": {"7"}, "User-Agent": {"client/1"},
	}
	if fmt.Sprint(got.Header) != fmt.Sprint(want) {
		t.Errorf("the upstream got %v, want %v", got.Header, want)
	}
	if got.Host != w.upstream.Host {
		t.Errorf("the host was %s", got.Host)
	}
	if body != "content" || res.Header.Get("X-Answer") != "yes" || len(res.Header["Set-Cookie"]) > 0 ||
		res.Header.Get("Vmware-Api-Session-Id") != "" {
		t.Errorf("the client got %v, %q", res.Header, body)
	}
}

func TestWithoutASessionTheUpstreamIsNotAsked(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	for _, path := range []string{
		"/folder/x", "/nfc/x", "/api/vcenter/vm", "/rest/vcenter/vm", "/pbm", "/ticket/x", "/eam/sdk",
	} {
		res, body := w.ask(w.front().URL, "GET", path, "", "Vmware-Api-Session-Id", strings.Repeat("f", 40))
		if res.StatusCode != http.StatusUnauthorized || body == "" {
			t.Errorf("%s: %s %q", path, res.Status, body)
		}
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %s", r.URL)
	}
}

func TestPathsThatAreNotServedAreNotPassedOn(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	for path, status := range map[string]int{
		"/sso-adminserver/sdk": 404, "/ui/": 404, "/": 404, "/folders/x": 404, "/folder%2Fx": 404, "/sdkx": 404,
		"/folder/../sso-adminserver/sdk": 404, "/folder/%2e%2e/ui": 404, "/folder/..;/ui": 400,
		"/folder/%252e%252e/ui": 400,
		"/SSO-ADMINSERVER/sdk":  404, "/api/vcenter/tokenservice/token-exchange": 404,
		"/api/vcenter/TokenService;x/token-exchange/": 404, "/rest/vcenter%2Fauthentication/token": 404,
	} {
		res, _ := w.do("POST", path, "")
		if res.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, res.Status, status)
		}
	}
	if res, _ := w.do("TRACE", "/folder/x", ""); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("TRACE: %s", res.Status)
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %s", r.URL)
	}
}

func TestConfiguredPathsArePassedOn(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	w.Paths = []string{"/screen", "invsvc/v1/"}
	for _, path := range []string{"/screen?id=vm-1", "/invsvc/v1/x"} {
		if res, _ := w.do("GET", path, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if res, _ := w.do("GET", "/invsvc/v2", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("another path: %s", res.Status)
	}
}

func TestTheFrontLearnsWhatARequestDoes(t *testing.T) {
	w := newWorld(t, echo(&seen{}))
	w.do("GET", "/folder/x", "")
	w.do("DELETE", "/api/vcenter/vm/vm-1", "")
	w.do("POST", "/rest/com/vmware/cis/data/1/disk.vmdk", "")
	want := []Access{
		{Prefix: "/folder", Path: "/folder/x"},
		{Prefix: "/api", Path: "/api/vcenter/vm/vm-1", Changes: true},
		{Prefix: "/rest/com/vmware/cis/data", Path: "/rest/com/vmware/cis/data/1/disk.vmdk", Changes: true},
	}
	if fmt.Sprint(w.accesses) != fmt.Sprint(want) {
		t.Errorf("got %v", w.accesses)
	}
	if len(w.faults) != 3 {
		t.Errorf("%d requests were ended", len(w.faults))
	}
}

func TestIDsAndURLsInMessagesAreTranslatedBothWays(t *testing.T) {
	s := &seen{}
	w := newWorld(t, nil)
	w.Handler.Upstream = w
	upstream := "http://" + w.upstream.Host
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", echo(s, "Content-Type", "application/json; charset=utf-8", "Location", upstream+"/api/x",
		"X-Lease", upstreamID))
	*w = *newWorld(t, mux)
	upstream = "http://" + w.upstream.Host
	front := w.front()
	ask := func(in string) (*http.Response, string) {
		return w.ask(front.URL, "POST", "/api/x/"+url.PathEscape(clientID)+"?id="+url.QueryEscape(clientID), in,
			"Vmware-Api-Session-Id", token, "Content-Type", "application/json")
	}
	lease := url.PathEscape(clientID) + `/disk","b":"` + clientID
	in := `{"a":"` + front.URL + `/nfc/` + lease + `","t":"` + token + `"}`
	res, body := ask(in)
	got, sent := s.last()
	if want := `{"a":"` + upstream + `/nfc/` + url.PathEscape(upstreamID) + `/disk","b":"` + upstreamID +
		`","t":"upstream-key-1"}`; sent != want {
		t.Errorf("the upstream got %s, want %s", sent, want)
	}
	if got.ContentLength != int64(len(sent)) || !strings.Contains(got.URL.String(), url.PathEscape(upstreamID)) ||
		got.URL.Query().Get("id") != upstreamID {
		t.Errorf("the upstream got %s, %d bytes", got.URL, got.ContentLength)
	}
	if body != in {
		t.Errorf("the client got %s, want %s", body, in)
	}
	if res.Header.Get("X-Lease") != clientID || got.Header.Get("Vmware-Api-Session-Id") != "rest-id-1" {
		t.Errorf("the headers are %v and %v", res.Header, got.Header)
	}
}

func TestAnIDOfAnotherSessionIsNotPassedOn(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	for _, c := range []struct{ path, body string }{
		{"/nfc/99999999", ""}, {"/nfc/x?id=99999999", ""}, {"/pbm", "<id>99999999</id>"},
	} {
		res, _ := w.do("POST", c.path, c.body, "Content-Type", "text/xml")
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", c.path, res.Status)
		}
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %s", r.URL)
	}
}

func TestAFilePassesUnchangedWhateverItsType(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s, "Content-Type", "text/xml"))
	in := "<a>http://" + w.upstream.Host + "/sdk " + upstreamID + " " + clientID + "</a>"
	_, body := w.do("PUT", "/folder/x.xml", in, "Content-Type", "text/xml")
	if _, sent := s.last(); sent != in || body != in {
		t.Errorf("%q became %q, and came back as %q", in, sent, body)
	}
}

func TestABrowserDoesNotRunAFileAsAPageOfTheFront(t *testing.T) {
	for _, own := range []string{"", "default-src 'self'"} {
		header := []string{"Content-Type", "text/html"}
		if own != "" {
			header = append(header, "Content-Security-Policy", own)
		}
		w := newWorld(t, echo(&seen{}, header...))
		res, body := w.do("GET", "/folder/x.html", "")
		all := res.Header.Values("Content-Security-Policy")
		if body != "" || !slices.Contains(all, "sandbox allow-downloads") || own != "" && !slices.Contains(all, own) {
			t.Errorf("%s: the policies are %q", res.Status, all)
		}
	}
}

func TestABrowserDoesNotRunADocumentOfTheUpstreamAsAPageOfTheFront(t *testing.T) {
	w := newWorld(t, echo(&seen{}, "Content-Type", "text/html"))
	front := w.front()
	for _, method := range []string{"GET", "HEAD"} {
		res, _ := w.ask(front.URL, method, "/sdk/vimServiceVersions.xml", "")
		all := res.Header.Values("Content-Security-Policy")
		if res.StatusCode != http.StatusOK || !slices.Contains(all, "sandbox allow-downloads") {
			t.Errorf("%s: %s, the policies are %q", method, res.Status, all)
		}
	}
}

func TestALostSessionIsReplacedAndTheRequestSentOnceMore(t *testing.T) {
	for _, body := range []string{"", "small file", "<xml/>"} {
		s := &seen{}
		var lost sync.Map
		lost.Store("upstream-key-1", true)
		w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, _ := r.Cookie("vmware_soap_session")
			if _, is := lost.Load(c.Value); is {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			echo(s)(w, r)
		}))
		open := w.open
		w.open = func() *session {
			one := open()
			one.dead = func() bool { _, is := lost.Load(one.key); return is }
			return one
		}
		res, got := w.do("POST", "/sms", body, "Content-Type", "text/xml")
		if res.StatusCode != http.StatusOK || got != body || w.renewals != 1 {
			t.Errorf("%q: %s, %q after %d renewals", body, res.Status, got, w.renewals)
		}
		w.pinned = true
		lost.Store("upstream-key-2", true)
		if res, _ := w.do("POST", "/sms", body, "Content-Type", "text/xml"); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a client session that owned something got %s", res.Status)
		}
	}
}

func TestA401OfALiveSessionIsTheAnswer(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not you", http.StatusUnauthorized)
	}))
	res, body := w.do("GET", "/folder/x", "")
	if res.StatusCode != http.StatusUnauthorized || body != "not you\n" || w.renewals != 0 {
		t.Errorf("%s %q after %d renewals", res.Status, body, w.renewals)
	}
}

func TestALostSessionOfTheAutomationAPIIsReplacedAlone(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Vmware-Api-Session-Id") != "rest-id-1-again" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	open := w.open
	w.open = func() *session {
		one := open()
		one.restDead = one.rest
		return one
	}
	res, _ := w.do("GET", "/api/vcenter/vm", "")
	if res.StatusCode != http.StatusOK || w.renewals != 0 {
		t.Errorf("%s after %d renewals", res.Status, w.renewals)
	}
}

func TestAnUploadIsPrecededByAProbeAndStreamed(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	open := w.open
	dead := true
	w.open = func() *session {
		one := open()
		if dead {
			dead, one.dead = false, func() bool { return true }
		}
		return one
	}
	big := make([]byte, 3*maxRepeatable)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	res, body := w.do("PUT", "/folder/big", string(big))
	if res.StatusCode != http.StatusOK || body != string(big) || w.renewals != 1 {
		t.Errorf("%s, %d bytes after %d renewals", res.Status, len(body), w.renewals)
	}
	if held := w.Bodies.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	if r, _ := s.last(); r.ContentLength != int64(len(big)) {
		t.Errorf("the length was %d", r.ContentLength)
	}
}

func TestASessionThatIsLostDuringAnUploadIsATemporaryFault(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	open := w.open
	w.open = func() *session {
		one := open()
		one.dead = func() bool { return one.probes > 1 }
		return one
	}
	res, _ := w.do("PUT", "/folder/big", strings.Repeat("x", 2*maxRepeatable))
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
}

func TestAnUpstreamThatIsDownIsATemporaryFault(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	w := newWorldAt(t, "http://"+listener.Addr().String())
	for _, path := range []string{"/folder/x", "/api/x", "/rest/x", "/sts/STSService", "/sdk/vsanServiceVersions.xml"} {
		res, body := w.do("GET", path, "")
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || body == "" {
			t.Errorf("%s: %s %q", path, res.Status, body)
		}
	}
}

func TestARequestEndsWithItsClientSession(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(gone)
	}))
	go func() {
		<-began
		close(w.over)
	}()
	res, _ := w.do("GET", "/folder/x", "")
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the client got %s", res.Status)
	}
	await(t, gone)
	if f := w.faults[0]; f == nil || !vim.IsFault[*types.NotAuthenticated](f) {
		t.Errorf("the fault is %v", f)
	}
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("it does not happen")
	}
}

func TestAnAnswerIsStreamedWhileItIsMade(t *testing.T) {
	more := make(chan struct{})
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "second")
	}))
	r, _ := http.NewRequest("GET", w.front().URL+"/folder/x", nil)
	r.Header.Set("Cookie", "vmware_soap_session="+token)
	res, err := w.client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "first" {
		t.Fatalf("%q, %v", b, err)
	}
	close(more)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "second" {
		t.Fatalf("%q, %v", rest, err)
	}
}

func TestCallsReachTheSDKByItsCleanPathOnly(t *testing.T) {
	s := &seen{}
	w := newWorld(t, echo(s))
	var got []string
	w.SOAP = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+" "+r.URL.EscapedPath())
	})
	w.Calls = func(path string) bool { return path == "/sdk/vimService" }
	for path, want := range map[string]string{
		"/sdk": "/sdk /sdk", "/folder/..//sdk": "/sdk /sdk", "/sdk/vimService": "/sdk /sdk",
		"/sdk//vimService": "/sdk /sdk", "/sdk/other": "/sdk/other /sdk/other",
		"/pbm/a%20b": "/pbm/a b /pbm/a%20b", "/sdk/%2e%2e/eam/sdk": "/eam/sdk /eam/sdk",
		"/sdk/../sso-adminserver/sdk": "", "/sdk/%2e%2e/sso-adminserver/sdk": "", "/sdk/..;/sso-adminserver/sdk": "",
		"/sdk/..%2fsso-adminserver/sdk": "", "/sdk/../ui": "", "/sdkx": "",
	} {
		got = nil
		res, _ := w.do("POST", path, "<a/>", "Content-Type", "text/xml")
		if all := strings.Join(got, ","); all != want || want == "" && res.StatusCode < 400 {
			t.Errorf("%s was served as %q: %s", path, all, res.Status)
		}
	}
	got = nil
	if w.do("GET", "/sdk/vimService?wsdl", ""); len(got) != 1 || got[0] != "/sdk/vimService /sdk/vimService" {
		t.Errorf("the description was asked for at %v", got)
	}
	if r, _ := s.last(); r != nil {
		t.Errorf("the upstream got %s", r.URL)
	}
}

func TestURLsHaveTheNameByWhichEachClientKnowsTheFront(t *testing.T) {
	w := newWorld(t, nil)
	text := []byte("http://" + w.upstream.Host + "/nfc/1")
	for range 2 {
		for _, host := range []string{"a.example", "b.example:9443"} {
			for scheme, secure := range map[string]bool{"http": false, "https": true} {
				c := &vim.Call{HTTP: vim.HTTPRequest{Host: host}, Peer: &peer.Peer{TLS: secure}}
				want := scheme + "://" + host + "/nfc/1"
				if got := string(w.Text(c, text)); got != want {
					t.Errorf("%s instead of %s", got, want)
				}
				if got := w.Request(c, []byte(want)); string(got) != string(text) {
					t.Errorf("%s became %s", want, got)
				}
			}
		}
	}
}
