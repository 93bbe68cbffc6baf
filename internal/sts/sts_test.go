package sts

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

// peerOf returns a client of its own, so that its failed logins lock nobody else.
func peerOf(name string) peer.Peer {
	h := fnv.New32a()
	_, _ = io.WriteString(h, name)
	return peer.Peer{Address: fmt.Sprintf("10.%d.%d.%d", h.Sum32()>>16&255, h.Sum32()>>8&255, h.Sum32()&255), TLS: true}
}

func TestARequestIsRefused(t *testing.T) {
	s := newSite(t)
	stranger := xmlsigtest.NewKey(t, "unknown")
	good := message{kind: kindIssue, security: user("ann", password)}
	status, answer := s.send(good)
	if status != http.StatusOK || !strings.Contains(answer, "SecurityTokenResponseCollection") {
		t.Fatalf("%d %s", status, answer)
	}
	with := func(edit func(*message)) message { m := good; edit(&m); return m }
	signed := message{kind: kindIssue, security: certificate(s.extension.Cert), key: &s.extension, signed: true}
	if status, body := s.send(signed); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	byExtension := func(kind, body string) message {
		m := signed
		m.kind, m.body = kind, body
		return m
	}
	body := func(text string) message { return with(func(m *message) { m.body = text }) }
	element := func(name, text string) string { return "<wst:" + name + ">" + text + "</wst:" + name + ">" }
	token := s.token(func(*saml.Assertion) {})
	actAs := `<t:ActAs xmlns:t="` + nsTrust14 + `">` + token + `</t:ActAs>`
	forged := samltest.NewIssuer(t, s.service.Issuer(), "vsphere.local")
	lifetime := func(from, to time.Duration) string {
		now := s.clock.Now()
		return `<wst:Lifetime><wsu:Created>` + now.Add(from).Format(timeForm) + `</wsu:Created><wsu:Expires>` +
			now.Add(to).Format(timeForm) + `</wsu:Expires></wst:Lifetime>`
	}
	for what, c := range map[string]struct {
		code string
		m    message
	}{
		"SOAPAction of another kind": {invalidRequest, with(func(m *message) { m.action = nsTrust + "/RST/Renew" })},
		"SOAPAction of nothing":      {invalidRequest, with(func(m *message) { m.action = `""` })},
		"an unknown kind":            {invalidRequest, with(func(m *message) { m.kind = "Cancel" })},
		"no credential":              {invalidSecurity, with(func(m *message) { m.security = "" })},
		"a key without a signature": {invalidSecurity, with(func(m *message) {
			m.security += certificate(stranger.Cert)
		})},
		"holder of key, not signed": {invalidSecurity, body(element("KeyType", nsTrust+"/PublicKey"))},
		"a symmetric key":           {invalidRequest, body(element("KeyType", nsTrust+"/SymmetricKey"))},
		"an unknown element":        {invalidRequest, body(element("OnBehalfOf", ""))},
		"an audience":               {invalidRequest, body(element("AppliesTo", ""))},
		"a foreign element":         {invalidRequest, body(`<x xmlns="urn:x"></x>`)},
		"a repeated element":        {invalidRequest, body(strings.Repeat(element("KeyType", ""), 2))},
		"SAML 1.1": {invalidRequest, body(element("TokenType",
			"urn:oasis:names:tc:SAML:1.0:assertion"))},
		"ActAs not signed": {invalidRequest, body(actAs)},
		"ActAs to a bearer": {invalidRequest, byExtension(kindIssue, actAs+element("KeyType",
			nsTrust+"/Bearer"))},
		"ends before it begins": {invalidTimeRange, body(lifetime(time.Minute, 0))},
		"begins tomorrow":       {invalidTimeRange, body(lifetime(24*time.Hour, 25*time.Hour))},
		"began yesterday":       {invalidTimeRange, body(lifetime(-24*time.Hour, time.Hour))},
		"an old message": {messageExpired, with(func(m *message) {
			m.time = samltest.Timestamp(s.clock.Now().Add(-3 * time.Minute))
		})},
		"a message of tomorrow": {messageExpired, with(func(m *message) {
			m.time = samltest.Timestamp(s.clock.Now().Add(time.Hour))
		})},
		"signed by another key": {failedCheck, message{kind: kindIssue, security: certificate(s.extension.Cert),
			key: &stranger, signed: true}},
		"renewal without a token": {invalidRequest, byExtension(kindRenew, "")},
		"renewal not signed":      {invalidSecurity, message{kind: kindRenew, body: element("RenewTarget", token)}},
		"a forged token": {invalidSecurityToken, byExtension(kindRenew, element("RenewTarget", forged.Token(t,
			forged.HolderOfKey(s.clock.Now(), s.extension.Cert))))},
		"two tokens": {invalidRequest, message{kind: kindValidate, body: element("ValidateTarget",
			token+s.token(func(*saml.Assertion) {}))}},
	} {
		s.from(peerOf(what))
		s.refused(what, c.code, c.m)
	}
	s.from(peer.Peer{Address: "192.0.2.1"})
	s.refused("without TLS", requestFailed, good)
	s.from(peer.Peer{Address: "127.0.0.1", Local: true})
	if status, body := s.send(good); status != http.StatusOK {
		t.Errorf("without TLS on the same machine: %d %s", status, body)
	}
	for what, text := range map[string]string{
		"no XML": "x", "no envelope": "<x/>", "too large": strings.Repeat(" ", 257<<10),
	} {
		if status, answer := s.post("/sts/STSService", nsTrust+"/RST/Issue", text); status != 500 ||
			!wellFormed(answer) {
			t.Errorf("%s: %d %s", what, status, answer)
		}
	}
	if status, _ := s.post("/sts/STSService/other.domain", nsTrust+"/RST/Issue", s.text(good)); status != 500 {
		t.Errorf("another domain: %d", status)
	}
	if w, err := http.Get(s.url.JoinPath("/sts/STSService").String()); err != nil || w.StatusCode != 405 {
		t.Errorf("GET: %v", err)
	}
}

