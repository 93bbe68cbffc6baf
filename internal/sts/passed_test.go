package sts

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/xmlsig/xmlsigtest"
)

// A change between the check of a token and the commit that uses it must not be lost. And one principal may have
// several parts in a token.
func TestACommitDependsOnEverybodyThroughWhomATokenPassed(t *testing.T) {
	s := newSite(t)
	ctx, by := t.Context(), event.By("test")
	const middle = "com.example.middle"
	bob := principal.Name{Domain: ann.Domain, User: "bob"}
	s.must(s.Extensions.Register(ctx, by, extension.Registration{Key: middle, Data: []byte("{}")}))
	s.must(s.Accounts.Create(ctx, by, bob, []byte(password), "Bob"))
	passed := func(holder principal.Name, through ...principal.Name) *saml.Assertion {
		return s.read(s.token(func(a *saml.Assertion) {
			a.Holder = holder
			for _, name := range append(through, holder) {
				a.Delegates = append(a.Delegates, saml.Delegate{Name: name, At: a.Issued})
			}
		}))
	}
	commit := func(a *saml.Assertion, meanwhile func() error) error {
		t.Helper()
		g, err := s.service.Confirm(ctx, a)
		s.must(err)
		s.must(meanwhile())
		_, err = s.Mirror.Commit(ctx, append(g.Changes, s.Events.Change(event.Event{}))...)
		return err
	}
	nothing := func() error { return nil }
	extensions := principal.Name{Domain: ann.Domain, User: solution}
	a := passed(extensions, bob, principal.Name{Domain: ann.Domain, User: middle})
	s.must(commit(a, nothing))
	s.must(commit(passed(extensions, ann, bob, bob), nothing))
	s.must(commit(passed(ann), nothing))
	if err := commit(a, func() error { return s.Accounts.Disable(ctx, by, bob) }); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a user through whom the token has passed is disabled: %v", err)
	}
	s.must(s.Accounts.Enable(ctx, by, bob))
	if err := commit(a, func() error { return s.Extensions.Unregister(ctx, by, middle) }); !errors.Is(err,
		store.ErrConflict) {
		t.Errorf("an extension through which the token has passed is gone: %v", err)
	}
}

// Who gets the name of a removed principal does not get its tokens.
func TestANamesakeIsNotTheOneInAToken(t *testing.T) {
	s := newSite(t)
	ctx, by := t.Context(), event.By("test")
	const former = "com.example.former"
	bob := principal.Name{Domain: ann.Domain, User: "bob"}
	register := func(key string) {
		t.Helper()
		s.must(s.Extensions.Register(ctx, by, extension.Registration{Key: key, Data: []byte("{}")}))
	}
	register(former)
	s.must(s.Accounts.Create(ctx, by, bob, []byte(password), "Bob"))
	through := func(name principal.Name) func(*saml.Assertion) {
		return func(a *saml.Assertion) {
			a.Holder = principal.Name{Domain: ann.Domain, User: solution}
			a.Delegates = []saml.Delegate{{Name: name, At: a.Issued}, {Name: a.Holder, At: a.Issued}}
		}
	}
	old := map[string]*saml.Assertion{}
	for what, edit := range map[string]func(*saml.Assertion){
		"through a user, now an extension": through(bob),
		"through an extension":             through(principal.Name{Domain: ann.Domain, User: former}),
		"of an extension": func(a *saml.Assertion) {
			a.Subject.User, a.Solution, a.Key = former, true, nil
		},
	} {
		old[what] = s.read(s.token(edit))
		_, err := s.service.Confirm(ctx, old[what])
		s.must(err)
	}
	s.clock.Advance(time.Second)
	s.must(s.Accounts.Remove(ctx, by, bob))
	s.must(s.Extensions.Unregister(ctx, by, former))
	register(bob.User)
	register(former)
	for what, a := range old {
		if _, err := s.service.Confirm(ctx, a); !errors.Is(err, login.ErrRejected) {
			t.Errorf("a token %s: %v", what, err)
		}
	}
}

// What changes while a directory is asked makes the token invalid, because the token is older.
func TestATokenIsAsOldAsTheProofOfItsOwner(t *testing.T) {
	s := newSite(t)
	s.staff.set("sue", []string{`STAFF.EXAMPLE\Now`}, nil)
	token := s.token(func(a *saml.Assertion) { a.Subject, a.Key = sue, xmlsigtest.NewKey(t, "sue").Cert })
	began := s.clock.Now()
	s.staff.asked = func() { s.clock.Advance(5 * time.Second) }
	_, a := s.issue(sts.TokenRequest{Certificate: pair(s.extension), ActAs: true, Token: token, Lifetime: time.Minute})
	if !s.clock.Now().After(began) {
		t.Fatal("the directory was not asked")
	}
	if want := began.Truncate(time.Millisecond); !a.Issued.Equal(want) || !a.NotBefore.Equal(want) ||
		!a.NotOnOrAfter.Equal(want.Add(time.Minute)) {
		t.Errorf("the token is of %v, from %v until %v; its owner proved itself at %v", a.Issued, a.NotBefore,
			a.NotOnOrAfter, want)
	}
}

