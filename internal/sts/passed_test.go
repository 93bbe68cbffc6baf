package sts

import (
	"errors"
	"testing"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/saml"
	"github.com/vigate/vigate/internal/store"
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
	// Whether a user or an extension of the name has passed the token on, nobody can tell.
	s.must(s.Extensions.Register(ctx, by, extension.Registration{Key: bob.User, Data: []byte("{}")}))
	for what, a := range map[string]*saml.Assertion{"passed on": passed(extensions, bob), "held": passed(bob)} {
		if _, err := s.service.Confirm(ctx, a); !errors.Is(err, login.ErrRejected) {
			t.Errorf("a token that was %s by a user with the name of an extension: %v", what, err)
		}
	}
}