func TestATokenIsValidated(t *testing.T) {
	s := newSite(t)
	token := s.token(func(*saml.Assertion) {})
	validate := func(token string) string {
		_, body := s.send(message{kind: kindValidate, body: "<wst:TokenType>" + nsTrust +
			"/RSTR/Status</wst:TokenType>" +
			"<wst:ValidateTarget>" + token + "</wst:ValidateTarget>"})
		_, status, _ := strings.Cut(body, "/status/")
		status, _, _ = strings.Cut(status, "<")
		return status
	}
	if got := validate(token); got != "valid" {
		t.Errorf("a valid token is %s", got)
	}
	if got := validate(strings.Replace(token, "ann@", "bob@", 1)); got != "invalid" {
		t.Errorf("a changed token is %s", got)
	}
	s.must(s.Accounts.Disable(t.Context(), event.By("test"), ann))
	if got := validate(token); got != "invalid" {
		t.Errorf("the token of a disabled user is %s", got)
	}
}

func TestATokenIsConfirmedOnlyWhileItsSubjectMayLogIn(t *testing.T) {
	s := newSite(t)
	ctx, by := t.Context(), event.By("test")
	users := s.read(s.token(func(*saml.Assertion) {}))
	delegated := s.read(s.token(func(a *saml.Assertion) {
		a.Holder = principal.Name{Domain: ann.Domain,
			User: solution}
	}))
	extensions := s.read(s.token(func(a *saml.Assertion) { a.Subject.User, a.Solution = solution, true }))
	foreign := s.read(s.token(func(a *saml.Assertion) {
		a.Subject = principal.Name{Domain: "OIDC.EXAMPLE", User: "olga"}
		a.Groups = []principal.Name{{Domain: "OIDC.EXAMPLE", User: "Staff"}}
	}))
	unknown := s.read(s.token(func(a *saml.Assertion) { a.Subject.Domain = "GONE.EXAMPLE" }))
	expect := func(what string, a *saml.Assertion, ok bool) {
		t.Helper()
		g, err := s.service.Confirm(ctx, a)
		if (err == nil) != ok || err != nil && !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil && (g.Origin != nil) != !a.Holder.IsZero() {
			t.Errorf("%s: the origin is %v", what, g.Origin)
		}
	}
	expect("a user", users, true)
	expect("a delegated token", delegated, true)
	expect("an extension", extensions, true)
	expect("a user of another directory", foreign, true)
	expect("a user of a directory that is gone", unknown, false)
	if g, err := s.service.Confirm(ctx, foreign); err != nil || len(g.Identity.Groups) != 1 ||
		g.Identity.Groups[0] != `OIDC.EXAMPLE\Staff` {
		t.Errorf("the groups of a user of another directory: %v %+v", err, g.Identity)
	}
	s.must(s.Accounts.Disable(ctx, by, ann))
	expect("a disabled user", users, false)
	s.must(s.Accounts.Enable(ctx, by, ann))
	expect("an enabled user", users, true)
	s.clock.Advance(time.Second)
	s.must(s.Accounts.Update(ctx, by, ann, account.Update{Password: []byte("another long password")}, ""))
	expect("a user with a newer password", users, false)
	s.must(s.Extensions.SetCertificate(ctx, by, solution, xmlsigtest.NewKey(t, "unknown").Cert.Raw, ""))
	expect("an extension with another certificate", extensions, false)
	expect("a token that was delegated to it", delegated, false)
	s.must(s.Extensions.Unregister(ctx, by, solution))
	expect("an extension that is gone", extensions, false)
}

