package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestTheFirstAdministratorIsMadeOnce(t *testing.T) {
	s := storetest.NewMemory(nil)
	nodes := []*node{newNode(t, s), newNode(t, s), newNode(t, s)}
	var made atomic.Int32
	var race sync.WaitGroup
	for i, n := range nodes {
		race.Go(func() {
			ok, err := n.Bootstrap(t.Context(), fmt.Appendf(nil, "password %d", i))
			if err != nil {
				t.Error(err)
			}
			if ok {
				made.Add(1)
				if _, err := n.Verify(t.Context(), admin, here, fmt.Appendf(nil, "password %d", i)); err != nil {
					t.Errorf("who made it can't log in: %v", err)
				}
			}
		})
	}
	race.Wait()
	n, ctx := nodes[0], t.Context()
	if made.Load() != 1 || !n.access.Has(access.Subject{Principal: admin}, access.ModifyPermissions) {
		t.Errorf("made %d times", made.Load())
	}
	n.create(t, "Ann")
	must(t, n.access.SetPermissions(ctx, access.Server(event.By("root")), access.Root,
		[]access.Permission{{Principal: ann, Role: access.Admin}}))
	must(t, n.Remove(ctx, event.By("root"), admin))
	for _, n := range append(nodes, newNode(t, s)) {
		if made, err := n.Bootstrap(ctx, first); made || err != nil {
			t.Errorf("a later start: %v, %v", made, err)
		}
	}
	if n.Exists(admin) {
		t.Error("a removed administrator is back")
	}
	fresh := newNode(t, storetest.NewMemory(nil))
	if made, err := fresh.Bootstrap(ctx, []byte("short")); made || !errors.Is(err, account.ErrPassword) ||
		fresh.access.Founded() {
		t.Errorf("a short password: %v, %v", made, err)
	}
}

func TestARemovedUsersNamesakeInheritsNothing(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	must(t, n.access.SetPermissions(ctx, access.Server(event.By("root")), access.Root,
		[]access.Permission{{Principal: ann, Role: access.Admin}}))
	must(t, n.Remove(ctx, event.By("root"), ann))
	n.create(t, "Ann")
	if n.access.HasRole(access.Subject{Principal: ann}) {
		t.Error("the new user has the old one's role")
	}
}

func TestTheLastAdministratorCannotBeRemoved(t *testing.T) {
	n, ctx := started(t), t.Context()
	n.create(t, "Ann")
	wantError(t, n.Disable(ctx, event.By("root"), admin), access.ErrLastAdministrator)
	wantError(t, n.Remove(ctx, event.By("root"), admin), access.ErrLastAdministrator)
	must(t, n.access.SetPermissions(ctx, access.Server(event.By("root")), access.Root,
		[]access.Permission{{Principal: ann, Role: access.Admin}}))
	must(t, n.Disable(ctx, event.By("root"), ann))
	wantError(t, n.Remove(ctx, event.By("root"), admin), access.ErrLastAdministrator)
	must(t, n.Enable(ctx, event.By("root"), ann))
	must(t, n.Remove(ctx, event.By("root"), admin))
	if got := n.takeEnded(); got != "Ann ,Administrator " {
		t.Errorf("ended %q", got)
	}
}

// Whatever two callers do at the same time on two servers, at least one user with the role Admin can still
// log in.
func TestTwoChangesAtOnceLeaveAnAdministrator(t *testing.T) {
	permission := func(name principal.Name, role int32) []access.Permission {
		return []access.Permission{{Principal: name, Role: role}}
	}
	pairs := [][2]func(context.Context, *node) error{
		{func(ctx context.Context, n *node) error { return n.Disable(ctx, event.By("x"), admin) },
			func(ctx context.Context, n *node) error { return n.Disable(ctx, event.By("x"), ann) }},
		{func(ctx context.Context, n *node) error { return n.Remove(ctx, event.By("x"), admin) },
			func(ctx context.Context, n *node) error {
				return n.access.RemovePermission(ctx, access.Server(event.By("x")), access.Root, ann, false)
			}},
		{func(ctx context.Context, n *node) error { return n.Disable(ctx, event.By("x"), user("bob")) },
			func(ctx context.Context, n *node) error {
				return n.access.ResetPermissions(ctx, access.Server(event.By("x")), access.Root,
					permission(user("bob"), access.Admin))
			}},
		{func(ctx context.Context, n *node) error { return n.Remove(ctx, event.By("x"), admin) },
			func(ctx context.Context, n *node) error {
				return n.access.SetPermissions(ctx, access.Server(event.By("x")), access.Root,
					permission(ann, access.NoAccess))
			}},
	}
	for i := range 200 {
		s := storetest.NewMemory(nil)
		a, b := newNode(t, s), newNode(t, s)
		ctx := t.Context()
		_, err := a.Bootstrap(ctx, first)
		must(t, err)
		a.create(t, "Ann")
		a.create(t, "Bob")
		must(t, a.access.SetPermissions(ctx, access.Server(event.By("x")), access.Root, permission(ann, access.Admin)))
		var race sync.WaitGroup
		var done atomic.Int32
		for k, n := range []*node{a, b} {
			race.Go(func() {
				switch err := pairs[i%len(pairs)][k](ctx, n); {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, access.ErrLastAdministrator) && !errors.Is(err, access.ErrPrincipal):
					t.Error(err)
				}
			})
		}
		race.Wait()
		must(t, a.mirror.Sync(ctx))
		left := 0
		for _, p := range a.access.Permissions() {
			if p.Role == access.Admin && a.Table().Enabled(p.Principal) {
				left++
			}
		}
		if left == 0 || done.Load() == 0 {
			t.Fatalf("round %d: %d administrators left, %d changes done", i, left, done.Load())
		}
	}
}
