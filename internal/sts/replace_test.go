package sts

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/sts/signing"
	"github.com/vigate/vigate/internal/xmlsig"
)

// replaceKey replaces the key of the site.
func (s *site) replaceKey(distrust bool) {
	s.t.Helper()
	_, err := s.service.o.Keys.Replace(s.t.Context(), distrust, func(signing.Key) []store.Change { return nil })
	s.must(err)
}

func TestATokenOfAReplacedKeyIsGoodUntilTheKeyIsDistrusted(t *testing.T) {
	s := newSite(t)
	request := sts.TokenRequest{Certificate: pair(s.extension), Renewable: true, Delegatable: true, Lifetime: time.Hour}
	token, a := s.issue(request)
	use := func() (renewed, actedAs error) {
		r := request
		r.Token = token
		_, renewed = s.client().Renew(t.Context(), r)
		r.ActAs = true
		_, actedAs = s.client().Issue(t.Context(), r)
		return renewed, actedAs
	}
	s.replaceKey(false)
	_, confirmed := s.service.Confirm(t.Context(), a)
	renewed, actedAs := use()
	if err := errors.Join(confirmed, renewed, actedAs); err != nil || s.validated(token) != "valid" {
		t.Errorf("after the replacement: %v; the token is %s", err, s.validated(token))
	}
	fresh, _ := s.issue(request)
	if old, _, _ := strings.Cut(token, "<ds:SignatureValue>"); strings.Contains(fresh, certificateOf(t, old)) {
		t.Error("the old key has signed a token after the replacement")
	}
	s.replaceKey(true)
	_, confirmed = s.service.Confirm(t.Context(), a)
	renewed, actedAs = use()
	for what, err := range map[string]error{"confirm": confirmed, "renew": renewed, "act as": actedAs} {
		if err == nil || what == "confirm" && !errors.Is(err, login.ErrRejected) {
			t.Errorf("%s with a key that is distrusted: %v", what, err)
		}
	}
	if got := s.validated(token); got != "invalid" {
		t.Errorf("the token is %s", got)
	}
	token, _ = s.issue(request)
	if renewed, actedAs = use(); errors.Join(renewed, actedAs) != nil {
		t.Errorf("with the newest key: %v, %v", renewed, actedAs)
	}
}

// certificateOf returns the text of the certificate in a token.
func certificateOf(t *testing.T, token string) string {
	t.Helper()
	_, rest, ok := strings.Cut(token, "<ds:X509Certificate>")
	if !ok {
		_, rest, ok = strings.Cut(token, "X509Certificate>")
	}
	text, _, _ := strings.Cut(rest, "<")
	if !ok {
		return "none"
	}
	return text
}

// A login or a request in progress must not succeed by a key that is distrusted meanwhile.
func TestACommitDependsOnTheKeyOfTheToken(t *testing.T) {
	s := newSite(t)
	a := s.read(s.token(func(*saml.Assertion) {}))
	g, err := s.service.Confirm(t.Context(), a)
	s.must(err)
	s.replaceKey(true)
	if _, err := s.Mirror.Commit(t.Context(), append(g.Changes, s.Events.Change(event.Event{}))...); !errors.Is(err,
		store.ErrConflict) {
		t.Errorf("a commit with a key that is distrusted: %v", err)
	}
}

func TestATokenIsSignedAgainIfItsKeyIsDistrustedMeanwhile(t *testing.T) {
	s := newSite(t)
	s.beforePost = func() { s.replaceKey(true) }
	token, a := s.issue(sts.TokenRequest{Userinfo: url.UserPassword(ann.User, password)}) // reads it with the new key
	if _, err := s.service.Confirm(t.Context(), a); err != nil || s.validated(token) != "valid" {
		t.Errorf("%v", err)
	}
	posted := s.Events.Query(event.Filter{IDs: []string{"vigate.token.issued"}, MaxCount: 10})
	if len(posted) != 1 || posted[0].Args["token"] != a.ID {
		t.Errorf("%+v", posted)
	}
}

// another returns the record of a key that this site does not have yet, and its signer.
func another(t *testing.T, s *site) ([]byte, xmlsig.Signer) {
	t.Helper()
	memory := storetest.NewMemory(s.clock.Now)
	keys := signing.New(signing.Options{Now: s.clock.Now, Logger: slog.New(slog.DiscardHandler)})
	m := store.NewMirror(memory, keys.View())
	keys.Attach(m)
	storetest.Follow(t, m)
	signer, err := keys.Signer(t.Context())
	s.must(err)
	r, err := memory.Get(t.Context(), store.SigningKey, "1")
	s.must(err)
	return r.Value, signer
}

// Another server may sign with a key that it made an instant ago.
func TestATokenOfAKeyThatAnotherServerHasJustMadeIsGood(t *testing.T) {
	s := newSite(t)
	record, signer := another(t, s)
	now := s.service.now()
	token, err := (&saml.Assertion{
		ID: saml.NewID(), Issuer: s.service.Issuer(), Subject: ann, Issued: now, NotBefore: now,
		NotOnOrAfter: now.Add(time.Minute), Context: saml.ContextPassword,
	}).Sign(signer)
	s.must(err)
	syncs := 0
	sync := s.service.o.Sync
	s.service.o.Sync = func(ctx context.Context) error { syncs++; return sync(ctx) }
	if got := s.validated(string(token)); got != "invalid" || syncs != 1 {
		t.Errorf("a token of an unknown key is %q, after the server caught up %d times", got, syncs)
	}
	s.service.o.Sync = func(ctx context.Context) error {
		_, err := s.Mirror.Commit(ctx, store.Create(store.SigningKey, "2", record, time.Time{}))
		return err
	}
	if got := s.validated(string(token)); got != "valid" {
		t.Errorf("the token is %q after the server caught up", got)
	}
	s.service.o.Sync = func(context.Context) error { return store.ErrUnavailable }
	calls := 0
	err = s.service.Again(t.Context(), func() error { calls++; return saml.ErrSignature })
	if !errors.Is(err, login.ErrUnconfirmed) || !errors.Is(err, store.ErrUnavailable) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	for _, want := range []error{nil, saml.ErrTime} { // no reason to catch up
		if err := s.service.Again(t.Context(), func() error { return want }); !errors.Is(err, want) {
			t.Errorf("%v became %v", want, err)
		}
	}
}
