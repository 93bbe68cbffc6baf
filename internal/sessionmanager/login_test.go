package sessionmanager_test

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

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/trust"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// exchange is a login method by SSPI and by tokens. It has two steps; the second names the user.
type exchange struct{}

func (exchange) Name() string { return "exchange" }

func (exchange) Challenge() string { return "Exchange" }

func (exchange) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	said := ""
	switch c := a.Credential.(type) {
	case login.SSPI:
		said = string(c.Token.Reveal())
	case login.Assertion:
		said = c.Authorization.Reveal()
	default:
		return session.Grant{}, login.ErrNotMine
	}
	switch said {
	case "first":
		return session.Grant{}, &login.Continue{Token: secret.NewBytes([]byte("go on"))}
	case "bad":
		return session.Grant{}, login.ErrRejected
	}
	n, err := principal.Parse(said, "VSPHERE.LOCAL")
	return session.Grant{Identity: session.Identity{Name: n}, Scope: session.Scope{Local: true}}, err
}

func TestSSPIIsNotSupportedWhereItIsNotConfigured(t *testing.T) {
	f := newFixture(t)
	vimtest.Fails[types.NotSupported](f.As("", sessions, "LoginBySSPI",
		&types.LoginBySSPIRequestType{Base64Token: "AAAA"}))
	vimtest.Fails[types.InvalidLogin](f.As("", sessions, "LoginByToken", &types.LoginByTokenRequestType{}))
	vimtest.Fails[types.InvalidLocale](f.As("", sessions, "LoginByToken",
		&types.LoginByTokenRequestType{Locale: "xx_YY"}))
	vimtest.Fails[types.NotSupported](f.As("", sessions, "LoginExtension",
		&sessionmanager.LoginExtensionRequestType{ExtensionKey: "x"}))
}

func TestSSPIGoesOnUntilItKnowsWhoItIs(t *testing.T) {
	f := newFixture(t, func(d *vimtest.Parts) { d.Methods = []login.Method{exchange{}} })
	leg := func(said, locale string) (vim.Result, vimtest.Answer) {
		r, fault := f.Send("", f.Ref(sessions), "LoginBySSPI",
			&types.LoginBySSPIRequestType{Base64Token: base64.StdEncoding.EncodeToString([]byte(said)), Locale: locale})
		return r, f.Answer(r.Value, fault)
	}
	_, a := leg("first", "")
	next := base64.StdEncoding.EncodeToString([]byte("go on"))
	if got := vimtest.Fails[types.SSPIChallenge](a); got.Base64Token != next {
		t.Errorf("challenge %q", got.Base64Token)
	}
	_, a = leg("bad", "")
	vimtest.Fails[types.InvalidLogin](a)
	_, a = leg("nobody", "")
	vimtest.Fails[types.NoPermission](a)
	_, a = leg("ann", "english")
	vimtest.Fails[types.InvalidLocale](a)
	r, a := leg("ann", "it")
	if s := vimtest.Get[types.UserSession](a); s.UserName != `VSPHERE.LOCAL\ann` || s.Locale != "it" ||
		!f.Alive(r.Token.Reveal()) {
		t.Errorf("session %+v", s)
	}
	if a := f.As("", sessions, "LoginBySSPI", &types.LoginBySSPIRequestType{Base64Token: "***"}); a.Fault == nil ||
		a.Fault.Kind() != "InvalidArgument" {
		t.Errorf("not base64: %v", a.Fault)
	}
}

func TestATokenIsTakenFromBesideTheArguments(t *testing.T) {
	f := newFixture(t, func(d *vimtest.Parts) { d.Methods = []login.Method{exchange{}} })
	by := func(said string) (vim.Result, *vim.Fault) {
		f.Last = &vim.Call{Object: f.Ref(sessions), Name: "LoginByToken", Args: &types.LoginByTokenRequestType{},
			Peer: &f.Peer, Proof: vim.Proof{Authorization: secret.New(said)}}
		return f.Do(t.Context(), f.Last)
	}
	if r, fault := by("ann"); fault != nil || !f.Alive(r.Token.Reveal()) {
		t.Errorf("fault %v", fault)
	}
	_, fault := by("nobody")
	vimtest.Fails[types.NoPermission](f.Answer(nil, fault))
	_, fault = by("bad")
	vimtest.Fails[types.InvalidLogin](f.Answer(nil, fault))
}

// signed makes an authority, and a client certificate that the authority has issued.
func signed(t *testing.T, now time.Time, subject pkix.Name) (trust.Authorities, *x509.Certificate) {
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
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	root = make(root, root, rootKey, rootKey)
	leaf := make(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: subject,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, root, key(), rootKey)
	believed, err := trust.New([]*x509.Certificate{root})
	if err != nil {
		t.Fatal(err)
	}
	return believed, leaf
}

func TestAnExtensionLogsInBySubjectName(t *testing.T) {
	subject := pkix.Name{CommonName: "com.acme", Organization: []string{"ACME"}}
	believed, leaf := signed(t, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), subject)
	f := newFixture(t, func(d *vimtest.Parts) {
		d.Trust = func() trust.Authorities { return believed }
	})
	by := func(key, locale string) vimtest.Answer {
		return f.As("", sessions, "LoginExtensionBySubjectName",
			&types.LoginExtensionBySubjectNameRequestType{ExtensionKey: key, Locale: locale})
	}
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	nameless := vimtest.Extension("nameless")
	nameless.SubjectName, nameless.PrivilegeList = "", nil
	vimtest.OK(f.Register(nameless))
	vimtest.Fails[types.NoClientCertificate](by("com.acme", ""))
	f.Peer.Certificates = []*x509.Certificate{f.Certificate("com.acme")}
	vimtest.Fails[types.InvalidClientCertificate](by("com.acme", ""))
	f.Peer.Certificates = []*x509.Certificate{leaf}
	vimtest.Fails[types.InvalidLocale](by("com.acme", "x"))
	vimtest.Fails[types.InvalidLogin](by("no.such", ""))
	vimtest.Fails[types.NoSubjectName](by("nameless", ""))
	if s := vimtest.Get[types.UserSession](by("com.acme", "de")); s.UserName != "com.acme" || !s.ExtensionSession ||
		s.Locale != "de" {
		t.Errorf("session %+v", s)
	}
	certified := func(locale string) vimtest.Answer {
		return f.As("", sessions, "LoginExtensionByCertificate",
			&types.LoginExtensionByCertificateRequestType{ExtensionKey: "com.acme", Locale: locale})
	}
	vimtest.Fails[types.InvalidLogin](certified("")) // the extension has no certificate yet
	vimtest.Fails[types.InvalidLocale](certified("x"))
	f.Peer.Certificates = nil
	vimtest.Fails[types.NoClientCertificate](certified(""))
}