func TestARecordedRequestForABearerTokenIsRefused(t *testing.T) {
	s := newSite(t)
	text := s.text(message{kind: kindIssue, security: certificate(s.extension.Cert), key: &s.extension, signed: true,
		body: "<wst:KeyType>" + nsTrust + "/Bearer</wst:KeyType>"})
	for n, want := range []int{http.StatusOK, http.StatusInternalServerError} {
		if status, body := s.post(Path, `"`+nsTrust+`/RST/Issue"`, text); status != want {
			t.Errorf("use %d: %d %s", n+1, status, body)
		}
	}
}

func TestBadSignaturesCountForTheAddress(t *testing.T) {
	s := newSite(t)
	stranger := xmlsigtest.NewKey(t, "unknown")
	bad := message{kind: kindIssue, security: certificate(s.extension.Cert), key: &stranger, signed: true}
	for range s.Settings.Values().Address.Failures {
		s.refused("a bad signature", failedCheck, bad)
	}
	good := message{kind: kindIssue, security: certificate(s.extension.Cert), key: &s.extension, signed: true}
	s.refused("a good one from the same address", failedAuthentication, good)
	s.from(peerOf("another"))
	if status, body := s.send(good); status != http.StatusOK {
		t.Errorf("a good one from another address: %d %s", status, body)
	}
}

// A token has at most as many groups as its readers take. A user with more gets a token all the same.
func TestATokenOfAUserWithManyGroupsIsAccepted(t *testing.T) {
	s := newSite(t)
	token := s.token(func(a *saml.Assertion) {
		a.Subject = principal.Name{Domain: "OIDC.EXAMPLE", User: "olga"}
		a.Groups = append(a.Groups, principal.Name{Domain: "OIDC.EXAMPLE", User: "Staff"})
		for i := 1; i < saml.MaxGroups; i++ {
			a.Groups = append(a.Groups, principal.Name{Domain: "OIDC.EXAMPLE", User: fmt.Sprint("group ", i)})
		}
	})
	_, a := s.renew(sts.TokenRequest{Certificate: pair(s.extension), Token: token})
	if len(a.Groups) != saml.MaxGroups {
		t.Errorf("%d groups", len(a.Groups))
	}
}

