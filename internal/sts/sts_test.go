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
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/saml/samltest"
	"github.com/vigate/vigate/internal/secret"
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
	validate := s.validated
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
	s.must(s.Accounts.Update(ctx, by, ann, account.Update{Password: secret.New("another long password")}, ""))
	expect("a user with a newer password", users, false)
	s.must(s.Extensions.SetCertificate(ctx, by, solution, xmlsigtest.NewKey(t, "unknown").Cert.Raw, ""))
	expect("an extension with another certificate", extensions, false)
	expect("a token that was delegated to it", delegated, false)
	s.must(s.Extensions.Unregister(ctx, by, solution))
	expect("an extension that is gone", extensions, false)
}

func TestATokenIsConfirmedOnlyWhileEverybodyIsThereThroughWhomItPassed(t *testing.T) {
	s := newSite(t)
	ctx, by := t.Context(), event.By("test")
	const middle = "com.example.middle"
	bob := principal.Name{Domain: ann.Domain, User: "bob"}
	s.must(s.Extensions.Register(ctx, by, extension.Registration{Key: middle, Data: []byte("{}")}))
	s.must(s.Accounts.Create(ctx, by, bob, []byte(password), "Bob"))
	a := s.read(s.token(func(a *saml.Assertion) {
		a.Holder = principal.Name{Domain: ann.Domain, User: solution}
		for _, name := range []principal.Name{{Domain: ann.Domain, User: middle}, bob, a.Holder} {
			a.Delegates = append(a.Delegates, saml.Delegate{Name: name, At: a.Issued})
		}
	}))
	_, err := s.service.Confirm(ctx, a)
	s.must(err)
	s.must(s.Accounts.Disable(ctx, by, bob))
	if _, err := s.service.Confirm(ctx, a); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a token that has passed through a disabled user: %v", err)
	}
	s.must(s.Accounts.Enable(ctx, by, bob))
	s.must(s.Extensions.Unregister(ctx, by, middle))
	if _, err := s.service.Confirm(ctx, a); !errors.Is(err, login.ErrRejected) {
		t.Errorf("a token that has passed through an extension that is gone: %v", err)
	}
}

