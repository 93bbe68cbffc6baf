package sts

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

var annInfo = url.UserPassword("ann@vsphere.local", password)

func TestAUserGetsABearerTokenByPassword(t *testing.T) {
	s := newSite(t)
	signer, err := s.client().Issue(t.Context(), sts.TokenRequest{Userinfo: annInfo, Lifetime: time.Hour,
		Renewable:   true,
		Delegatable: true})
	s.must(err)
	a := s.read(signer.Token)
	if a.Subject != ann || !a.Bearer() || a.Solution || a.GivenName != "Ann" || a.Surname != "Example" || a.Renewable ||
		a.Delegations != delegations || a.Context != saml.ContextPassword ||
		a.NotOnOrAfter.Sub(a.Issued) != DefaultBearerMax {
		t.Errorf("%+v", a)
	}
	if got := signer.Lifetime.Expires; !got.Equal(a.NotOnOrAfter) {
		t.Errorf("the answer says %v, the token %v", got, a.NotOnOrAfter)
	}
	issuer := "https://" + s.Settings.Instance() + "/websso/SAML2/Metadata/vsphere.local"
	if a.Issuer != issuer {
		t.Errorf("the issuer is %s, want %s", a.Issuer, issuer)
	}
	if log := s.log.String(); strings.Contains(log, password) || strings.Contains(log, "saml2:") ||
		!strings.Contains(log, "token issued") {
		t.Errorf("the log has a secret, or does not say that there is a token:\n%s", log)
	}
}

func TestAUserGetsAHolderOfKeyTokenByPassword(t *testing.T) {
	s := newSite(t)
	key := xmlsigtest.NewKey(t, "own key of ann")
	_, a := s.issue(sts.TokenRequest{Userinfo: annInfo, Certificate: pair(key), Lifetime: 24 * time.Hour,
		Renewable: true})
	if a.Subject != ann || a.Bearer() || !a.Key.Equal(key.Cert) || a.Context != saml.ContextPassword ||
		!a.Holder.IsZero() || a.Delegations != 0 || a.Renewals != renewals ||
		a.NotOnOrAfter.Sub(a.Issued) != 24*time.Hour {
		t.Errorf("%+v", a)
	}
}

func TestAnExtensionGetsATokenByItsCertificate(t *testing.T) {
	s := newSite(t)
	_, a := s.issue(sts.TokenRequest{Certificate: pair(s.extension), Lifetime: 1000 * time.Hour})
	if a.Subject != (principal.Name{Domain: "VSPHERE.LOCAL", User: solution}) || !a.Solution ||
		a.Context != saml.ContextCertificate || a.Renewable || a.NotOnOrAfter.Sub(a.Issued) != DefaultKeyMax {
		t.Errorf("%+v", a)
	}
}

// govmomi signs over its own idea of the token's canonical form. So each form of our tokens must be renewed
// and delegated by its client.
func TestGovmomiRenewsAndDelegatesEveryFormOfToken(t *testing.T) {
	s := newSite(t)
	forms := map[string]func(*saml.Assertion){
		"plain": func(*saml.Assertion) {},
		"groups": func(a *saml.Assertion) {
			a.Groups = []principal.Name{{Domain: "VSPHERE.LOCAL", User: "Users"}, {Domain: "X", User: `a&b<c>'d" e`}}
		},
		"names": func(a *saml.Assertion) { a.GivenName, a.Surname = `Ann & <"'>`, "Ünïcode" },
		"delegated": func(a *saml.Assertion) {
			a.Holder = principal.Name{Domain: "VSPHERE.LOCAL", User: solution}
			a.Delegates = []saml.Delegate{{Name: ann, At: a.Issued}, {Name: a.Holder, At: a.Issued}}
		},
		"solution": func(a *saml.Assertion) { a.Subject.User, a.Solution = solution, true },
	}
	for name, edit := range forms {
		token := s.token(edit)
		old := s.read(token)
		_, a := s.renew(sts.TokenRequest{Certificate: pair(s.extension), Token: token, Lifetime: 20 * time.Hour})
		if a.Subject != old.Subject || !a.Key.Equal(old.Key) || a.Renewals != old.Renewals-1 ||
			a.Holder != old.Holder ||
			len(a.Delegates) != len(old.Delegates) || a.ID == old.ID || a.NotOnOrAfter.Sub(a.Issued) != 20*time.Hour ||
			a.Delegations != old.Delegations || a.Solution != old.Solution {
			t.Errorf("%s, renewed: %+v, was %+v", name, a, old)
		}
		for what, token := range map[string]string{
			"holder of key": token,
			"bearer": s.token(func(a *saml.Assertion) {
				edit(a)
				a.Holder, a.Key, a.Renewable = principal.Name{}, nil, false
				a.NotOnOrAfter = a.Issued.Add(DefaultBearerMax)
			}),
		} {
			old := s.read(token)
			_, a := s.issue(sts.TokenRequest{
				Certificate: pair(s.extension), ActAs: true, Token: token, Lifetime: 24 * time.Hour, Renewable: true,
				Delegatable: true,
			})
			if a.Subject != old.Subject || a.Holder.User != solution || !a.Key.Equal(s.extension.Cert) ||
				a.Delegations != old.Delegations-1 || len(a.Delegates) != len(old.Delegates)+1 ||
				a.Renewable != (old.Renewable || old.Bearer()) ||
				!a.NotOnOrAfter.Equal(old.NotOnOrAfter) || a.Solution != old.Solution {
				t.Errorf("%s, by ActAs of %s: %+v, was %+v", name, what, a, old)
			}
		}
	}
}

