package soap

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/vim"
)

func TestMembersNewerThanTheCallerAreLeftOut(t *testing.T) {
	moref := types.ManagedObjectReference{Type: "X", Value: "x"}
	content := types.ServiceContent{TenantManager: &moref, SessionManager: &moref, DirectPathProfileManager: &moref}
	for action, want := range map[string][2]bool{ // tenantManager, directPathProfileManager
		"urn:vim25/9.1.0.0": {true, true}, `"urn:vim25/8.0.3.0"`: {true, false}, "urn:vim25/7.0": {true, false},
		`"urn:vim25/6.7.1"`: {}, "urn:internalvim25/6.7": {}, "": {}, "urn:other/9.1.0.0": {}, "nonsense": {},
		"urn:vim25": {},
	} {
		f := newFake().gives(content)
		w := f.post(envelope(manager("AcquireCloneTicket", "")),
			func(r *http.Request) { r.Header.Set("SOAPAction", action) })
		got := w.Body.String()
		if has := [2]bool{strings.Contains(got, "<tenantManager "),
			strings.Contains(got, "<directPathProfileManager ")}; has != want ||
			!strings.Contains(got, "<sessionManager ") {
			t.Errorf("%q: %v, want %v", action, has, want)
		}
	}
}

func TestSOAPActionSaysTheRelease(t *testing.T) {
	for action, want := range map[string]vim.Release{
		"urn:vim25/8.0.2.0": {8, 0, 2, 0}, `"urn:vim25/7.0"`: {7}, " urn:vim25/6.7.1 ": {6, 7, 1},
		"urn:internalvim25/4.1": {4, 1},
		"urn:vim25/2.5u2":       {2, 5}, "urn:vim25/6.8.7-x": {6, 8, 7},
		"": {}, "urn:vim25": {}, "urn:vim25/": {}, "urn:vim25/dev": {},
		"URN:Vim25/8.0.2.0": {8, 0, 2, 0}, "urn:vim25/1.2.3.4.5": {}, "urn:vim25/99999999999": {},
		"urn:vim2/2.0": {}, "urn:vim25/..": {},
	} {
		if got := actionRelease(action); got != want {
			t.Errorf("%q is %v, want %v", action, got, want)
		}
	}
}

func TestTheReleaseIsReadFromEveryHeaderThatMaySayIt(t *testing.T) {
	const action = "urn:vim25/8.0.2.0"
	for _, tt := range []struct {
		action []string
		kind   string
		want   vim.Release
	}{
		{nil, "", vim.Release{}},
		{nil, "text/xml; charset=utf-8", vim.Release{}},
		{nil, `text/xml; action="` + action + `"`, vim.Release{}}, // SOAP 1.1 has no such parameter
		{nil, `application/soap+xml; charset=utf-8; action="` + action + `"`, vim.Release{8, 0, 2}},
		{nil, `Application/SOAP+XML;Action=` + `"` + action + `";charset="UTF-8"`, vim.Release{8, 0, 2}},
		{[]string{`""`}, `application/soap+xml; action="` + action + `"`, vim.Release{8, 0, 2}},
		{[]string{"urn:vim25/7.0"}, `application/soap+xml; action="` + action + `"`, vim.Release{7}},
		{[]string{"", `"` + action + `"`}, "text/xml", vim.Release{8, 0, 2}},
		{[]string{action, action}, "text/xml", vim.Release{8, 0, 2}},
		{[]string{action + ", " + action}, "text/xml", vim.Release{8, 0, 2}},
	} {
		h := http.Header{"Soapaction": tt.action}
		if tt.kind != "" {
			h.Set("Content-Type", tt.kind)
		}
		if got := requestRelease(h); got != tt.want {
			t.Errorf("%q, %q: %v, want %v", tt.action, tt.kind, got, tt.want)
		}
	}
}

func TestTheVersionsBeginWithTheServersOwn(t *testing.T) {
	w := httptest.NewRecorder()
	newFake().mux().ServeHTTP(w, httptest.NewRequest("GET", "/sdk/vimServiceVersions.xml", nil))
	got := w.Body.String()
	begin := "<name>urn:vim25</name>\n  <version>8.0.3.0</version>\n  <priorVersions>\n   <version>8.0.2.0</version>\n"
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/xml; charset=utf-8" ||
		!strings.Contains(got, `<namespaces version="1.0">`) || !strings.Contains(got, begin) ||
		!strings.Contains(got, "<version>6.7.1</version>") || strings.Contains(got, "9.0.0.0") ||
		strings.Contains(got, "8.0.3.1") {
		t.Errorf("%d %v %s", w.Code, w.Header(), got)
	}
	// The versions that vCenter 8.0.3 lists.
	var all []string
	for _, m := range regexp.MustCompile("<version>([^<]+)</version>").FindAllStringSubmatch(got, -1) {
		all = append(all, m[1])
	}
	want := "8.0.3.0 8.0.2.0 8.0.1.0 8.0.0.2 8.0.0.1 8.0.0.0 7.0.3.2 7.0.3.1 7.0.3.0 7.0.2.1 7.0.2.0 " +
		"7.0.1.1 7.0.1.0 7.0.0.2 7.0.0.0 6.9.1 6.8.7 6.7.3 6.7.2 6.7.1 6.7 6.5 6.0 5.5 5.1 5.0 4.1 4.0"
	if strings.Join(all, " ") != want {
		t.Errorf("%v\nwant %s", all, want)
	}
}
