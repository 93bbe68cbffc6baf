package setting_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

func TestTheInstanceIsMadeOnceAndStays(t *testing.T) {
	backing := storetest.NewMemory(clock)
	var nodes []*server
	for range 8 {
		nodes = append(nodes, start(t, backing, nil))
	}
	ids := make([]string, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			id, err := n.EnsureInstance(t.Context())
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	if len(slices.Compact(slices.Clone(ids))) != 1 || len(ids[0]) != 36 || ids[0][14] != '4' {
		t.Errorf("instances %q", ids)
	}
	if id, err := start(t, backing, nil).EnsureInstance(t.Context()); err != nil || id != ids[0] {
		t.Errorf("later %q, %v", id, err)
	}
	if id, err := begin(t).EnsureInstance(t.Context()); err != nil || id == ids[0] {
		t.Errorf("another store has the same instance %q, %v", id, err)
	}
}

func TestAnInstanceNeedsRandomBytes(t *testing.T) {
	s := start(t, storetest.NewMemory(clock), func(c *setting.Config) { c.Random = strings.NewReader("short") })
	if id, err := s.EnsureInstance(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) || s.Instance() != "" {
		t.Errorf("%q, %v", id, err)
	}
}

func TestUpdatesAtTheSameTimeLoseNothing(t *testing.T) {
	backing := storetest.NewMemory(clock)
	nodes := []*server{start(t, backing, nil), start(t, backing, nil)}
	var wg sync.WaitGroup
	for i, o := range []setting.Option{
		{"pair.failures", int32(7)}, {"pair.interval", int32(70)}, {"pair.duration", int32(71)},
		{"principal.failures", int32(42)}, {"principal.interval", int32(4200)}, {"address.failures", int32(43)},
	} {
		wg.Go(func() {
			o.Name = "vigate.lockout." + o.Name
			if err := nodes[i%2].Update(t.Context(), event.By("x"), []setting.Option{o}); err != nil {
				t.Errorf("%s: %v", o.Name, err)
			}
		})
	}
	wg.Wait()
	v := start(t, backing, nil).Values()
	if v.Pair != (setting.Lockout{Failures: 7, Interval: 70 * time.Second, Duration: 71 * time.Second}) ||
		v.Principal.Failures != 42 || v.Principal.Interval != 70*time.Minute || v.Address.Failures != 43 {
		t.Errorf("values are %+v", v)
	}
}

func TestMessagesSetAtTheSameTimeEachNameTheOneBefore(t *testing.T) {
	s := begin(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := s.SetMessage(t.Context(), event.By("x"), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	prev := ""
	posted := s.log.Query(event.Filter{})
	for _, e := range posted {
		if e.PrevMessage != prev {
			t.Errorf("%q follows %q and says %q", e.Message, prev, e.PrevMessage)
		}
		prev = e.Message
	}
	if len(posted) != 8 || prev != s.Message() {
		t.Errorf("%d events, the last %q, the message %q", len(posted), prev, s.Message())
	}
}

// contested is a store in which another process changes the record before every commit.
type contested struct {
	store.Store
	n int
}

func (c *contested) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	c.n++
	value := fmt.Appendf(nil, `{"text":"%d"}`, c.n)
	if _, err := c.Store.Commit(ctx, store.Put(store.Setting, "message", value, time.Time{})); err != nil {
		return 0, err
	}
	return c.Store.Commit(ctx, changes...)
}

func TestAChangeThatIsAlwaysOvertakenEndsWithAConflict(t *testing.T) {
	c := &contested{Store: storetest.NewMemory(clock)}
	s := start(t, c, nil)
	if err := s.SetMessage(t.Context(), event.By("x"), "mine"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v", err)
	}
	if c.n < 2 || c.n > 100 {
		t.Errorf("%d attempts", c.n)
	}
}

func TestChangedWakesAtEachChange(t *testing.T) {
	s := begin(t)
	changed := s.Changed()
	select {
	case <-changed:
		t.Fatal("changed before anything was")
	default:
	}
	for _, change := range []func() error{
		func() error { return s.SetMessage(t.Context(), event.By("x"), "hello") },
		func() error {
			return s.Update(t.Context(), event.By("x"), []setting.Option{{setting.MaxSessions, int32(500)}})
		},
	} {
		changed := s.Changed()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		default:
			t.Error("not closed when the change was acknowledged")
		}
	}
}

func TestOptionsOfANewerVersionAreKept(t *testing.T) {
	backing := storetest.NewMemory(clock)
	value := []byte(`{"options":{"vigate.future":"x","vigate.ticket.lifetime":"9000h0m0s",` +
		`"vigate.session.maxPerUser":"3"}}`)
	if _, err := backing.Commit(t.Context(), store.Put(store.Setting, "options", value, time.Time{}),
		store.Put(store.Setting, "future", []byte("?"), time.Time{})); err != nil {
		t.Fatal(err)
	}
	s := start(t, backing, nil)
	if v := s.Values(); v.MaxPerPrincipal != 3 || v.TicketLifetime != 2*time.Minute {
		t.Errorf("values are %+v", v)
	}
	if err := s.Update(t.Context(), event.By("x"), []setting.Option{{setting.MaxSessions, int32(500)}}); err != nil {
		t.Fatal(err)
	}
	r, err := backing.Get(t.Context(), store.Setting, "options")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Options map[string]string }
	if err := json.Unmarshal(r.Value, &got); err != nil || got.Options["vigate.future"] != "x" ||
		got.Options["vigate.ticket.lifetime"] != "9000h0m0s" {
		t.Errorf("stored is %s, %v", r.Value, err)
	}
}

func TestADeletedRecordRestoresTheBase(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), event.By("x"), "gone soon"); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), event.By("x"), []setting.Option{{setting.MaxSessions, int32(500)}}); err != nil {
		t.Fatal(err)
	}
	changed := s.Changed()
	s.View().Delete(store.Setting, "message")
	s.View().Delete(store.Setting, "options")
	if s.Message() != "" || *s.Values() != setting.Defaults() {
		t.Errorf("%q, %+v", s.Message(), s.Values())
	}
	<-changed
}

func TestReadersSeeTheOldStateUntilTheNewOneIsComplete(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), event.By("x"), "old"); err != nil {
		t.Fatal(err)
	}
	s.View().Reset()
	s.View().Put(store.Record{Kind: store.Setting, ID: "options",
		Value: []byte(`{"options":{"vigate.session.maxPerUser":"3"}}`)})
	if s.Message() != "old" || s.Values().MaxPerPrincipal != 2000 {
		t.Error("an incomplete state is visible")
	}
	s.View().Whole()
	if s.Message() != "" || s.Values().MaxPerPrincipal != 3 {
		t.Errorf("%q, %d", s.Message(), s.Values().MaxPerPrincipal)
	}
}
