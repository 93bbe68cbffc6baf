package etcd_test

import (
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
	"github.com/vigate/vigate/test/etcd/proxy"
)

// ways returns two proxies to one member. The store takes them for two members.
func ways(t *testing.T, m *member.Member, opts etcd.Options) (etcd.Options, [2]*proxy.Proxy) {
	t.Helper()
	both := [2]*proxy.Proxy{proxy.New(t, m.Endpoint), proxy.New(t, m.Endpoint)}
	opts.Endpoints = []string{both[0].Addr, both[1].Addr}
	// A request to a silent member takes a third of Timeout.
	opts.Timeout = 15 * time.Second
	return opts, both
}

// TestASilentMemberCostsATimeOutOnce: the test can't see which of the two is in use. So each is
// silent in turn, and then the first again.
func TestASilentMemberCostsATimeOutOnce(t *testing.T) {
	t.Parallel()
	direct := space()
	opts, both := ways(t, shared, direct)
	opts.MaxLag = 4 * time.Second
	s := opened(t, opts)
	watch := follow(t, s)
	eventually(t, "the node is fresh", func() bool { return s.Fresh() == nil })
	n := 0
	session := func(n int) string { return fmt.Sprintf("session-%06d", n) }
	for _, i := range []int{0, 1, 0} {
		both[i].Cut()
		// A commit that was sent to the silent member is sent again by the other way.
		began, from := time.Now(), n
		for n-from < 20 || time.Since(began) < opts.MaxLag+time.Second {
			rev := must(t, s, store.Create(store.Session, session(n), nil, never),
				store.Append(store.Event, nil, never))
			n++
			watch.upTo(t, rev)
			eventually(t, "the node is fresh with one silent member of two", func() bool { return s.Fresh() == nil })
		}
		met := 0
		for k := from; k < n; k++ {
			if both[i].Lost(session(k)) {
				met++
			}
		}
		if met > 1 {
			t.Errorf("%d of %d commits were sent to the silent member, want one at most", met, n-from)
		}
		both[i].Heal()
	}
	state, resets := watch.upTo(t, must(t, s, store.Put(store.Setting, "last", nil, never)))
	if len(state) != 2*n+1 || resets != 1 {
		t.Errorf("%d records after %d commits, %d resets", len(state), n, resets)
	}
}

// TestAQuietNodeIsFreshAndFollowsWhileItsMemberIsSilent: the node only has its own probes to find
// out that the member in use does not answer.
func TestAQuietNodeIsFreshAndFollowsWhileItsMemberIsSilent(t *testing.T) {
	t.Parallel()
	direct := space()
	other := opened(t, direct)
	opts, both := ways(t, shared, direct)
	opts.MaxLag = 4 * time.Second
	s := opened(t, opts)
	watch := follow(t, s)
	eventually(t, "the node is fresh", func() bool { return s.Fresh() == nil })
	for _, p := range both {
		p.Cut()
		watch.upTo(t, must(t, other, store.Put(store.Setting, "s", nil, never)))
		eventually(t, "the node is fresh", func() bool { return s.Fresh() == nil })
		p.Heal()
	}
}

func TestAStoreOpensByTheMemberThatAnswers(t *testing.T) {
	t.Parallel()
	for i := range 2 {
		for range 3 { // a node asks a random member first
			opts, both := ways(t, shared, space())
			both[i].Cut()
			must(t, opened(t, opts), store.Put(store.Setting, "s", nil, never))
		}
	}
}

// TestTheLeaseIsKept: the remaining time of the lease grows again before the lease ends.
func TestTheLeaseIsKept(t *testing.T) {
	t.Parallel()
	m := member.Started(t, program, 1, member.Options{})[0]
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	must(t, opened(t, opts), store.Put(store.Setting, "s", nil, never))
	raw := client(t, m)
	leases, err := raw.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("leases: %+v, %v, want one", leases, err)
	}
	id := leases.Leases[0].ID
	left := func() int64 {
		resp, err := raw.TimeToLive(t.Context(), clientv3.LeaseID(id))
		if err != nil {
			t.Fatal(err)
		}
		return resp.TTL
	}
	least := left()
	eventually(t, "the lease is prolonged", func() bool {
		now := left()
		least = min(least, now)
		return now > least+5
	})
	if least < 15 {
		t.Errorf("it was prolonged with %d s left", least)
	}
}