// A directory finds a disabled user, for permissions. But the user gets no token from an older one, by any
// request. The groups in a new token are those that the directory has now, even if it has none.
func TestATokenOfADisabledDirectoryUserGivesNoOther(t *testing.T) {
	s := newSite(t)
	key := xmlsigtest.NewKey(t, "sue")
	token := s.token(func(a *saml.Assertion) {
		a.Subject, a.Key, a.Groups = sue, key.Cert, []principal.Name{{Domain: sue.Domain, User: "Former"}}
	})
	delegated := s.token(func(a *saml.Assertion) { a.Holder, a.Key = sue, key.Cert })
	owner := pair(key)
	owner.Certificate = nil // govmomi then sends the token
	issue, renew := s.client().Issue, s.client().Renew
	ways := map[string]func() (*sts.Signer, error){
		"renewal": func() (*sts.Signer, error) {
			return renew(t.Context(), sts.TokenRequest{Certificate: pair(key), Token: token})
		},
		"renewal by a holder": func() (*sts.Signer, error) {
			return renew(t.Context(), sts.TokenRequest{Certificate: pair(key), Token: delegated})
		},
		"issue by token": func() (*sts.Signer, error) {
			return issue(t.Context(), sts.TokenRequest{Certificate: owner, Token: token, KeyID: "_0123456789"})
		},
		"ActAs": func() (*sts.Signer, error) {
			return issue(t.Context(), sts.TokenRequest{Certificate: pair(s.extension), ActAs: true, Token: token})
		},
	}
	for _, groups := range [][]string{{`STAFF.EXAMPLE\Now`}, {}} {
		s.staff.set("sue", groups, nil)
		for what, ask := range ways {
			signer, err := ask()
			if err != nil {
				t.Errorf("%s of an enabled user: %v\n%s", what, err, s.log)
				continue
			}
			a := s.read(signer.Token)
			if a.Subject == sue && (len(a.Groups) != len(groups) || fullName(a) != "Sue Example") {
				t.Errorf("%s: the new token has %v of %q", what, a.Groups, fullName(a))
			}
		}
		if got := s.validated(token); got != "valid" {
			t.Errorf("the token of an enabled user is %s", got)
		}
	}
	s.staff.set("sue", nil, nil)
	for what, ask := range ways {
		if _, err := ask(); err == nil {
			t.Errorf("%s of a disabled user gives a token", what)
		} else if strings.Contains(err.Error(), "RequestFailed") {
			t.Errorf("%s of a disabled user: %v", what, err)
		}
	}
	if got := s.validated(token); got != "invalid" {
		t.Errorf("the token of a disabled user is %s", got)
	}
	s.staff.set("sue", nil, fmt.Errorf("%w: refused", directory.ErrUnavailable))
	for what, ask := range ways {
		if _, err := ask(); err == nil || !strings.Contains(err.Error(), textUnavailable) {
			t.Errorf("%s while the directory is down: %v", what, err)
		}
	}
	if got := s.validated(token); got == "valid" || got == "invalid" {
		t.Errorf("while the directory is down, the token is %s", got)
	}
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

// A proxy may check one of several headers and the server another, and a page of another origin may not use
// the service through a browser.
func TestARequestOfAnotherOriginOrWithTwoCredentialsIsRefused(t *testing.T) {
	s := newSite(t)
	form := url.Values{"grant_type": {grantExchange}}.Encode()
	withToken := url.Values{"grant_type": {grantExchange}, "subject_token": {"good.token.here"}}.Encode()
	issue := s.text(message{kind: kindIssue, security: user("ann", password)})
	good := http.Header{
		"Authorization": {"Bearer good.token.here"}, "Content-Type": {"application/x-www-form-urlencoded"},
	}
	ask := http.Header{"Soapaction": {nsTrust + "/RST/Issue"}, "Content-Type": {"text/xml"}}
	for _, c := range []struct {
		what, path, body string
		header           http.Header
		name             string // of the header that has other values
		values           []string
		status           int
	}{
		{"one header", TokenPath, form, good, "Accept", nil, 200},
		{"two headers", TokenPath, form, good, "Authorization", []string{"Bearer good.token.here", "Bearer x"}, 400},
		{"two equal headers", TokenPath, form, good, "Authorization",
			[]string{"Bearer good.token.here", "Bearer good.token.here"}, 400},
		{"two headers beside the token", TokenPath, withToken, good, "Authorization",
			[]string{"Bearer x", "Bearer y"}, 400},
		{"an empty header first", TokenPath, form, good, "Authorization", []string{"", "Bearer good.token.here"}, 400},
		{"two types", TokenPath, form, good, "Content-Type",
			[]string{"application/x-www-form-urlencoded", "text/plain"}, 400},
		{"another site", TokenPath, form, good, "Sec-Fetch-Site", []string{"cross-site"}, 403},
		{"another origin", TokenPath, form, good, "Origin", []string{"https://evil.example"}, 403},
		{"a message", Path, issue, ask, "Accept", nil, 200},
		{"two actions", Path, issue, ask, "Soapaction",
			[]string{nsTrust + "/RST/Issue", nsTrust + "/RST/Renew"}, 500},
		{"a message of another site", Path, issue, ask, "Sec-Fetch-Site", []string{"cross-site"}, 500},
		{"a message of another origin", Path, issue, ask, "Origin", []string{"https://evil.example"}, 500},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url.JoinPath(c.path).String(),
			strings.NewReader(c.body))
		s.must(err)
		r.Header = c.header.Clone()
		if c.values != nil {
			r.Header[c.name] = c.values
		}
		w, err := http.DefaultClient.Do(r)
		s.must(err)
		w.Body.Close()
		if w.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", c.what, w.StatusCode, c.status)
		}
	}
}

// No request makes the service panic, or gives a token without a good credential. Each process of a fuzzing run
// has keys of its own. So what is fuzzed is the change of a good request, which each process makes itself.
func FuzzRequest(f *testing.F) {
	s := newSite(f)
	token := s.token(func(*saml.Assertion) {})
	good := []string{
		s.text(message{kind: kindIssue, security: user("ann", "wrong")}),
		s.text(message{kind: kindIssue, security: certificate(s.extension.Cert), key: &s.extension, signed: true}),
		s.text(message{kind: kindRenew, security: certificate(s.extension.Cert), key: &s.extension, signed: true,
			body: "<wst:RenewTarget>" + token + "</wst:RenewTarget>"}),
		s.text(message{kind: kindValidate, body: "<wst:ValidateTarget>" + token + "</wst:ValidateTarget>"}),
	}
	for i, m := range good {
		f.Add(uint8(i), uint16(0), uint16(0), "")
		at := uint16(strings.Index(m, "ann"))
		f.Add(uint8(i), at, uint16(3), "Administrator")
		f.Add(uint8(i), at, uint16(0), "<!-- -->")
		f.Add(uint8(i), uint16(0), uint16(len(m)), m)
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, put string) {
		m := good[int(which)%len(good)]
		from := min(int(at), len(m))
		text := m[:from] + put + m[min(from+int(cut), len(m)):]
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