func TestAnEventTellsWhoHasGotATokenForWhom(t *testing.T) {
	s := newSite(t)
	key := xmlsigtest.NewKey(t, "own key of ann")
	bearer, _ := s.issue(sts.TokenRequest{Userinfo: annInfo, Delegatable: true})
	held, _ := s.issue(sts.TokenRequest{
		Userinfo: annInfo, Certificate: pair(key), Lifetime: time.Hour, Renewable: true,
	})
	acting, _ := s.issue(sts.TokenRequest{Certificate: pair(s.extension), ActAs: true, Token: bearer, Renewable: true})
	s.renew(sts.TokenRequest{Certificate: pair(s.extension), Token: acting})
	want := []string{
		`VSPHERE.LOCAL\ann  VSPHERE.LOCAL\ann bearer`, `VSPHERE.LOCAL\ann  VSPHERE.LOCAL\ann holder of key`,
		solution + `  VSPHERE.LOCAL\ann holder of key`,
		`VSPHERE.LOCAL\ann ` + solution + ` VSPHERE.LOCAL\ann holder of key`,
	}
	posted := s.Events.Query(event.Filter{IDs: []string{"vigate.token.issued"}, MaxCount: 10})
	if len(posted) != len(want) {
		t.Fatalf("%d events: %+v", len(posted), posted)
	}
	for i, e := range posted {
		got := e.User + " " + e.Origin + " " + e.Subject + " " + e.Args["kind"]
		ends, err := time.Parse(time.RFC3339, e.Args["ends"])
		if got != want[i] || err != nil || !ends.After(s.clock.Now()) || e.Address != "192.0.2.1" ||
			!strings.HasPrefix(e.Args["token"], "_") {
			t.Errorf("event %d is %q, want %q: %+v", i, got, want[i], e)
		}
		if text := fmt.Sprint(e); strings.Contains(text, password) || strings.Contains(text, "saml2:") {
			t.Errorf("event %d has a secret: %s", i, text)
		}
	}
	// A token that nobody can find out about is not given to anybody.
	s.postErr = store.ErrUnavailable
	_, err := s.client().Renew(t.Context(), sts.TokenRequest{Certificate: pair(key), Token: held})
	if err == nil || !strings.Contains(err.Error(), textUnavailable) {
		t.Errorf("without an event: %v", err)
	}
}

