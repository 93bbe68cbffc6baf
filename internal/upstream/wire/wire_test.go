package wire

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
)

// serve returns a TLS server whose answer to every request is the text, and its URL.
func serve(t *testing.T, status int, answer string) (*httptest.Server, *url.URL) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/sdk"
	return s, u
}

func TestOnlyTheTrustedCertificateIsAccepted(t *testing.T) {
	s, u := serve(t, http.StatusOK, "")
	sum := sha256.Sum256(s.Certificate().Raw)
	other := sum
	other[0]++
	ca := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		trust Trust
		ok    bool
	}{
		"its thumbprint":     {Trust{Thumbprint: sum[:]}, true},
		"another thumbprint": {Trust{Thumbprint: other[:]}, false},
		"its authority":      {Trust{CA: ca}, true},
		"the system's roots": {Trust{}, false},
		"anything":           {Trust{Insecure: true}, true},
	} {
		var seen []error
		transport, err := newTransport(u, c.trust, options{seen: func(err error) { seen = append(seen, err) }})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
		w, err := transport.RoundTrip(r)
		if w != nil {
			_ = w.Body.Close()
		}
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnreachable) || len(seen) != 1 ||
			(seen[0] == nil) != c.ok {
			t.Errorf("%s: %v, seen %v", name, err, seen)
		}
		transport.Close()
	}
}

func TestAFileOfAuthoritiesThatOthersCanChangeIsRefused(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newTransport(&url.URL{Scheme: "https", Host: "x"}, Trust{CA: ca}, options{}); err == nil {
		t.Error("a file without a certificate was accepted")
	}
	if err := os.Chmod(ca, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := newTransport(&url.URL{Scheme: "https", Host: "x"}, Trust{CA: ca}, options{})
	if err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("got %v", err)
	}
}

func TestRequestsForOtherServersAreRefused(t *testing.T) {
	_, u := serve(t, http.StatusOK, "")
	transport, err := newTransport(u, Trust{Insecure: true}, options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"https://other.example/sdk", "http://" + u.Host + "/sdk"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if _, err := transport.RoundTrip(r); !errors.Is(err, ErrElsewhere) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

const (
	begin = `<?xml version="1.0" encoding="UTF-8"?>` +
		`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	end = `</soapenv:Body></soapenv:Envelope>`
)

func fault(detail string) string {
	return begin + `<soapenv:Fault><faultcode>x</faultcode><faultstring>secret text</faultstring><detail>` + detail +
		`</detail></soapenv:Fault>` + end
}

// time calls CurrentTime on a server with the answer.
func currentTime(t *testing.T, status int, answer string) error {
	t.Helper()
	_, u := serve(t, status, answer)
	transport, err := newTransport(u, Trust{Insecure: true}, options{})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	_, err = (&Client{Transport: transport}).CurrentTime(t.Context())
	return err
}

func TestAnswersOfAnyKindAreToldApart(t *testing.T) {
	good := begin + `<CurrentTimeResponse xmlns="urn:vim25"><returnval>2026-01-02T03:04:05Z</returnval>` +
		`</CurrentTimeResponse>` + end
	if err := currentTime(t, http.StatusOK, good); err != nil {
		t.Error(err)
	}
	ended := fault(`<NotAuthenticatedFault xmlns="urn:vim25" xsi:type="NotAuthenticated">` +
		`<object type="Folder">x</object><privilegeId>System.View</privilegeId></NotAuthenticatedFault>`)
	if err := currentTime(t, http.StatusInternalServerError, ended); !Ended(err) ||
		strings.Contains(err.Error(), "secret") {
		t.Errorf("an ended session gives %v", err)
	}
	var f *FaultError
	unknown := fault(`<XFault xmlns="urn:vim25" xsi:type="SomethingNew"></XFault>`)
	if err := currentTime(t, http.StatusInternalServerError, unknown); !errors.As(err, &f) {
		t.Errorf("an unknown fault gives %v", err)
	}
	var s *StatusError
	if err := currentTime(t, http.StatusServiceUnavailable, "busy"); !errors.As(err, &s) || s.Code != 503 {
		t.Errorf("status 503 gives %v", err)
	}
	for name, answer := range map[string]string{
		"no XML": "hello", "no result": begin + end, "a deep answer": begin + strings.Repeat("<a>", 100_000),
		"a large answer": begin + strings.Repeat(" ", maxAnswer) + end,
	} {
		err := currentTime(t, http.StatusOK, answer)
		if err == nil || errors.As(err, &f) || errors.As(err, &s) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestALoginTakesTheCookieAsItIs(t *testing.T) {
	for set, want := range map[string]string{
		`vmware_soap_session="52ab"; Path=/; HttpOnly`: `vmware_soap_session="52ab"`,
		`vmware_soap_session=52ab; Path=/`:             `vmware_soap_session=52ab`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", set)
			_, _ = w.Write([]byte(begin + `<LoginResponse xmlns="urn:vim25"><returnval><key>k</key>` +
				`<userName>u</userName><fullName>f</fullName><loginTime>2026-01-02T03:04:05Z</loginTime>` +
				`<lastActiveTime>2026-01-02T03:04:05Z</lastActiveTime><locale>en</locale>` +
				`<messageLocale>en</messageLocale></returnval></LoginResponse>` + end))
		}))
		u, err := url.Parse(s.URL + "/sdk")
		if err != nil {
			t.Fatal(err)
		}
		transport, err := newTransport(u, Trust{}, options{})
		if err != nil {
			t.Fatal(err)
		}
		c := Client{Transport: transport, Fresh: true}
		manager := types.ManagedObjectReference{Type: "SessionManager", Value: "s"}
		session, err := c.Login(context.Background(), manager, "u", secret.New("p"), "")
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		session.Cookie.Set(header)
		if header.Get("Cookie") != want || session.Cookie.Value.Reveal() != "52ab" || session.Key.Reveal() != "k" {
			t.Errorf("%s: the cookie is sent as %s", set, header.Get("Cookie"))
		}
		s.Close()
	}
}