// A token from before a change of its user or extension is not good, and one from after it is, although the times in
// tokens are less precise than those of changes.
func TestATokenOfTheMillisecondOfAChangeIsOlderOrNewer(t *testing.T) {
	s := newSite(t)
	ctx, by := t.Context(), event.By("test")
	issued := func(change *saml.Assertion, at time.Time) *saml.Assertion {
		t.Helper()
		a := *change
		b, err := s.service.sign(ctx, &peer.Peer{}, login.Proof{At: at}, &a, time.Minute)
		s.must(err)
		return s.read(string(b))
	}
	expect := func(what string, a *saml.Assertion, good bool) {
		t.Helper()
		_, err := s.service.Confirm(ctx, a)
		if good && err != nil || !good && !errors.Is(err, login.ErrRejected) {
			t.Errorf("a token of %s that was issued %s: %v", a.Subject, what, err)
		}
	}
	const key = "com.example.new"
	of := &saml.Assertion{Subject: ann, Context: saml.ContextPassword, Key: s.extension.Cert}
	extensions := &saml.Assertion{
		Subject: principal.Name{Domain: ann.Domain, User: key}, Solution: true, Context: saml.ContextCertificate,
	}
	s.must(s.Extensions.Register(ctx, by, extension.Registration{Key: key, Data: []byte("{}")}))
	s.must(s.Extensions.Unregister(ctx, by, key))
	s.clock.Advance(time.Second + 500*time.Microsecond)
	changed := s.clock.Now()
	before, after := changed.Add(-time.Microsecond), changed.Add(time.Microsecond)
	if !before.Truncate(time.Millisecond).Equal(after.Truncate(time.Millisecond)) {
		t.Fatal("the times are not of one millisecond")
	}
	old := []*saml.Assertion{issued(of, before), issued(extensions, before)}
	s.must(s.Accounts.Update(ctx, by, ann, account.Update{Password: secret.New(password)}, ""))
	s.must(s.Extensions.Register(ctx, by, extension.Registration{Key: key, Data: []byte("{}")}))
	s.clock.Advance(time.Millisecond) // a token from after the change may begin that much later
	for _, a := range old {
		expect("before the change", a, false)
	}
	expect("after it", issued(of, after), true)
	expect("after it", issued(extensions, after), true)
	expect("by a proof from before it", issued(of, before), false)
	delegated := *of
	delegated.Subject, delegated.Holder = sue, ann
	s.staff.set("sue", []string{}, nil)
	expect("for the user after it", issued(&delegated, after), true)
	expect("for the user before it", issued(&delegated, before), false)
}

// The directory's clock may differ by the skew.
func TestATokenDoesNotOutliveThePasswordInADirectory(t *testing.T) {
	s := newSite(t)
	s.staff.set("sue", []string{}, nil)
	token := s.read(s.token(func(a *saml.Assertion) { a.Subject = sue }))
	delegated := s.read(s.token(func(a *saml.Assertion) { a.Holder = sue }))
	for after, good := range map[time.Duration]bool{
		-time.Hour: true, 0: true, DefaultSkew: true, DefaultSkew + time.Millisecond: false, time.Hour: false,
	} {
		s.staff.changed = token.Issued.Add(after)
		for what, a := range map[string]*saml.Assertion{"of": token, "held by": delegated} {
			if _, err := s.service.Confirm(t.Context(), a); good && err != nil ||
				!good && !errors.Is(err, login.ErrRejected) {
				t.Errorf("a token %s a user with a password that is %v newer: %v", what, after, err)
			}
		}
	}
	s.staff.changed = time.Time{}
	if _, err := s.service.Confirm(t.Context(), token); err != nil {
		t.Errorf("a directory that does not know: %v", err)
	}
}

// The end of sessions that a token states is not lost when another token is issued for it: otherwise the service
// would be a way to longer sessions.
func TestTheEndOfSessionsPassesFromTokenToToken(t *testing.T) {
	s := newSite(t)
	end := s.clock.Now().Add(sessionLife)
	expect := func(what, token string) {
		t.Helper()
		a := s.read(token)
		if !a.SessionEnd.Equal(end) {
			t.Errorf("%s: sessions end at %v, want %v", what, a.SessionEnd, end)
		}
		if g, err := s.service.Confirm(t.Context(), a); err != nil || !g.NotAfter.Equal(end) {
			t.Errorf("%s: the session ends at %v, want %v: %v", what, g.NotAfter, end, err)
		}
	}
	r, err := http.NewRequest(http.MethodPost, s.url.JoinPath(TokenPath).String(),
		strings.NewReader(url.Values{"grant_type": {grantExchange}}.Encode()))
	s.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer short.token.here")
	w, err := http.DefaultClient.Do(r)
	s.must(err)
	defer w.Body.Close()
	var answer exchanged
	s.must(json.NewDecoder(w.Body).Decode(&answer))
	bearer, err := base64.StdEncoding.DecodeString(answer.Token)
	s.must(err)
	expect("an exchanged token", string(bearer))

	olga := xmlsigtest.NewKey(t, "olga")
	bound := s.token(func(a *saml.Assertion) {
		a.Subject, a.Key, a.SessionEnd = principal.Name{Domain: "OIDC.EXAMPLE", User: "olga"}, olga.Cert, end
		a.Groups = []principal.Name{{Domain: "OIDC.EXAMPLE", User: "Staff"}}
	})
	for what, m := range map[string]message{
		"a token by a token": {kind: kindIssue, security: bound, key: &olga, signed: true},
		"a renewed token": {kind: kindRenew, security: certificate(olga.Cert), key: &olga, signed: true,
			body: "<wst:RenewTarget>" + bound + "</wst:RenewTarget>"},
		"a token by ActAs": {kind: kindIssue, security: certificate(s.extension.Cert), key: &s.extension, signed: true,
			body: "<wst:ActAs>" + bound + "</wst:ActAs>"},
	} {
		status, body := s.send(m)
		_, token, ok := strings.Cut(body, "<wst:RequestedSecurityToken>")
		token, _, _ = strings.Cut(token, "</wst:RequestedSecurityToken>")
		if !ok {
			t.Errorf("%s: %d %s", what, status, body)
			continue
		}
		expect(what, token)
	}
}
