package signing

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

const longest = 30 * 24 * time.Hour

// node returns the keys of a server on the store.
func node(t *testing.T, s store.Store, clock *testclock.Clock) *Keys {
	t.Helper()
	k := New(Options{Longest: longest, Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	m := store.NewMirror(s, k.View())
	k.Attach(m)
	storetest.Follow(t, m)
	return k
}

func ensure(t *testing.T, k *Keys) {
	t.Helper()
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// serial returns the number of the key that signs now.
func serial(t *testing.T, k *Keys) int64 {
	t.Helper()
	s, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.Chain[0].SerialNumber.Int64()
}

func TestServersThatStartAtTheSameTimeHaveOneKey(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	nodes := []*Keys{node(t, s, clock), node(t, s, clock), node(t, s, clock)}
	var group sync.WaitGroup
	for _, n := range nodes {
		group.Go(func() {
			if err := n.Ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	first, err := nodes[0].Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range append(nodes, node(t, s, clock)) {
		signer, err := n.Signer(t.Context())
		if err != nil || !bytes.Equal(signer.Chain[0].Raw, first.Chain[0].Raw) || len(n.Certificates()) != 1 {
			t.Errorf("server %d: %v, %d keys", i, err, len(n.Certificates()))
		}
	}
}

func TestAKeyIsTrustedBeforeItSignsAndUntilItsTokensHaveExpired(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	k := node(t, s, clock)
	expect := func(what string, signs int64, trusted int) {
		t.Helper()
		ensure(t, k)
		if got := serial(t, k); got != signs || len(k.Certificates()) != trusted {
			t.Errorf("%s: key %d signs, %d are trusted; want %d and %d", what, got, len(k.Certificates()), signs,
				trusted)
		}
	}
	expect("at first", 1, 1)
	clock.Advance(period - notice - time.Second)
	expect("before the notice", 1, 1)
	clock.Advance(time.Second)
	expect("in the notice", 1, 2)
	clock.Advance(notice - time.Second)
	expect("at the end of the notice", 1, 2)
	clock.Advance(time.Second)
	expect("after the notice", 2, 2)
	clock.Advance(longest)
	expect("when the last token of the old key expires", 2, 2)
	clock.Advance(notice)
	expect("after the last token has expired", 2, 1)
	clock.Advance(-longest - notice - tolerance - time.Second)
	if got := serial(t, k); got != 3 {
		t.Errorf("key %d signs after the clock was set back to before its first use", got)
	}
}

func TestAServerThatWasOffForLongChangesItsKeyWithNotice(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	ensure(t, node(t, s, clock))
	clock.Advance(2 * 365 * 24 * time.Hour)
	k := node(t, s, clock)
	ensure(t, k)
	if serial(t, k) != 1 || len(k.Certificates()) != 2 {
		t.Errorf("key %d signs, %d are trusted", serial(t, k), len(k.Certificates()))
	}
	clock.Advance(validity + 2*notice)
	if serial(t, node(t, s, clock)) != 3 {
		t.Error("no new key signs at once, although all certificates have expired")
	}
}

func TestASignerIsMadeIfThereIsNone(t *testing.T) {
	clock := testclock.New(time.Time{})
	k := node(t, storetest.NewMemory(clock.Now), clock)
	if serial(t, k) != 1 {
		t.Error("it is not the first key")
	}
}

func TestARecordThatCannotBeReadIsLeftOut(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	k := node(t, s, clock)
	ensure(t, k)
	good, err := s.Get(t.Context(), store.SigningKey, "1")
	if err != nil {
		t.Fatal(err)
	}
	for id, value := range map[string]string{"2": "{}", "x": string(good.Value), "3": `{"v":1,"key":"AAAA"}`,
		"4": "x"} {
		if _, err := k.mirror.Commit(t.Context(), store.Put(store.SigningKey, id, []byte(value),
			time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	if serial(t, k) != 1 || len(k.Certificates()) != 1 {
		t.Errorf("%d keys are trusted", len(k.Certificates()))
	}
	clock.Advance(period)
	if ensure(t, k); len(k.Certificates()) != 2 {
		t.Errorf("%d keys are trusted after a change of keys past a damaged record", len(k.Certificates()))
	}
	// The view is loaded anew when the stream begins again.
	if other := node(t, s, clock); len(other.Certificates()) != 2 {
		t.Errorf("another server trusts %d keys", len(other.Certificates()))
	}
}
