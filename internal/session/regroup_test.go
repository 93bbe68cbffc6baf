package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func ann() principal.Name { return principal.Name{Domain: "VSPHERE.LOCAL", User: "ann"} }

// groupsOf returns the groups of the principal in the session, joined.
func groupsOf(l *Live, who principal.Name) string {
	identity, origin := l.Who()
	if origin != nil && origin.Name.Equal(who) {
		return strings.Join(origin.Groups, " ")
	}
	return strings.Join(identity.Groups, " ")
}

func TestNewGroupsAreInForceInAllSessionsOfTheUser(t *testing.T) {
	f := newFixture(t, nil, nil)
	var all []*Live
	for range endBatch + 3 {
		l, _ := f.start(t, "Ann")
		all = append(all, l)
	}
	other, _ := f.start(t, "bob")
	ended, _ := f.start(t, "ann")
	if err := f.End(t.Context(), ended, Logout(ended.Session())); err != nil {
		t.Fatal(err)
	}
	acting := all[1]
	err := f.Update(t.Context(), acting, func(s *Session) ([]store.Change, error) {
		owner := s.Owner()
		s.Identity, s.Origin = other.Identity(), &owner
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Count(all[0], f.now())
	given := append(slices.Clone(all), other, ended)
	groups := []string{`VSPHERE.LOCAL\a`, `VSPHERE.LOCAL\b`}
	if n, err := f.Regroup(t.Context(), ann(), groups, given); err != nil || n != len(all) {
		t.Errorf("%d of %d sessions changed: %v", n, len(all), err)
	}
	for i, l := range all {
		if got := groupsOf(l, ann()); got != strings.Join(groups, " ") {
			t.Errorf("session %d has the groups %q", i, got)
		}
	}
	if identity, _ := acting.Who(); len(identity.Groups) > 0 || len(other.Identity().Groups) > 0 {
		t.Error("another user got the groups")
	}
	if err := f.Flush(t.Context()); err != nil || all[0].Session().CallCount != 1 {
		t.Errorf("calls: %d, %v", all[0].Session().CallCount, err)
	}
	// The same groups in another order and case are no change.
	if n, err := f.Regroup(t.Context(), ann(), []string{`vsphere.local\B`, groups[0]}, given); n != 0 || err != nil {
		t.Errorf("%d sessions changed for nothing: %v", n, err)
	}
	n, err := f.Regroup(t.Context(), ann(), nil, given)
	if n != len(all) || err != nil || groupsOf(all[0], ann()) != "" {
		t.Errorf("%d sessions lost their groups: %v", n, err)
	}
}

func TestLongGroupsAreWrittenInCommitsOfBoundedSize(t *testing.T) {
	f := newFixture(t, nil, nil)
	var all []*Live
	for range 8 {
		l, _ := f.start(t, "ann")
		all = append(all, l)
	}
	groups := []string{strings.Repeat("g", regroupBytes/3)}
	if changes, n := f.regroupings(ann(), groups, all); n != 3 || len(changes) != 3 {
		t.Errorf("one commit has %d changes for %d sessions", len(changes), n)
	}
	if n, err := f.Regroup(t.Context(), ann(), groups, all); err != nil || n != len(all) {
		t.Errorf("%d sessions changed: %v", n, err)
	}
}

func TestServersThatChangeGroupsAtOnceAgree(t *testing.T) {
	c := newClock()
	s := storetest.NewMemory(c.Now)
	one, two := newFixture(t, s, c), newFixture(t, s, c)
	var keys []string
	for range 20 {
		l, _ := one.start(t, "ann")
		keys = append(keys, l.Key().String())
	}
	var wg sync.WaitGroup
	total := make([]int, 2)
	for i, f := range []*fixture{one, two} {
		wg.Go(func() {
			for round := range 10 {
				var all []*Live
				for _, key := range keys {
					l, err := f.Lookup(context.Background(), key)
					if err != nil {
						t.Error(err)
						return
					}
					all = append(all, l)
				}
				n, err := f.Regroup(context.Background(), ann(), []string{fmt.Sprintf(`VSPHERE.LOCAL\%d`, round)}, all)
				if total[i] += n; err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, f := range []*fixture{one, two} {
		if err := f.mirror.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if l, err := f.Lookup(t.Context(), key); err != nil || groupsOf(l, ann()) != `VSPHERE.LOCAL\9` {
				t.Errorf("session %s: %v, %v", key, l, err)
			}
		}
	}
}