func TestAJSONWebTokenIsExchanged(t *testing.T) {
	s := newSite(t)
	send := func(authorization, kind string, values url.Values) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.url.JoinPath(TokenPath).String(),
			strings.NewReader(values.Encode()))
		s.must(err)
		r.Header.Set("Content-Type", kind)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w, err := http.DefaultClient.Do(r)
		s.must(err)
		defer w.Body.Close()
		var answer map[string]any
		s.must(json.NewDecoder(w.Body).Decode(&answer))
		return w.StatusCode, answer
	}
	const form = "application/x-www-form-urlencoded"
	values := func(pairs ...string) url.Values {
		v := url.Values{"grant_type": {grantExchange}, "requested_token_type": {typeSAML}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for what, f := range map[string]func() (int, map[string]any){
		"in the header": func() (int, map[string]any) { return send("Bearer good.token.here", form, values()) },
		"in the form": func() (int, map[string]any) {
			return send("Bearer good.token.here", form+"; charset=UTF-8", values("subject_token", "good.token.here",
				"subject_token_type", typePrefix+"access_token", "actor_token", "x", "actor_token_type",
				typePrefix+"id_token"))
		},
	} {
		status, answer := f()
		text, _ := answer["access_token"].(string)
		token, err := base64.StdEncoding.DecodeString(text)
		if status != http.StatusOK || err != nil || answer["expires_in"] != 300.0 ||
			answer["issued_token_type"] != typeSAML {
			t.Errorf("%s: %d %v %v", what, status, err, answer)
			continue
		}
		a := s.read(string(token))
		if a.Subject.String() != `OIDC.EXAMPLE\olga` || !a.Bearer() || len(a.Groups) != 1 ||
			fullName(a) != "Olga of the Example" {
			t.Errorf("%s: %+v", what, a)
		}
	}
	const good = "Bearer good.token.here"
	for what, c := range map[string]struct {
		authorization, kind string
		values              url.Values
		want                string
	}{
		"a bad token":   {"Bearer bad", form, values(), "invalid_request"},
		"no token":      {"", form, values(), "invalid_request"},
		"JSON":          {good, "application/json", values(), "invalid_request"},
		"another grant": {good, form, values("grant_type", "password"), "unsupported_grant_type"},
		"a SAML token": {"", form, values("subject_token", "x", "subject_token_type", typeSAML),
			"unsupported_token_type"},
		"an ID token": {good, form, values("requested_token_type", typePrefix+"id_token"),
			"unsupported_token_type"},
		"repeated": {good, form, url.Values{"grant_type": {grantExchange, grantExchange}},
			"invalid_request"},
		"too large": {good, form, values("actor_token", strings.Repeat("x", maxForm)), "invalid_request"},
	} {
		status, answer := send(c.authorization, c.kind, c.values)
		if status != http.StatusBadRequest || answer["error"] != c.want || answer["error_description"] == "" {
			t.Errorf("%s: %d %v", what, status, answer)
		}
	}
	s.from(peer.Peer{Address: "192.0.2.1"})
	if status, _ := send("Bearer good.token.here", form, values()); status == http.StatusOK {
		t.Error("without TLS it is exchanged")
	}
}

// No request makes the service panic, or gives a token without a good credential.
func FuzzRequest(f *testing.F) {
	s := newSite(f)
	token := s.token(func(*saml.Assertion) {})
	f.Add(s.text(message{kind: kindIssue, security: user("ann", "wrong")}))
	f.Add(s.text(message{kind: kindIssue, security: certificate(s.extension.Cert), key: &s.extension, signed: true}))
	f.Add(s.text(message{kind: kindRenew, security: certificate(s.extension.Cert), key: &s.extension, signed: true,
		body: "<wst:RenewTarget>" + token + "</wst:RenewTarget>"}))
	f.Add(s.text(message{kind: kindValidate, body: "<wst:ValidateTarget>" + token + "</wst:ValidateTarget>"}))
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{kindIssue, kindRenew, kindValidate} {
			r, err := s.service.read(nsTrust+"/RST/"+kind, []byte(text))
			if err != nil {
				continue
			}
			// Anybody may sign with a key of its own. The processes of a fuzzing run have different keys.
			if r.certificate != nil && r.proof == (saml.Proof{}) {
				t.Errorf("%q has a certificate and no proof", text)
			}
			if a := r.target; a != nil && (a.Subject != ann || !a.Key.Equal(s.extension.Cert)) {
				t.Errorf("%q has another token: %+v", text, a)
			}
		}
	})
}
