package vim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
)

// exchange is a way in by SSPI and by tokens: two legs, of which the second says
// who it is.
type exchange struct{}

func (exchange) Name() string { return "exchange" }

func (exchange) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	said := ""
	switch c := a.Credential.(type) {
	case login.SSPI:
		said = string(c.Token)
	case login.Assertion:
		said = c.Authorization
	default:
		return session.Grant{}, login.ErrNotMine
	}
	switch said {
	case "first":
		return session.Grant{}, &login.Continue{Token: []byte("go on")}
	case "bad":
		return session.Grant{}, login.ErrRejected
	}
	n, err := principal.Parse(said, "VSPHERE.LOCAL")
	return session.Grant{Identity: session.Identity{Name: n}}, err
}

func TestSSPIIsNotSupportedWhereItIsNotConfigured(t *testing.T) {
	f := newFixture(t)
	fails[types.NotSupported](f, f.as("", sessions, "LoginBySSPI", &types.LoginBySSPIRequestType{Base64Token: "AAAA"}))
	fails[types.InvalidLogin](f, f.as("", sessions, "LoginByToken", &types.LoginByTokenRequestType{}))
	fails[types.InvalidLocale](f, f.as("", sessions, "LoginByToken", &types.LoginByTokenRequestType{Locale: "xx_YY"}))
	fails[types.NotSupported](f, f.as("", sessions, "LoginExtension", &LoginExtensionRequestType{ExtensionKey: "x"}))
}

func TestSSPIGoesOnUntilItKnowsWhoItIs(t *testing.T) {
	f := newFixture(t, func(d *Domain) { d.Gate.Methods = append(d.Gate.Methods, exchange{}) })
	leg := func(said, locale string) (Result, answer) {
		r, fault := f.do("", f.ref(sessions), "LoginBySSPI", &types.LoginBySSPIRequestType{Base64Token: base64.StdEncoding.EncodeToString([]byte(said)), Locale: locale})
		return r, answer{r.Value, fault}
	}
	_, a := leg("first", "")
	if got := fails[types.SSPIChallenge](f, a); got.Base64Token != base64.StdEncoding.EncodeToString([]byte("go on")) {
		t.Errorf("challenge %q", got.Base64Token)
	}
	_, a = leg("bad", "")
	fails[types.InvalidLogin](f, a)
	_, a = leg("nobody", "")
	fails[types.NoPermission](f, a)
	_, a = leg("ann", "english")
	fails[types.InvalidLocale](f, a)
	r, a := leg("ann", "it")
	if s := get[types.UserSession](f, a); s.UserName != `VSPHERE.LOCAL\ann` || s.Locale != "it" || !f.alive(r.Token.Reveal()) {
		t.Errorf("session %+v", s)
	}
	if a := f.as("", sessions, "LoginBySSPI", &types.LoginBySSPIRequestType{Base64Token: "***"}); a.fault == nil || a.fault.Kind() != "InvalidArgument" {
		t.Errorf("not base64: %v", a.fault)
	}
}

func TestATokenIsTakenFromBesideTheArguments(t *testing.T) {
	f := newFixture(t, func(d *Domain) { d.Gate.Methods = append(d.Gate.Methods, exchange{}) })
	by := func(said string) (Result, *Fault) {
		f.last = &Call{Object: f.ref(sessions), Name: "LoginByToken", Args: &types.LoginByTokenRequestType{}, Peer: f.peer, Proof: Proof{Authorization: said}}
		return f.Do(t.Context(), f.last)
	}
	if r, fault := by("ann"); fault != nil || !f.alive(r.Token.Reveal()) {
		t.Errorf("fault %v", fault)
	}
	_, fault := by("nobody")
	fails[types.NoPermission](f, answer{nil, fault})
	_, fault = by("bad")
	fails[types.InvalidLogin](f, answer{nil, fault})
}

// signed makes an authority and a client's certificate of it.
func signed(t *testing.T, now time.Time, subject pkix.Name) (*x509.CertPool, *x509.Certificate) {
	t.Helper()
	make := func(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rootKey := key()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root = make(root, root, rootKey, rootKey)
	leaf := make(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, root, key(), rootKey)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool, leaf
}

func TestAnExtensionLogsInBySubjectName(t *testing.T) {
	subject := pkix.Name{CommonName: "com.acme", Organization: []string{"ACME"}}
	roots, leaf := signed(t, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), subject)
	f := newFixture(t, func(d *Domain) {
		for i, m := range d.Gate.Methods {
			if s, is := m.(login.BySubject); is {
				s.Trust = extension.Trust{Roots: roots}
				d.Gate.Methods[i] = s
			}
		}
	})
	by := func(key, locale string) answer {
		return f.as("", sessions, "LoginExtensionBySubjectName", &types.LoginExtensionBySubjectNameRequestType{ExtensionKey: key, Locale: locale})
	}
	ok(f, f.register(anExtension("com.acme")))
	nameless := anExtension("nameless")
	nameless.SubjectName, nameless.PrivilegeList = "", nil
	ok(f, f.register(nameless))
	fails[types.NoClientCertificate](f, by("com.acme", ""))
	f.peer.Certificates = []*x509.Certificate{certificate(t, "com.acme")}
	fails[types.InvalidClientCertificate](f, by("com.acme", ""))
	f.peer.Certificates = []*x509.Certificate{leaf}
	fails[types.InvalidLocale](f, by("com.acme", "x"))
	fails[types.InvalidLogin](f, by("no.such", ""))
	fails[types.NoSubjectName](f, by("nameless", ""))
	if s := get[types.UserSession](f, by("com.acme", "de")); s.UserName != "com.acme" || !s.ExtensionSession || s.Locale != "de" {
		t.Errorf("session %+v", s)
	}
	certified := func(locale string) answer {
		return f.as("", sessions, "LoginExtensionByCertificate", &types.LoginExtensionByCertificateRequestType{ExtensionKey: "com.acme", Locale: locale})
	}
	fails[types.InvalidLogin](f, certified("")) // none was set
	fails[types.InvalidLocale](f, certified("x"))
	f.peer.Certificates = nil
	fails[types.NoClientCertificate](f, certified(""))
}
