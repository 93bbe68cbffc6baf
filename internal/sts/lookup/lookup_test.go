package lookup

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi/lookup"
	"github.com/vmware/govmomi/lookup/types"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/xmlsig"
)

const instance = "11111111-2222-4333-8444-555555555555"

func handler(tls bool) http.Handler {
	mux := http.NewServeMux()
	Mount(mux, Options{
		Instance: func() string { return instance }, Certificate: func() []byte { return []byte("certificate") },
		Domain: "VSPHERE.LOCAL", Tokens: "/sts/STSService", API: "/sdk",
	}, binding.NewBodies(0))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(peer.With(r.Context(), &peer.Peer{TLS: tls})))
	})
}

func TestGovmomiFindsTheServices(t *testing.T) {
	server := httptest.NewServer(handler(true))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, client := t.Context(), &vim25.Client{Client: soap.NewClient(base, true)}
	c, err := lookup.NewClient(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	if site, err := c.SiteID(ctx); err != nil || site != instance {
		t.Errorf("the site is %q: %v", site, err)
	}
	for what, f := range map[string]struct {
		filter types.LookupServiceRegistrationFilter
		paths  string
	}{
		"all": {types.LookupServiceRegistrationFilter{}, "/sts/STSService /sts/STSService /sdk"},
		"govc's": {types.LookupServiceRegistrationFilter{
			ServiceType: &types.LookupServiceRegistrationServiceType{Product: "com.vmware.cis", Type: "cs.identity"},
			EndpointType: &types.LookupServiceRegistrationEndpointType{Protocol: "wsTrust",
				Type: "com.vmware.cis.cs.identity.sso"},
		}, "/sts/STSService"},
		"PowerCLI's": {types.LookupServiceRegistrationFilter{
			ServiceType: &types.LookupServiceRegistrationServiceType{Type: "sso:sts"},
		}, "/sts/STSService"},
		"the API": {types.LookupServiceRegistrationFilter{NodeId: instance,
			EndpointType: &types.LookupServiceRegistrationEndpointType{Protocol: "vmomi"}}, "/sdk"},
		"another site": {types.LookupServiceRegistrationFilter{SiteId: "other"}, ""},
	} {
		all, err := c.List(ctx, &f.filter)
		var paths []string
		for _, i := range all {
			at := strings.TrimPrefix(i.ServiceEndpoints[0].Url, "https://"+base.Host)
			paths = append(paths, at)
			if i.SiteId != instance || i.OwnerId != "administrator@vsphere.local" ||
				len(i.ServiceEndpoints[0].SslTrust) != 1 {
				t.Errorf("%s: %+v", what, i)
			}
		}
		if err != nil || strings.Join(paths, " ") != f.paths {
			t.Errorf("%s: %v: %v, want %s", what, err, paths, f.paths)
		}
	}
}

// post sends a request and returns the answer, which must be XML.
func post(t *testing.T, tls bool, host, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body))
	r.Host = host
	w := httptest.NewRecorder()
	handler(tls).ServeHTTP(w, r)
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := xmlsig.Parse(b); err != nil {
		t.Errorf("%v: %s", err, b)
	}
	return w.Code, string(b)
}

func message(operation string) string {
	return `<e:Envelope xmlns:e="` + nsEnvelope + `"><e:Body>` + operation + `</e:Body></e:Envelope>`
}

func TestTheURLsHaveTheHostThatTheClientUsed(t *testing.T) {
	list := message(`<List xmlns="urn:lookup"><_this>ServiceRegistration</_this></List>`)
	for host, want := range map[string]string{
		"vc.example": "vc.example", "10.0.0.1:8443": "10.0.0.1:8443", `"><x>`: `&#34;&gt;&lt;x&gt;`,
	} {
		if status, body := post(t, true, host, list); status != http.StatusOK ||
			!strings.Contains(body, "<url>https://"+want+"/sts/STSService</url>") {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
	if _, body := post(t, false, "localhost", list); !strings.Contains(body, "<url>http://localhost/sdk</url>") {
		t.Errorf("without TLS: %s", body)
	}
}

func TestOtherRequestsAreRefused(t *testing.T) {
	for what, body := range map[string]string{
		"no XML": "x", "no envelope": "<x/>", "no operation": message(""), "two operations": message("<x/><x/>"),
		"another namespace": message(`<List xmlns="urn:vim25"/>`), "Create": message(`<Create xmlns="urn:lookup"/>`),
		"too large": strings.Repeat(" ", maxBody+1),
	} {
		if status, answer := post(t, true, "x", body); status != 500 || !strings.Contains(answer, "<faultstring>") {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	w := httptest.NewRecorder()
	handler(true).ServeHTTP(w, httptest.NewRequest(http.MethodGet, Path, nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
}
