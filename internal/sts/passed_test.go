package sts

import (
	"errors"
	"testing"
	"time"

	"github.com/vmware/govmomi/sts"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
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
