package binding_test

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/httptoken"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/vim"
)

func TestACallHasTheCredentialsOfItsRequest(t *testing.T) {
	from := &peer.Peer{Address: "192.0.2.1", TLS: true}
	r := httptest.NewRequest("POST", "/path?query=1", nil)
	r = r.WithContext(peer.With(r.Context(), from))
	r.Header["Accept-Language"] = []string{"de", "en;q=0.5"}
	r.Header.Set("Authorization", "SIGN x")
	r.Header.Set("Cookie", `vmware_cgi_ticket=ticket; vmware_soap_session="soap"; vmware-api-session-id=rest`)
	want := vim.Call{
		Token: secret.New("soap"), HTTP: vim.HTTPRequest{Method: "POST", Host: "example.com", Target: "/path?query=1",
			Ticket: secret.New("ticket")},
		Proof: vim.Proof{Authorization: secret.New("SIGN x")}, Peer: from, AcceptLanguage: "de,en;q=0.5",
		Binding: "test",
	}
	if c, foreign := binding.NewCall(r, "test", httptoken.Cookie, httptoken.APICookie); foreign ||
		!reflect.DeepEqual(c, want) {
		t.Errorf("foreign %v, %+v", foreign, c)
	}
	want.Token = secret.New("rest")
	if c, _ := binding.NewCall(r, "test", httptoken.APICookie, httptoken.Cookie); !reflect.DeepEqual(c, want) {
		t.Errorf("another order of cookies: %+v", c)
	}
	want.Token = secret.Text{}
	if c, _ := binding.NewCall(r, "test"); !reflect.DeepEqual(c, want) {
		t.Errorf("no cookies: %+v", c)
	}
	r.Header.Set(httptoken.Header, "header")
	want.Token = secret.New("header")
	if c, _ := binding.NewCall(r, "test", httptoken.Cookie); !reflect.DeepEqual(c, want) {
		t.Errorf("the header: %+v", c)
	}
}

func TestACallOfAnotherOriginHasNoCredentials(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Accept-Language", "de")
	r.Header.Set("Authorization", "Basic x")
	r.Header.Set("Cookie", `vmware_cgi_ticket=ticket; vmware_soap_session="soap"`)
	c, foreign := binding.NewCall(r, "test", httptoken.Cookie)
	if !foreign || !c.Token.IsZero() || !c.HTTP.Ticket.IsZero() || !c.Proof.Authorization.IsZero() ||
		c.AcceptLanguage != "de" || c.Peer == nil {
		t.Errorf("foreign %v, %+v", foreign, c)
	}
}

func TestABodyIsEncodedUnlessTheEncodingIsIdentity(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   bool
	}{
		{nil, false}, {[]string{"identity"}, false}, {[]string{"Identity"}, false},
		{[]string{""}, false}, {[]string{"identity", "identity"}, false}, {[]string{"identity ,, IDENTITY"}, false},
		{[]string{"gzip"}, true}, {[]string{"", "GZIP"}, true}, {[]string{"identity", "gzip"}, true},
		{[]string{"identity, gzip"}, true},
	} {
		if got := binding.Encoded(http.Header{"Content-Encoding": tt.values}); got != tt.want {
			t.Errorf("%q: %v", tt.values, got)
		}
	}
}
