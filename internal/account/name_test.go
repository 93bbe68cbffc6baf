package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestNobodyNewIsTakenForSomebodyElse(t *testing.T) {
	n, ctx := started(t), t.Context()
	for _, name := range []string{"jörg", "strasse", "coco", "sam"} {
		n.create(t, name)
	}
	for _, alike := range []string{"ADMINISTRATOR", "admınıstrator", "ɑdministrator", "JÖRG", "straße", "сосо"} {
		wantError(t, n.Create(ctx, event.By("root"), user(alike), first, ""), account.ErrExists)
	}
	for _, never := range []string{"administrator\u200b", "\u202eann", "аnn", "ａnn", "jo\u0308rg", "\u212aelly",
		"\u017fam", "ann (impersonated by x)"} {
		err := n.Create(ctx, event.By("root"), user(never), first, "")
		var reason *principal.NameError
		if !errors.Is(err, account.ErrName) || !errors.As(err, &reason) {
			t.Errorf("%q: %v", never, err)
		}
	}
	if all := n.Table().Search("", false); len(all) != 5 {
		t.Errorf("there are %d users", len(all))
	}
}

// older stores the record of a user in the form of a version that had no rules for names.
func (n *node) older(t *testing.T, name string) principal.Name {
	t.Helper()
	n.create(t, "template")
	r, err := n.mirror.Get(t.Context(), store.Account, user("template").Key())
	must(t, err)
	must(t, n.Remove(t.Context(), event.By("root"), user("template")))
	value := strings.Replace(string(r.Value), `"user":"template"`, `"user":"`+name+`"`, 1)
	_, err = n.mirror.Commit(t.Context(), store.Put(store.Account, `vsphere.local\`+strings.ToLower(name),
		[]byte(value), time.Time{}))
	must(t, err)
	return user(name)
}

// A user whose name is no longer allowed stays usable and removable, under the record in which an older
// version stored it.
func TestUsersThatAnOlderVersionStoredStay(t *testing.T) {
	s := storetest.NewMemory(nil)
	n, ctx := newNode(t, s), t.Context()
	_, err := n.Bootstrap(ctx, first)
	must(t, err)
	for _, name := range []string{"ann (impersonated by x)", "zero\u200bwidth", "\u202eturned", "ﬁnn", "аnn", "Γιώργος",
		"İx", "ſam", "Kelly", "µ", "two  spaces", "tab,comma"} {
		who := n.older(t, name)
		again := newNode(t, s) // a restart
		_, err := again.Verify(ctx, who, here, []byte("password of template"))
		must(t, err)
		must(t, n.access.SetPermissions(ctx, access.Server(event.By("root")), access.Root,
			[]access.Permission{{Principal: who, Role: access.ReadOnly}}))
		must(t, n.Update(ctx, event.By("root"), who, account.Update{Password: secret.New("another password")}, ""))
		must(t, n.Disable(ctx, event.By("root"), who))
		must(t, n.Enable(ctx, event.By("root"), who))
		a, err := n.Verify(ctx, who, here, []byte("another password"))
		if err != nil || a.Name.User != name || n.Damaged() != nil {
			t.Errorf("%q: %v, %v, %v", name, a, err, n.Damaged())
		}
		if _, err := n.mirror.Commit(ctx, a.Require()); err != nil {
			t.Errorf("%q: a login does not find its record: %v", name, err)
		}
		must(t, n.Remove(ctx, event.By("root"), who))
		if n.Exists(who) || len(n.access.Permissions()) != 1 {
			t.Errorf("%q is left", name)
		}
	}
}

// If the names of two records have become the same, the server serves neither: a permission for one of them
// would apply to the other. Each can be removed under its own spelling. Then the other one is served.
func TestUsersOfOneNameAreNobodyUntilOneIsLeft(t *testing.T) {
	for _, remove := range []string{"sam", "ſam"} {
		s := storetest.NewMemory(nil)
		n, ctx := newNode(t, s), t.Context()
		_, err := n.Bootstrap(ctx, first)
		must(t, err)
		short, long := n.older(t, "sam"), n.older(t, "ſam")
		n = newNode(t, s)
		var damaged *store.DamagedError
		for _, who := range []principal.Name{short, long} {
			_, err := n.Verify(ctx, who, here, []byte("password of template"))
			wantError(t, err, account.ErrRejected)
			if err := n.Enable(ctx, event.By("root"), who); !errors.As(err, &damaged) || n.Exists(who) ||
				n.Table().Enabled(who) {
				t.Errorf("%v: %v", who, err)
			}
		}
		if !errors.As(n.Damaged(), &damaged) || len(n.Table().Search("", false)) != 3 {
			t.Errorf("damage %v, users %v", n.Damaged(), n.Table().Search("", false))
		}
		must(t, n.Remove(ctx, event.By("root"), user(remove)))
		left, err := n.Verify(ctx, short, here, []byte("password of template"))
		if err != nil || n.Damaged() != nil || left.Name.User == remove {
			t.Errorf("without %s: %v, %v, %v", remove, left, err, n.Damaged())
		}
	}
}
