package signing

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
)

func nothing(Key) []store.Change { return nil }

// shown returns the keys as texts such as "2 signing".
func shown(k *Keys) string {
	var all []string
	for _, a := range k.List() {
		all = append(all, string('0'+rune(a.Number))+" "+string(a.State))
	}
	return strings.Join(all, ", ")
}

func replace(t *testing.T, k *Keys, distrust bool) Key {
	t.Helper()
	made, err := k.Replace(t.Context(), distrust, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAReplacedKeyStaysTrustedUntilItsTokensHaveExpired(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	k, other := node(t, s, clock), node(t, s, clock)
	ensure(t, k)
	clock.Advance(period - notice)
	ensure(t, k) // the second key signs in a day
	if got := shown(k); got != "1 signing, 2 next" {
		t.Fatal(got)
	}
	made := replace(t, k, false)
	if got := shown(k); got != "1 trusted, 2 trusted, 3 signing" || made != k.List()[2] || made.Number != 3 {
		t.Errorf("%s; made %+v", got, made)
	}
	if err := other.mirror.Sync(t.Context()); err != nil || serial(t, other) != 3 || len(other.Certificates()) != 3 {
		t.Errorf("another server: key %d of %d signs, %v", serial(t, other), len(other.Certificates()), err)
	}
	clock.Advance(longest + notice)
	// The second key would have signed a day after the replacement, so the first one stays as long.
	if ensure(t, k); shown(k) != "1 trusted, 2 trusted, 3 signing" {
		t.Error(shown(k))
	}
	clock.Advance(notice)
	if ensure(t, k); shown(k) != "3 signing" {
		t.Error(shown(k))
	}
	for i, a := range k.List() {
		if a.Until.IsZero() != (i == len(k.List())-1) {
			t.Errorf("%+v", a)
		}
	}
}

func TestADistrustedKeyIsGoneWithTheCommitThatReplacesIt(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	k, other := node(t, s, clock), node(t, s, clock)
	ensure(t, k)
	old, err := k.Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	condition, known := k.Require(old.Chain[0])
	if !known {
		t.Fatal("the key that signs is not known")
	}
	before := other.Version()
	replace(t, k, true)
	if got := shown(k); got != "2 signing" {
		t.Error(got)
	}
	if _, known := k.Require(old.Chain[0]); known {
		t.Error("the old key is still known")
	}
	if _, err := k.mirror.Commit(t.Context(), condition); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit that requires the old key: %v", err)
	}
	if err := other.mirror.Sync(t.Context()); err != nil || shown(other) != "2 signing" || other.Version() == before {
		t.Errorf("another server: %s, %v", shown(other), err)
	}
}

// A server whose clock is behind must not make a key of its own because the new one begins in its future.
func TestAServerWithAnotherClockSignsWithTheNewKeyToo(t *testing.T) {
	clock, behind := testclock.New(time.Time{}), testclock.New(time.Time{})
	clock.Advance(30 * time.Second)
	s := storetest.NewMemory(clock.Now)
	k, other := node(t, s, clock), node(t, s, behind)
	ensure(t, k)
	replace(t, k, true)
	if err := other.mirror.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	ensure(t, other)
	if serial(t, other) != 2 || shown(other) != "2 signing" {
		t.Errorf("key %d signs: %s", serial(t, other), shown(other))
	}
}

func TestServersThatReplaceKeysAtTheSameTimeLeaveOneThatSigns(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	nodes := []*Keys{node(t, s, clock), node(t, s, clock), node(t, s, clock)}
	ensure(t, nodes[0])
	var group sync.WaitGroup
	for _, n := range nodes {
		group.Go(func() {
			if _, err := n.Replace(t.Context(), true, nothing); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, n := range nodes {
		if err := n.mirror.Sync(t.Context()); err != nil || shown(n) != "4 signing" {
			t.Errorf("%s, %v", shown(n), err)
		}
	}
}

func TestKeysCannotBeReplacedWithoutEnd(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	k := node(t, s, clock)
	ensure(t, k)
	first, err := s.Get(t.Context(), store.SigningKey, "1")
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n < maxKeys; n++ { // the key is as good as another one
		more := store.Create(store.SigningKey, strconv.Itoa(n), first.Value, time.Time{})
		if _, err := k.mirror.Commit(t.Context(), more); err != nil {
			t.Fatal(err)
		}
	}
	replace(t, k, false)
	if _, err := k.Replace(t.Context(), false, nothing); !errors.Is(err, ErrTooMany) {
		t.Errorf("key %d: %v", maxKeys+1, err)
	}
	if replace(t, k, true); len(k.List()) != 1 {
		t.Errorf("%d keys after all were distrusted", len(k.List()))
	}
}

func TestAReplacementIsCommittedWithItsEvent(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := storetest.NewMemory(clock.Now)
	k := node(t, s, clock)
	ensure(t, k)
	// A record that can't be read has the next number.
	if _, err := k.mirror.Commit(t.Context(), store.Put(store.SigningKey, "2", []byte("x"), time.Time{})); err != nil {
		t.Fatal(err)
	}
	var told []uint64
	made, err := k.Replace(t.Context(), false, func(made Key) []store.Change {
		told = append(told, made.Number)
		return []store.Change{store.Create(store.Setting, "told", nil, time.Time{})}
	})
	if err != nil || made.Number != 3 || !slices.Equal(told, []uint64{3}) {
		t.Fatalf("%+v, %v, %v", made, told, err)
	}
	if _, err := s.Get(t.Context(), store.Setting, "told"); err != nil {
		t.Errorf("the change beside: %v", err)
	}
	// Without the change beside it, nothing is made: here it fails, because the record is there.
	_, err = k.Replace(t.Context(), true, func(Key) []store.Change {
		return []store.Change{store.Create(store.Setting, "told", nil, time.Time{})}
	})
	if err == nil || shown(k) != "1 trusted, 3 signing" {
		t.Errorf("%v: %s", err, shown(k))
	}
}
