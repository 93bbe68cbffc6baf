package account_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

func TestTheTableFollowsAWholeState(t *testing.T) {
	n := started(t)
	r, err := n.mirror.Get(t.Context(), store.Account, admin.Key())
	must(t, err)
	table := account.NewTable("", nil)
	if table.Domain() != "VSPHERE.LOCAL" {
		t.Errorf("domain %q", table.Domain())
	}
	table.View().Put(r)
	table.View().Reset()
	if !table.Enabled(admin) {
		t.Error("gone while the state is read again")
	}
	table.View().Whole()
	if table.Exists(admin) {
		t.Error("not in the whole state, but there")
	}
	table.View().Reset()
	table.View().Put(r)
	table.View().Put(store.Record{Kind: store.Account, ID: "bad", Value: []byte("x")})
	table.View().Delete(store.Account, "bad")
	table.View().Whole()
	if !table.Enabled(admin) || table.Damaged() != nil {
		t.Error("in the whole state, but not there")
	}
}

func TestADamagedAccountIsReportedAndCanOnlyBeRemoved(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	good, err := n.mirror.Get(ctx, store.Account, ann.Key())
	must(t, err)
	put := func(value string) {
		t.Helper()
		_, err := n.mirror.Commit(ctx, store.Put(store.Account, ann.Key(), []byte(value), time.Time{}))
		must(t, err)
	}
	var damaged *store.DamagedError
	for _, bad := range []string{"", "{}", strings.Replace(string(good.Value), `"v":1`, `"v":2`, 1),
		strings.Replace(string(good.Value), "$v=19", "$v=20", 1),
		strings.Replace(string(good.Value), `"user":"Ann"`, `"user":"Bob"`, 1),
		strings.Replace(string(good.Value), "VSPHERE.LOCAL", "CORP", 1)} {
		if bad == string(good.Value) {
			t.Fatal("not damaged")
		}
		put(bad)
		if !errors.As(n.Damaged(), &damaged) || n.Table().Enabled(ann) || n.Exists(ann) {
			t.Errorf("%s: damage is %v", bad, n.Damaged())
		}
		_, err := n.Verify(ctx, ann, here, []byte("password of Ann"))
		wantError(t, err, account.ErrRejected)
		for _, err := range []error{n.Create(ctx, event.By("x"), ann, first, ""), n.Enable(ctx, event.By("x"), ann),
			n.Disable(ctx, event.By("x"), ann),
			n.Update(ctx, event.By("x"), ann, account.Update{Password: secret.New(string(first))}, "")} {
			if !errors.As(err, &damaged) {
				t.Errorf("%s: got %v", bad, err)
			}
		}
	}
	put(string(good.Value))
	if _, err := n.Verify(ctx, ann, here, []byte("password of Ann")); err != nil || n.Damaged() != nil {
		t.Errorf("mended: %v, %v", err, n.Damaged())
	}
	put("{}")
	must(t, n.Remove(ctx, event.By("root"), ann))
	if n.Damaged() != nil {
		t.Error("removed, but still reported")
	}
	n.create(t, "Ann")
}

func TestUnknownMembersOfARecordAreKept(t *testing.T) {
	n, ctx := started(t), t.Context()
	r, err := n.mirror.Get(ctx, store.Account, admin.Key())
	must(t, err)
	_, err = n.mirror.Commit(ctx,
		store.Put(store.Account, admin.Key(), []byte(strings.Replace(string(r.Value), "{", `{"later":[1],`, 1)),
			time.Time{}))
	must(t, err)
	must(t, n.Update(ctx, event.By("x"), admin, account.Update{Password: secret.New(string(first))}, ""))
	r, err = n.mirror.Get(ctx, store.Account, admin.Key())
	must(t, err)
	if !strings.Contains(string(r.Value), `"later":[1]`) {
		t.Errorf("got %s", r.Value)
	}
}

func FuzzAnAccountFromTheStore(f *testing.F) {
	f.Add(`vsphere.local\ann`,
		[]byte(`{"v":1,"domain":"VSPHERE.LOCAL","user":"Ann","hash":"$argon2id$v=19$m=8,t=1,`+
			`p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}`))
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		table := account.NewTable("", slog.New(slog.DiscardHandler))
		table.View().Put(store.Record{Kind: store.Account, ID: id, Value: b, Revision: 1})
		for _, a := range table.Search("", false) {
			if a.Name.Key() != id && a.Name.FormerKey() != id || table.Damaged() != nil {
				t.Errorf("%q is %v", id, a)
			}
		}
	})
}
