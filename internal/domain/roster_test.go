package domain_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// overtaken is a store that calls a function right before a commit.
type overtaken struct {
	store.Store
	before atomic.Pointer[func()]
}

func (s *overtaken) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if do := s.before.Swap(nil); do != nil {
		(*do)()
	}
	return s.Store.Commit(ctx, changes...)
}

func node(t *testing.T, s store.Store) *domain.Domain {
	t.Helper()
	d, err := domain.New(domain.Options{
		Store: s, Base: setting.Defaults(), Thumbprint: func() string { return "" }, Patience: time.Minute,
		Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Follow(t, d.Mirror)
	return d
}

// makers create a user or an extension with a name. Their error is nil, or it means that the name
// is taken.
var makers = map[string]func(context.Context, *domain.Domain, string) error{
	"a user": func(ctx context.Context, d *domain.Domain, name string) error {
		who := principal.Name{Domain: account.DefaultDomain, User: name}
		return d.Accounts.Create(ctx, event.By("x"), who, []byte("a good long password"), "")
	},
	"an extension": func(ctx context.Context, d *domain.Domain, name string) error {
		return d.Extensions.Register(ctx, event.By("x"), extension.Registration{Key: name, Data: []byte("{}")})
	},
}

func taken(err error) bool {
	return errors.Is(err, account.ErrExists) || errors.Is(err, extension.ErrExists)
}

// One node checks a name. Before it commits, another node creates a name that a reader could mistake for
// it.
func TestOfTwoNamesThatLookAlikeOneIsMadeWhoeverChecksFirst(t *testing.T) {
	for first, makeFirst := range makers {
		for second, makeSecond := range makers {
			s := &overtaken{Store: storetest.NewMemory(nil)}
			slow, fast := node(t, s), node(t, s.Store)
			did := false
			do := func() {
				did = true
				if err := makeSecond(t.Context(), fast, "ace"); err != nil {
					t.Errorf("%s overtakes %s: %v", second, first, err)
				}
			}
			s.before.Store(&do)
			if err := makeFirst(t.Context(), slow, "\u0430\u0441\u0435"); !taken(err) || !did {
				t.Errorf("%s, which %s has overtaken: %v", first, second, err)
			}
			// A name that looks different is accepted.
			do = func() {
				if err := makeSecond(t.Context(), fast, "carl"); err != nil {
					t.Errorf("%s overtakes %s: %v", second, first, err)
				}
			}
			s.before.Store(&do)
			if err := makeFirst(t.Context(), slow, "bob"); err != nil {
				t.Errorf("%s beside %s: %v", first, second, err)
			}
		}
	}
}

func TestOfManyNamesThatLookAlikeOneIsMade(t *testing.T) {
	s := storetest.NewMemory(nil)
	nodes := []*domain.Domain{node(t, s), node(t, s)}
	alike := []string{"soc", "SOC", "ѕос", "ꜱoc"}
	var wg sync.WaitGroup
	var made, others atomic.Int32
	for i, name := range alike {
		for _, make := range makers {
			wg.Go(func() {
				switch err := make(t.Context(), nodes[i%2], name); {
				case err == nil:
					made.Add(1)
				case !taken(err) && !errors.Is(err, account.ErrName) && !errors.Is(err, extension.ErrKey):
					t.Errorf("%s: %v", name, err)
				}
				if err := make(t.Context(), nodes[i%2], fmt.Sprintf("other%d%p", i, &make)); err != nil {
					t.Errorf("a name of its own: %v", err)
				}
				others.Add(1)
			})
		}
	}
	wg.Wait()
	if made.Load() != 1 || others.Load() != int32(len(alike)*len(makers)) {
		t.Errorf("%d of %d names that look alike were made", made.Load(), len(alike)*len(makers))
	}
}
