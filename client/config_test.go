package client

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAURLIsAcceptedWithAndWithoutSDK(t *testing.T) {
	for raw, want := range map[string]string{
		"https://vc.example.com":          "https://vc.example.com",
		"https://vc.example.com/":         "https://vc.example.com",
		"https://vc.example.com:8443/sdk": "https://vc.example.com:8443",
		"https://[::1]:8443/sdk/":         "https://[::1]:8443",
		"http://127.0.0.1:80/sdk":         "http://127.0.0.1:80",
	} {
		if got, err := parseURL(raw); err != nil || got.String() != want {
			t.Errorf("%s: %q, %v", raw, got.String(), err)
		}
	}
}

func TestAURLThatMeansSomethingElseIsRefusedWithoutRepeatingIt(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, raw := range []string{
		"", "vc.example.com", "ftp://vc.example.com", "https://", "https:///sdk",
		"https://user:" + secret + "@vc.example.com/sdk", "https://user@vc.example.com",
		"https://user:" + secret + "%zz@vc.example.com", "https://vc.example.com:" + secret,
		"https://vc.example.com/ui", "https://vc.example.com/sdk?x=" + secret, "https://vc.example.com/sdk#" + secret,
	} {
		_, err := New(t.Context(), Config{URL: raw, Release: "8.0.1.0"})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestAConfigThatContradictsItselfIsRefused(t *testing.T) {
	pin := strings.Repeat("ab", 32)
	for name, cfg := range map[string]Config{
		"TLS and transport": {URL: "https://h", Transport: http.DefaultTransport, TLS: TLS{Insecure: true}},
		"TLS on http":       {URL: "http://h", TLS: TLS{Thumbprint: pin}},
		"CA and pool":       {URL: "https://h", TLS: TLS{CA: []byte("x"), Pool: x509.NewCertPool()}},
		"CA without PEM":    {URL: "https://h", TLS: TLS{CA: []byte("x")}},
		"insecure and pool": {URL: "https://h", TLS: TLS{Insecure: true, Pool: x509.NewCertPool()}},
		"SHA-1 thumbprint":  {URL: "https://h", TLS: TLS{Thumbprint: strings.Repeat("ab", sha1.Size)}},
		"odd thumbprint":    {URL: "https://h", TLS: TLS{Thumbprint: "xyz"}},
		"release":           {URL: "https://h", Release: "../8.0"},
	} {
		if cfg.Release == "" {
			cfg.Release = "8.0.1.0"
		}
		if _, err := New(t.Context(), cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestTheReleaseIsTheOneThatTheServerChooses(t *testing.T) {
	f := newFake()
	c := start(t, f, func(cfg *Config) { cfg.Release = "" })
	if c.Release() != "8.0.2.0" {
		t.Errorf("release %s", c.Release())
	}
	want := `{"api_releases":["9.1.0.0","9.0.0.0","8.0.3.0","8.0.2.0","8.0.1.0"]}`
	req := f.last(t, "POST hello")
	if req.body != want || req.url != "/api/vcenter/system?action=hello" {
		t.Errorf("sent %s to %s", req.body, req.url)
	}
	login(t, c)
	if url := f.last(t, "POST SessionManager.Login").url; !strings.HasPrefix(url, "/sdk/vim25/8.0.2.0/") {
		t.Errorf("called %s", url)
	}
}

func TestAServerWithoutHelloGetsTheFirstRelease(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"404":   func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"400":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) },
		"401":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"302":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ui", http.StatusFound) },
		"fault": func(w http.ResponseWriter, _ *http.Request) { fault(w, "InvalidRequest", "no") },
		"page":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
	} {
		f := newFake()
		f.on("POST hello", h)
		c := start(t, f, func(cfg *Config) { cfg.Release = "" })
		if c.Release() != "8.0.1.0" {
			t.Errorf("%s: release %s", name, c.Release())
		}
	}
}

func TestNegotiationFailsIfTheResponseIsUnusable(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"none fits": func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"api_release":""}`) },
		"not asked": func(w http.ResponseWriter, _ *http.Request) { reply(w, `{"api_release":"7.0.0.0"}`) },
		"no object": func(w http.ResponseWriter, _ *http.Request) { reply(w, `[1]`) },
		"503":       func(w http.ResponseWriter, _ *http.Request) { faultStatus(w, 503, "SystemError", "later") },
	} {
		f := newFake()
		f.on("POST hello", h)
		_, err := New(t.Context(), Config{URL: "http://vc.example", Transport: inProcess{f}, ReadTries: -1})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNoReleaseIsNegotiatedIfOneIsConfigured(t *testing.T) {
	f := newFake()
	c := start(t, f, func(cfg *Config) { cfg.Release = "8.0.3.0" })
	if n := f.count("POST hello"); n != 0 || c.Release() != "8.0.3.0" {
		t.Errorf("%d hellos, release %s", n, c.Release())
	}
}

func startTLS(t *testing.T, h http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the tests refuse handshakes on purpose
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func TestTheServersCertificateIsCheckedAsConfigured(t *testing.T) {
	srv := startTLS(t, newFake())
	leaf := srv.Certificate()
	sum := sha256.Sum256(leaf.Raw)
	pin, wrong := hex.EncodeToString(sum[:]), strings.Repeat("00", 32)
	colons := strings.ToUpper(pin[:2])
	for i := 2; i < len(pin); i += 2 {
		colons += ":" + strings.ToUpper(pin[i:i+2])
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	for name, tc := range map[string]struct {
		tls TLS
		ok  bool
	}{
		"system":            {TLS{}, false},
		"CA":                {TLS{CA: ca}, true},
		"pool":              {TLS{Pool: pool}, true},
		"other CA":          {TLS{Pool: x509.NewCertPool()}, false},
		"insecure":          {TLS{Insecure: true}, true},
		"pin":               {TLS{Thumbprint: pin}, true},
		"pin with colons":   {TLS{Thumbprint: colons}, true},
		"wrong pin":         {TLS{Thumbprint: wrong}, false},
		"insecure, wrong":   {TLS{Thumbprint: wrong, Insecure: true}, false},
		"CA, pin":           {TLS{CA: ca, Thumbprint: pin}, true},
		"CA, wrong pin":     {TLS{CA: ca, Thumbprint: wrong}, false},
		"other CA, pin":     {TLS{Pool: x509.NewCertPool(), Thumbprint: pin}, false},
		"CA, other name":    {TLS{CA: ca, ServerName: "other.test"}, false},
		"CA, expected name": {TLS{CA: ca, ServerName: "example.com"}, true},
	} {
		c, err := New(t.Context(), Config{URL: srv.URL, TLS: tc.tls})
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(name, "wrong") && !errors.Is(err, ErrThumbprint) {
			t.Errorf("%s: %v is not ErrThumbprint", name, err)
		}
		if c != nil {
			c.Close()
		}
	}
}

func TestTheClientCertificateIsPresented(t *testing.T) {
	f := newFake()
	var shown []byte
	srv := startTLS(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			shown = r.TLS.PeerCertificates[0].Raw
		}
		f.ServeHTTP(w, r)
	}))
	cert := srv.TLS.Certificates[0]
	c, err := New(t.Context(), Config{URL: srv.URL, TLS: TLS{Insecure: true, Certificate: &cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.LoginExtensionByCertificate(t.Context(), "ext", ""); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shown, cert.Certificate[0]) {
		t.Error("another certificate, or none, was presented")
	}
}

func TestTheUserAgentIsTheOneConfigured(t *testing.T) {
	f := newFake()
	c := start(t, f, func(cfg *Config) { cfg.UserAgent = "backup/1.2" })
	login(t, c)
	if got := f.last(t, "POST SessionManager.Login").header.Get("User-Agent"); got != "backup/1.2" {
		t.Errorf("User-Agent %q", got)
	}
}

func TestAClosedClientRefusesCalls(t *testing.T) {
	c := start(t, newFake(), withLogin)
	c.Close()
	c.Close()
	if _, err := c.Message(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("a call: %v", err)
	}
	if err := c.Logout(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("Logout: %v", err)
	}
}