// A request with the token in its header, as the vendor's Java and Python clients send it.
func TestAHolderOfKeyTokenProvesItsOwner(t *testing.T) {
	s := newSite(t)
	token := s.token(func(*saml.Assertion) {})
	owner := pair(s.extension)
	owner.Certificate = nil // govmomi then sends the token
	_, a := s.issue(sts.TokenRequest{Certificate: owner, Token: token, Lifetime: 24 * time.Hour, KeyID: "_0123456789"})
	if a.Subject != ann || !a.Key.Equal(s.extension.Cert) || a.Context != saml.ContextToken ||
		!a.NotOnOrAfter.Equal(s.read(token).NotOnOrAfter) {
		t.Errorf("%+v", a)
	}
	again := sts.TokenRequest{Certificate: owner, Token: token, Renewable: true, KeyID: "_0123456789"}
	if _, a := s.issue(again); !a.Renewable || a.Renewals != s.read(token).Renewals {
		t.Errorf("a token from another one can be renewed %d times", a.Renewals)
	}
	again.Token = s.token(func(a *saml.Assertion) { a.Renewable, a.Renewals = false, 0 })
	if _, a := s.issue(again); a.Renewable {
		t.Error("a token from one that can't be renewed can be")
	}
	bearer := s.token(func(a *saml.Assertion) { a.Key, a.Renewable = nil, false })
	_, err := s.client().Issue(t.Context(), sts.TokenRequest{Certificate: owner, Token: bearer, KeyID: "_0123456789"})
	if err == nil || !strings.Contains(err.Error(), "InvalidSecurityToken") {
		t.Errorf("a bearer token: %v", err)
	}
}

// Whoever gets a token by ActAs may pass it on, but not without end, and no longer than the first token lasts.
func TestAChainOfActAsEnds(t *testing.T) {
	s := newSite(t)
	token, first := s.issue(sts.TokenRequest{Userinfo: annInfo, Delegatable: true})
	for n := 1; ; n++ {
		signer, err := s.client().Issue(t.Context(), sts.TokenRequest{
			Certificate: pair(s.extension), ActAs: true, Token: token, Lifetime: 1000 * time.Hour, Renewable: true,
			Delegatable: true,
		})
		if err != nil {
			if n != delegations+1 || !strings.Contains(err.Error(), "RequestFailed") {
				t.Errorf("delegation %d: %v", n, err)
			}
			return
		}
		token = signer.Token
		a := s.read(token)
		if a.Subject != ann || a.Delegations != delegations-n || len(a.Delegates) != n ||
			a.NotOnOrAfter.After(first.NotOnOrAfter) || a.Renewals > renewals {
			t.Fatalf("delegation %d: %+v", n, a)
		}
	}
}

func TestATokenIsRenewedAFewTimesAndNeverForLonger(t *testing.T) {
	s := newSite(t)
	token, _ := s.issue(sts.TokenRequest{Certificate: pair(s.extension), Renewable: true, Lifetime: time.Hour})
	for n := 1; ; n++ {
		signer, err := s.client().Renew(t.Context(), sts.TokenRequest{
			Certificate: pair(s.extension), Token: token, Lifetime: 10_000 * time.Hour,
		})
		if err != nil {
			if n != renewals+1 || !strings.Contains(err.Error(), "UnableToRenew") {
				t.Errorf("renewal %d: %v", n, err)
			}
			return
		}
		token = signer.Token
		a := s.read(token)
		if a.Renewals != renewals-n || a.Delegations != 0 || a.NotOnOrAfter.Sub(a.Issued) != DefaultKeyMax {
			t.Fatalf("renewal %d: %+v", n, a)
		}
	}
}

// A token that was got by another one, in whatever way, can be delegated and renewed no more often than that.
func TestATokenFromAnotherOneCanDoNoMore(t *testing.T) {
	s := newSite(t)
	owner := pair(s.extension)
	owner.Certificate = nil // govmomi then sends the token
	all := sts.TokenRequest{
		Certificate: owner, KeyID: "_0123456789", Lifetime: time.Hour, Renewable: true, Delegatable: true,
	}
	for _, left := range []int{0, 1, 2} {
		request := all
		request.Token = s.token(func(a *saml.Assertion) { a.Delegations, a.Renewals = left, left })
		token, a := s.issue(request)
		if a.Delegations != left || a.Renewals != left {
			t.Errorf("from a token with %d: %+v", left, a)
		}
		_, err := s.client().Issue(t.Context(), sts.TokenRequest{
			Certificate: pair(s.extension), ActAs: true, Token: token, Delegatable: true,
		})
		if (err == nil) != (left > 0) {
			t.Errorf("ActAs with a token that was got by one with %d delegations: %v", left, err)
		}
	}
}

