package saml_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"

	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

var request = saml.Request{Method: http.MethodPost, Target: "/api/session?x=1", Host: "VC.example:8443",
	Body: []byte("{}")}

func (f *fixture) proved(t testing.TB, edit func(*saml.Request)) *saml.Sign {
	t.Helper()
	r := request
	if edit != nil {
		edit(&r)
	}
	s, err := saml.ParseSign(samltest.Proved(t, "<a/>", f.client.PrivateKey, f.now, r, "vc.example", "8443"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAHeaderIsReadWithAndWithoutQuotes(t *testing.T) {
	token := samltest.Compressed("<a/>")
	for _, header := range []string{
		`SIGN token="` + token + `"`, `sign  token=` + token, `SIGN token = "x"`[:4] + ` token="` + token + `" `,
		`SIGN token=` + token + `, nonce="1:2"`, `SIGN nonce=1:2 , token=` + token, `SIGN	token=` + token,
		`SIGN TOKEN=` + token,
	} {
		if strings.HasPrefix(header, "SIGN\t") {
			continue // a scheme ends with a space
		}
		s, err := saml.ParseSign(header)
		if err != nil || string(s.Token.Reveal()) != "<a/>" || s.Proved() {
			t.Errorf("%s: %v", header, err)
		}
	}
	if !saml.IsSign("sign x") || saml.IsSign("Bearer x") || saml.IsSign("") || saml.IsSign("SIGNED x") {
		t.Error("the scheme is told wrongly")
	}
}

func TestAHeaderOfAnotherFormIsRefused(t *testing.T) {
	token := samltest.Compressed("<a/>")
	two := bytes.Repeat(unpack(t, token), 2)
	for what, header := range map[string]string{
		"scheme": "Bearer token=" + token, "nothing": "SIGN", "empty": "SIGN ", "no name": "SIGN =" + token,
		"no value":   "SIGN token",
		"open quote": `SIGN token="` + token, "backslash": `SIGN token="` + token + `", nonce="\""`,
		"no comma": `SIGN token="` + token + `" nonce="1:2"`,
		"repeated": `SIGN token="` + token + `", token="` + token + `"`, "repeated in another case": "SIGN token=" +
			token + ", Token=" + token,
		"too many": "SIGN token=" + token + strings.Repeat(", a=b", 40), "no token": `SIGN nonce="1:2"`,
		"not base64":     "SIGN token=????",
		"not compressed": "SIGN token=" + base64.StdEncoding.EncodeToString([]byte("<a/>")), "cut": "SIGN token=" +
			token[:24],
		"two streams": "SIGN token=" + base64.StdEncoding.EncodeToString(two), "signature": `SIGN token=` + token +
			`, signature="?"`,
		"body hash": "SIGN token=" + token + ", bodyhash=?", "a comma at the end": "SIGN token=" + token + ",",
		"a bomb": "SIGN token=" + samltest.Compressed(strings.Repeat("x", 64<<20)), "too large": "SIGN token=" +
			samltest.Compressed(strings.Repeat("x", xmlsig.MaxBytes+1)),
	} {
		if _, err := saml.ParseSign(header); !errors.Is(err, saml.ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func unpack(t *testing.T, token string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The output of a bomb must not be kept in memory.
func TestABombIsNotInflated(t *testing.T) {
	header := "SIGN token=" + samltest.Compressed(strings.Repeat("x", 64<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := saml.ParseSign(header)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 4<<20 {
		t.Errorf("%v, %d bytes", err, took)
	}
}

func TestAProofIsForOneRequestAndOneKey(t *testing.T) {
	f := newFixture(t)
	s := f.proved(t, nil)
	p, err := s.Verify(f.client.Public(), request, now, skew)
	if err != nil || p.End != now.Add(time.Minute) {
		t.Fatalf("%v: %v", p.End, err)
	}
	if again, err := s.Verify(f.client.Public(), request, now.Add(time.Second), skew); err != nil || again.ID != p.ID {
		t.Errorf("the same proof is another: %v", err)
	}
	if q, err := f.proved(t, nil).Verify(f.client.Public(), request, now, skew); err != nil || q.ID == p.ID {
		t.Errorf("another proof is the same: %v", err)
	}
	for what, edit := range map[string]func(*saml.Request){
		"method": func(r *saml.Request) { r.Method = "PUT" }, "path": func(r *saml.Request) { r.Target = "/rest/x" },
		"host":    func(r *saml.Request) { r.Host = "other:8443" },
		"port":    func(r *saml.Request) { r.Host = "vc.example:8444" },
		"no port": func(r *saml.Request) { r.Host = "vc.example" },
		"body":    func(r *saml.Request) { r.Body = []byte("{ }") },
	} {
		r := request
		edit(&r)
		if _, err := s.Verify(f.client.Public(), r, now, skew); !errors.Is(err, saml.ErrProof) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	other := xmlsigtest.NewKey(t, "other")
	for what, key := range map[string]any{"another key": other.Public(), "no key": nil} {
		if _, err := s.Verify(key, request, now, skew); !errors.Is(err, saml.ErrProof) {
			t.Errorf("%s: %v", what, err)
		}
	}
	bearer, err := saml.ParseSign(samltest.Header("<a/>"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bearer.Verify(f.client.Public(), request, now, skew); !errors.Is(err, saml.ErrProof) {
		t.Errorf("no proof: %v", err)
	}
}

func TestAProofIsFresh(t *testing.T) {
	f := newFixture(t)
	s := f.proved(t, nil)
	for _, c := range []struct {
		at   time.Duration
		good bool
	}{{-skew - time.Second, false}, {-skew, true}, {2*time.Minute - time.Second, true}, {2 * time.Minute, false}} {
		if _, err := s.Verify(f.client.Public(), request, now.Add(c.at), skew); (err == nil) != c.good ||
			err != nil && !errors.Is(err, saml.ErrTime) {
			t.Errorf("after %v: %v", c.at, err)
		}
	}
}

func TestAProofWithAnotherParameterIsRefused(t *testing.T) {
	f := newFixture(t)
	header := samltest.Proved(t, "<a/>", f.client.PrivateKey, now, request, "vc.example", "8443")
	for what, change := range map[string][2]string{
		"SHA-1": {"RSA-SHA256", "RSA-SHA1"}, "HMAC": {"RSA-SHA256", "HMAC-SHA256"}, "ECDSA": {"RSA-SHA256",
			"ECDSA-SHA256"},
		"none": {"RSA-SHA256", ""}, "another hash": {"RSA-SHA256", "RSA-SHA512"}, "nonce without a time": {`nonce="`,
			`nonce="x`},
		"another time": {`nonce="`, `nonce="-`}, "another nonce": {`nonce="` + "1", `nonce="2`},
		"body hash": {`bodyhash="`, `bodyhash="AAAA`},
	} {
		changed := strings.Replace(header, change[0], change[1], 1)
		s, err := saml.ParseSign(changed)
		if err == nil {
			_, err = s.Verify(f.client.Public(), request, now, skew)
		}
		if err == nil || changed == header {
			t.Errorf("%s: accepted", what)
		}
	}
}

// Without a port in the Host header, clients sign port 80, also with TLS.
func TestGovmomisProofIsAccepted(t *testing.T) {
	f := newFixture(t)
	for _, at := range []string{"https://VC.example/rest/com/vmware/cis/session",
		"https://vc.example:8443/api/session?x=1", "http://[::1]:8989/api/session", "https://192.0.2.1/api/session"} {
		for _, body := range []string{"", `{"a":1}`} {
			r, err := http.NewRequest(http.MethodPost, at, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			signer := sts.Signer{Token: "<a/>", Certificate: &tls.Certificate{PrivateKey: f.client.PrivateKey}}
			if err := signer.SignRequest(r); err != nil {
				t.Fatal(err)
			}
			s, err := saml.ParseSign(r.Header.Get("Authorization"))
			if err != nil {
				t.Fatal(err)
			}
			sent := saml.Request{Method: r.Method, Target: r.URL.RequestURI(), Host: r.URL.Host, Body: []byte(body)}
			if _, err := s.Verify(f.client.Public(), sent, time.Now(), skew); err != nil {
				t.Errorf("%s: %v", at, err)
			}
		}
	}
}

func FuzzAHeaderIsReadOrRefused(f *testing.F) {
	x := newFixture(f)
	f.Add(samltest.Header("<a/>"))
	f.Add("SIGN token=" + samltest.Compressed("<a/>"))
	f.Add(samltest.Proved(f, "<a/>", x.client.PrivateKey, now, request, "vc.example", "8443"))
	f.Fuzz(func(t *testing.T, header string) {
		s, err := saml.ParseSign(header)
		if err != nil {
			if !errors.Is(err, saml.ErrForm) {
				t.Errorf("%q: %v", header, err)
			}
			return
		}
		if len(s.Token.Reveal()) > xmlsig.MaxBytes {
			t.Errorf("%d bytes", len(s.Token.Reveal()))
		}
		// The fuzzer does not have the key, so it can't make a proof for another request.
		other := request
		other.Target = "/other"
		if _, err := s.Verify(x.client.Public(), other, now, skew); err == nil {
			t.Errorf("%q is a proof", header)
		}
	})
}
