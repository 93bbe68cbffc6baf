package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/trust/trusttest"
)

// scrape sends a request to the admin listener over TLS. It returns the status and the body.
func (r *running) scrape(path, authorization string, certs ...tls.Certificate) (int, string) {
	r.t.Helper()
	_, port, err := net.SplitHostPort(r.Addr("admin").String())
	if err != nil {
		r.t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://127.0.0.1:"+port+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestTheAdminListenerOfOtherAddressesIsForThoseWithAccess(t *testing.T) {
	t.Parallel()
	cert, key := trusttest.New(t, "metrics").Issue("prometheus", nil)
	own := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	byToken := func(text string) bool { return text == "the-token" }
	byCertificate := func(presented []*x509.Certificate) error {
		if len(presented) == 0 || !presented[0].Equal(cert) {
			return errors.New("unknown")
		}
		return nil
	}
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "vigate_ready 1") })
	for name, c := range map[string]struct {
		access               AdminAccess
		nothing, token, cert int // the status with no token and certificate, with one of them
	}{
		"a token":       {AdminAccess{Token: byToken}, 401, 200, 401},
		"a certificate": {AdminAccess{Certificate: byCertificate}, 403, 403, 200},
		"both":          {AdminAccess{Certificate: byCertificate, Token: byToken}, 403, 403, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, Config{
				Handler: tellPeer, Listen: "127.0.0.1:0", Admin: "0.0.0.0:0", AdminAccess: &c.access, Metrics: metrics,
			})
			for _, try := range []struct {
				what, authorization string
				certs               []tls.Certificate
				want                int
			}{
				{"nothing", "", nil, c.nothing},
				{"another token", "Bearer the-tokens", nil, c.nothing},
				{"a token without a scheme", "the-token", nil, c.nothing},
				{"the token", "bearer the-token", nil, c.token},
				{"the certificate", "", []tls.Certificate{own}, c.cert},
				{"both", "Bearer the-token", []tls.Certificate{own}, 200},
			} {
				status, body := r.scrape("/metrics", try.authorization, try.certs...)
				if status != try.want || (status == 200) != strings.Contains(body, "vigate_ready") {
					t.Errorf("with %s: %d %s, want %d", try.what, status, body, try.want)
				}
			}
			// Profiles are for clients on the machine, and health checks for everybody.
			if status, body := r.scrape("/debug/pprof/", "Bearer the-token", own); status != 404 {
				t.Errorf("profiles: %d %s", status, body)
			}
			if status, _ := r.scrape("/healthz", ""); status != 200 {
				t.Errorf("health: %d", status)
			}
			if log := r.logs.String(); strings.Contains(log, "the-token") ||
				!strings.Contains(log, "request to the admin listener refused") {
				t.Errorf("logged: %s", log)
			}
		})
	}
}

func TestTheAdminListenerWithAccessServesProfilesOnLoopback(t *testing.T) {
	t.Parallel()
	r := start(t, Config{
		Handler: tellPeer, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0",
		AdminAccess: &AdminAccess{Token: func(text string) bool { return text == "the-token" }},
	})
	if status, body := r.scrape("/debug/pprof/", "Bearer the-token"); status != 200 || !strings.Contains(body, "heap") {
		t.Errorf("with the token: %d %s", status, body)
	}
	if status, _ := r.scrape("/debug/pprof/", ""); status != 401 {
		t.Errorf("without: %d", status)
	}
}

func TestFewConnectionsToTheAdminListenerAreOpenAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, Config{
		Handler: tellPeer, Listen: "127.0.0.1:0", Admin: "0.0.0.0:0",
		AdminAccess: &AdminAccess{Token: func(string) bool { return false }},
	})
	port := r.Addr("admin").(*net.TCPAddr).Port
	closed := make(chan error, adminAddressConnections+1)
	for range adminAddressConnections + 1 {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			_, err := c.Read(make([]byte, 1))
			closed <- err
		}()
	}
	// The server waits for the others to begin. It closes the one that is too many.
	if err := <-closed; err == nil {
		t.Error("the server has sent something")
	}
}

func TestAnAdminListenerThatEverybodyCouldUseIsRefused(t *testing.T) {
	t.Parallel()
	cert, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"no access":        {Admin: "0.0.0.0:0", Certificate: cert},
		"an empty access":  {Admin: "0.0.0.0:0", Certificate: cert, AdminAccess: &AdminAccess{}},
		"no certificate":   {Admin: "0.0.0.0:0", AdminAccess: &AdminAccess{Token: func(string) bool { return true }}},
		"access, no admin": {AdminAccess: &AdminAccess{}, Certificate: cert},
	} {
		cfg.Handler, cfg.PlainHTTP = tellPeer, "127.0.0.1:0"
		if s, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: the server opens", name)
			_ = s.Close()
		}
	}
}
