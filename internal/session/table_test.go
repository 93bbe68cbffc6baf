package session

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// withToken returns a session, and its token, which is the digit 40 times.
func withToken(key Key, digit string) (Session, string) {
	s := sampleSession()
	token := strings.Repeat(digit, tokenLength)
	s.Key, s.token = key, sha256.Sum256([]byte(token))
	return s, token
}

func TestASessionIsFoundByItsTokenAllThroughAReload(t *testing.T) {
	table := NewTable(nil)
	kept, keptToken := withToken(Key{1}, "a")
	gone, goneToken := withToken(Key{2}, "b")
	table.reset()
	table.put(storeRecord(kept))
	table.put(storeRecord(gone))
	table.whole()
	l := table.byToken("", keptToken)
	if l == nil || table.byToken("", goneToken) == nil || table.Size() != 2 {
		t.Fatalf("not there; size %d", table.Size())
	}
	kept.Locale, kept.Method, kept.Origin, kept.Address = "ja_JP", "certificate", nil, "192.0.2.8"
	for _, step := range []func(){table.reset, func() { table.put(storeRecord(kept)) }, table.whole} {
		step()
		if table.byToken("", keptToken) != l || table.byKey(kept.Key) != l || !l.Alive(time.Unix(4, 0), time.Hour) {
			t.Fatal("lost")
		}
	}
	if table.byToken("", goneToken) != nil || table.byKey(gone.Key) != nil {
		t.Error("what the reload did not bring is still there")
	}
	if s := l.Session(); s.Locale != "ja_JP" || s.Origin != nil || s.Address != "192.0.2.8" {
		t.Errorf("not as the reload brought it: %+v", s)
	}
	owner := kept.Identity.Name.Key()
	if !maps.Equal(table.Methods(), map[string]int{"certificate": 1}) ||
		!maps.Equal(table.owners, map[string]int{owner: 1}) {
		t.Errorf("counted as %v, %v", table.Methods(), table.owners)
	}
	if len(table.facts.all) != 1 || len(table.addresses.all) != 1 {
		t.Errorf("%d facts and %d addresses of one session", len(table.facts.all), len(table.addresses.all))
	}
}

func TestARecordWithAnotherTokenIsAnotherSession(t *testing.T) {
	table := NewTable(nil)
	first, firstToken := withToken(Key{1}, "a")
	second, secondToken := withToken(Key{1}, "b")
	table.put(storeRecord(first))
	was := table.byToken("", firstToken)
	ends := 0
	table.OnEnd(func(Key) { ends++ })
	table.put(storeRecord(second))
	select {
	case <-was.Done():
	default:
		t.Error("the first still lives")
	}
	now := table.byToken("", secondToken)
	if table.byToken("", firstToken) != nil || now == nil || now == was || table.byKey(Key{1}) != now || ends != 1 ||
		table.Size() != 1 {
		t.Errorf("first %p, second %p, by key %p, %d ends, size %d", table.byToken("", firstToken), now,
			table.byKey(Key{1}), ends, table.Size())
	}
	table.delete(store.Session, Key{9}.String())
	table.delete(store.Session, "of no form")
	if table.Size() != 1 {
		t.Errorf("size %d after deletions of others", table.Size())
	}
}

// A failed test or a log line may print a session that is in use.
func TestPrintingALiveSessionReadsNothingThatChanges(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "Alice")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				f.Count(l, f.now())
				f.Use(l, f.now())
			}
		}
	})
	want := l.Key().String()
	var b bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&b, nil))
	for range 100 {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, l); got != want {
				t.Fatalf("%s: %s, want %s", verb, got, want)
			}
		}
		b.Reset()
		if logger.Info("x", "session", l); !strings.Contains(b.String(), want) || strings.Contains(b.String(), "{") {
			t.Fatalf("logged as %s", &b)
		}
	}
	close(stop)
	wg.Wait()
	if got := fmt.Sprint((*Live)(nil)); got != "<nil>" {
		t.Errorf("no session is %s", got)
	}
}

func TestTheActorOfALiveSessionIsThatOfItsCopy(t *testing.T) {
	f := newFixture(t, nil, nil)
	l, _ := f.start(t, "Alice")
	check := func(want event.Actor) {
		t.Helper()
		s := l.Session()
		if got := l.Actor(); got != want || got != s.Actor() {
			t.Errorf("%v, its copy has %v, want %v", got, s.Actor(), want)
		}
	}
	check(event.By(`VSPHERE.LOCAL\Alice`))
	err := f.Update(t.Context(), l, func(s *Session) ([]store.Change, error) {
		owner := s.Owner()
		s.Identity, s.Origin = named("bob").Identity, &owner
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(event.Actor{User: `VSPHERE.LOCAL\bob`, Origin: `VSPHERE.LOCAL\Alice`})
}

func TestTheLargestNumberOfSessionsOfOnePrincipalIsThatOfTheLimit(t *testing.T) {
	f := newFixture(t, nil, nil)
	if n := f.Largest(); n != 0 {
		t.Errorf("%d without sessions", n)
	}
	first, _ := f.start(t, "ann")
	for _, user := range []string{"ann", "Ann", "bob"} {
		f.start(t, user)
	}
	if n := f.Largest(); n != 3 {
		t.Errorf("%d of ann, want 3", n)
	}
	f.policy.MaxSessions, f.policy.MaxPerPrincipal = 7, 3
	if all, one := f.Limits(); all != 7 || one != 3 {
		t.Errorf("limits are %d and %d", all, one)
	}
	if _, _, err := f.Start(t.Context(), named("ann")); err == nil {
		t.Error("ann has one more than the limit")
	}
	if err := f.End(t.Context(), first, Logout(first.Session())); err != nil {
		t.Fatal(err)
	}
	if n := f.Largest(); n != 2 {
		t.Errorf("%d of ann after the end of one, want 2", n)
	}
}