func TestGovmomiIsToldWhyItGetsNoToken(t *testing.T) {
	s := newSite(t)
	other := pair(xmlsigtest.NewKey(t, "unknown"))
	token := s.token(func(*saml.Assertion) {})
	changed := strings.Replace(token, "ann@", "Administrator@", 1)
	issue, renew := s.client().Issue, s.client().Renew
	for what, c := range map[string]struct {
		ask  func(context.Context, sts.TokenRequest) (*sts.Signer, error)
		r    sts.TokenRequest
		want string
	}{
		"wrong password": {issue, sts.TokenRequest{Userinfo: url.UserPassword("ann", "wrong")},
			":FailedAuthentication: " +
				textCredentials},
		"unknown user": {issue, sts.TokenRequest{Userinfo: url.UserPassword("bob", "x")},
			":FailedAuthentication"},
		"unknown certificate": {issue, sts.TokenRequest{Certificate: other}, ":FailedAuthentication"},
		"another's certificate with a password": {issue, sts.TokenRequest{Certificate: pair(s.extension),
			Userinfo: annInfo}, ":FailedAuthentication"},
		"wrong password with a certificate": {issue, sts.TokenRequest{Certificate: other,
			Userinfo: url.UserPassword("ann", "wrong")}, ":FailedAuthentication"},
		"ActAs without the privilege": {issue, sts.TokenRequest{Certificate: other, Userinfo: annInfo, ActAs: true,
			Token: token}, ":RequestFailed"},
		"ActAs of a token that was changed": {issue, sts.TokenRequest{Certificate: pair(s.extension), ActAs: true,
			Token: changed}, ":InvalidSecurityToken"},
		"ActAs of a token that can't be delegated": {issue, sts.TokenRequest{Certificate: pair(s.extension),
			ActAs: true,
			Token: s.token(func(a *saml.Assertion) { a.Delegations = 0 })}, ":RequestFailed"},
		"renewal with another key": {renew, sts.TokenRequest{Certificate: other, Token: token}, ":UnableToRenew"},
		"renewal of a bearer token": {renew, sts.TokenRequest{Certificate: pair(s.extension),
			Token: s.token(func(a *saml.Assertion) { a.Key, a.Renewable = nil, false })}, ":UnableToRenew"},
		"renewal of a token that isn't renewable": {renew, sts.TokenRequest{Certificate: pair(s.extension),
			Token: s.token(func(a *saml.Assertion) { a.Renewable = false })}, ":UnableToRenew"},
		"one renewal too many": {renew, sts.TokenRequest{Certificate: pair(s.extension),
			Token: s.token(func(a *saml.Assertion) { a.Renewals = 0 })}, ":UnableToRenew"},
		"renewal of a token that was changed": {renew, sts.TokenRequest{Certificate: pair(s.extension), Token: changed},
			":InvalidSecurityToken"},
		"renewal of an expired token": {renew, sts.TokenRequest{Certificate: pair(s.extension),
			Token: s.token(func(a *saml.Assertion) { a.NotOnOrAfter = a.Issued.Add(-time.Hour) })},
			":InvalidSecurityToken"},
	} {
		s.from(peerOf(what))
		if _, err := c.ask(t.Context(), c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, err, c.want)
		}
	}
}

// xmlsec1 is an independent judge of signatures. scripts/setup installs it.
func TestXmlsec1AcceptsTheTokens(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.der")
	s.must(os.WriteFile(cert, s.service.o.Keys.Certificates()[0].Raw, 0o600))
	bearer, _ := s.issue(sts.TokenRequest{Userinfo: annInfo})
	key, _ := s.issue(sts.TokenRequest{Certificate: pair(s.extension), Renewable: true})
	actAs, _ := s.issue(sts.TokenRequest{Certificate: pair(s.extension), ActAs: true,
		Token: s.token(func(*saml.Assertion) {})})
	for what, token := range map[string]string{"bearer": bearer, "holder of key": key, "by ActAs": actAs} {
		file := filepath.Join(dir, "token.xml")
		verify := func(token string) ([]byte, error) {
			s.must(os.WriteFile(file, []byte(token), 0o600))
			return exec.CommandContext(t.Context(), "xmlsec1", "--verify", "--id-attr:ID", nsSAML+":Assertion",
				"--pubkey-cert-der", cert, "--enabled-key-data", "rsa,x509", file).CombinedOutput()
		}
		if out, err := verify(token); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		if _, err := verify(strings.Replace(token, "VSPHERE.LOCAL", "VSPHERE.OTHER", 1)); err == nil {
			t.Errorf("%s: a changed token is accepted", what)
		}
	}
}
