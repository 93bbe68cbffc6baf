package setting_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

var epoch = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

func clock() time.Time { return epoch }

// server is settings and a log fed from a store, as one process has them.
type server struct {
	*setting.Settings
	log   *event.Log
	store store.Store
	said  *bytes.Buffer
}

func start(t *testing.T, s store.Store, change func(*setting.Config)) *server {
	t.Helper()
	said := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(said, nil))
	log := event.NewLog(event.Options{Now: clock, Logger: logger})
	c := setting.Config{Base: setting.Defaults(), Events: log, Logger: logger}
	if change != nil {
		change(&c)
	}
	settings, err := setting.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := store.NewMirror(s, log, settings)
	settings.Attach(m)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &server{settings, log, s, said}
}

func begin(t *testing.T) *server { return start(t, storetest.NewMemory(clock), nil) }

func (s *server) value(t *testing.T, name string) any {
	t.Helper()
	found, err := s.Query(name)
	if err != nil || len(found) != 1 {
		t.Fatalf("query %s: %v, %v", name, found, err)
	}
	return found[0].Value
}

func TestTheMessageIsKeptAcrossAStartWithItsNewlines(t *testing.T) {
	s := begin(t)
	text := "Down at noon.\r\nSave your work – bitte!\n"
	if err := s.SetMessage(t.Context(), `VSPHERE.LOCAL\admin`, text); err != nil {
		t.Fatal(err)
	}
	if got := s.Message(); got != text {
		t.Errorf("right after the change the message is %q", got)
	}
	if got := start(t, s.store, nil).Message(); got != text {
		t.Errorf("after a new start the message is %q", got)
	}
	if err := s.SetMessage(t.Context(), "x", " \n "); err != nil || s.Message() != "" {
		t.Errorf("blank left %q, %v", s.Message(), err)
	}
	e, _ := s.log.Latest()
	if e.Type != "GlobalMessageChangedEvent" || e.User != "x" || e.Message != "" || e.PrevMessage != strings.ReplaceAll(text, "\r", "") {
		t.Errorf("the event is %+v", e)
	}
}

func TestTheSameMessageAgainPostsNothing(t *testing.T) {
	s := begin(t)
	for range 3 {
		if err := s.SetMessage(t.Context(), "x", "once"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.log.Query(event.Filter{})); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestABadMessageIsRefusedWithItsReason(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), "x", "stays"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"too long": strings.Repeat("a", 16<<10+1), "escape": "a\x1b[2J", "nul": "a\x00", "tab": "a\tb",
		"delete": "a\x7f", "c1": "a\u0085b", "not UTF-8": "a\xff",
	} {
		var invalid *setting.InvalidError
		if err := s.SetMessage(t.Context(), "x", text); !errors.As(err, &invalid) || invalid.Name != "message" || invalid.Reason == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Message() != "stays" {
		t.Errorf("message is %q", s.Message())
	}
	if err := s.SetMessage(t.Context(), "x", strings.Repeat("a", 16<<10)); err != nil {
		t.Errorf("16 KiB: %v", err)
	}
}

func TestAnUpdateIsInForceAtOnceAndStays(t *testing.T) {
	s := begin(t)
	err := s.Update(t.Context(), `VSPHERE.LOCAL\admin`, []setting.Option{
		{Name: setting.IdleTimeout, Value: int32(45)},
		{Name: "vigate.session.maxLifetime", Value: int64(60)},
		{Name: "vigate.session.maxPerUser", Value: "7"},
		{Name: setting.InstanceName, Value: "Büro"},
		{Name: "vigate.lockout.pair.failures", Value: uint8(3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*server{s, start(t, s.store, nil)} {
		v := s.Values()
		if v.IdleTimeout != 45*time.Minute || v.MaxLifetime != time.Hour || v.MaxPerPrincipal != 7 || v.InstanceName != "Büro" || v.Pair.Failures != 3 {
			t.Errorf("values are %+v", v)
		}
		if v.TicketLifetime != 2*time.Minute {
			t.Errorf("what was not set changed: %v", v.TicketLifetime)
		}
	}
	posted := s.log.Query(event.Filter{IDs: []string{"vigate.setting.updated"}})
	if len(posted) != 5 {
		t.Fatalf("%d events", len(posted))
	}
	i := slices.IndexFunc(posted, func(e event.Event) bool { return e.Subject == setting.IdleTimeout })
	if e := posted[i]; e.User != `VSPHERE.LOCAL\admin` || e.Args["value"] != "45m0s" || e.Args["previous"] != "30m0s" {
		t.Errorf("the event is %+v", e)
	}
}

func TestEveryOptionChangesTheValueItNamesAndNoOther(t *testing.T) {
	for _, d := range begin(t).Definitions() {
		s := begin(t)
		before := *s.Values()
		set := any("xy")
		if d.Number {
			set = d.Min + 1
		}
		if d.Default == set {
			t.Fatalf("%s: the test would change nothing", d.Name)
		}
		if err := s.Update(t.Context(), "x", []setting.Option{{Name: d.Name, Value: set}}); err != nil {
			t.Fatalf("%s: %v", d.Name, err)
		}
		if got := s.value(t, d.Name); got != set {
			t.Errorf("%s is %v, want %v", d.Name, got, set)
		}
		others, err := s.Query("")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range others {
			if o.Name != d.Name && o.Value != definition(t, s, o.Name).Default {
				t.Errorf("%s changed %s", d.Name, o.Name)
			}
		}
		if err := s.Update(t.Context(), "x", []setting.Option{{Name: d.Name, Value: ""}}); err != nil {
			t.Fatalf("%s: %v", d.Name, err)
		}
		if *s.Values() != before {
			t.Errorf("%s: an empty string did not bring the base back: %+v", d.Name, s.Values())
		}
	}
}

func definition(t *testing.T, s *server, name string) setting.Definition {
	t.Helper()
	for _, d := range s.Definitions() {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no definition of %s", name)
	return setting.Definition{}
}

func TestDefinitionsAreSortedCompleteAndHoldTheirDefaults(t *testing.T) {
	s := begin(t)
	defs := s.Definitions()
	if !slices.IsSortedFunc(defs, func(a, b setting.Definition) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted: options are found by binary search")
	}
	for _, d := range defs {
		if d.Label == "" || d.Summary == "" || d.Min >= d.Max {
			t.Errorf("incomplete: %+v", d)
		}
		if !d.Number {
			continue
		}
		for _, n := range []int32{d.Min, d.Max} {
			if err := s.Update(t.Context(), "x", []setting.Option{{Name: d.Name, Value: n}}); err != nil {
				t.Errorf("%s: bound %d refused: %v", d.Name, n, err)
			}
		}
		for _, n := range []any{int64(d.Min) - 1, int64(d.Max) + 1} {
			var invalid *setting.InvalidError
			if err := s.Update(t.Context(), "x", []setting.Option{{Name: d.Name, Value: n}}); !errors.As(err, &invalid) || invalid.Name != d.Name {
				t.Errorf("%s: %v past the bound: %v", d.Name, n, err)
			}
		}
	}
}

func TestATimeThatIsNoWholeUnitIsAString(t *testing.T) {
	s := begin(t)
	for set, want := range map[any]any{
		"90s": "1m30s", "2m": int32(2), "3": int32(3), int16(4): int32(4), "1s": "1s",
	} {
		if err := s.Update(t.Context(), "x", []setting.Option{{Name: setting.IdleTimeout, Value: set}}); err != nil {
			t.Fatalf("%v: %v", set, err)
		}
		if got := s.value(t, setting.IdleTimeout); got != want {
			t.Errorf("%v became %v, want %v", set, got, want)
		}
	}
}

func TestOneBadValueRefusesTheWholeUpdate(t *testing.T) {
	s := begin(t)
	good := setting.Option{Name: "vigate.ticket.lifetime", Value: int32(9)}
	bad := map[string]setting.Option{
		"bool":            {Name: setting.IdleTimeout, Value: true},
		"nil":             {Name: setting.IdleTimeout},
		"float":           {Name: setting.IdleTimeout, Value: 30.5},
		"zero":            {Name: setting.IdleTimeout, Value: int32(0)},
		"negative":        {Name: setting.IdleTimeout, Value: int32(-5)},
		"overflow":        {Name: setting.IdleTimeout, Value: int64(1) << 62},
		"huge":            {Name: setting.IdleTimeout, Value: uint64(1) << 63},
		"words":           {Name: setting.IdleTimeout, Value: "soon"},
		"long":            {Name: setting.IdleTimeout, Value: strings.Repeat("1", 1000)},
		"time of a count": {Name: setting.MaxSessions, Value: "5s"},
		"number of text":  {Name: setting.InstanceName, Value: int32(5)},
		"control":         {Name: setting.InstanceName, Value: "a\nb"},
		"spaces":          {Name: setting.InstanceName, Value: " a"},
		"not UTF-8":       {Name: setting.InstanceName, Value: "a\xff"},
		"long text":       {Name: setting.InstanceName, Value: strings.Repeat("a", 256)},
		"slice":           {Name: setting.InstanceName, Value: []string{"a"}},
	}
	for name, o := range bad {
		for _, set := range [][]setting.Option{{good, o}, {o, good}} {
			var invalid *setting.InvalidError
			if err := s.Update(t.Context(), "x", set); !errors.As(err, &invalid) || invalid.Name != o.Name || invalid.Reason == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var unknown *setting.UnknownError
	err := s.Update(t.Context(), "x", []setting.Option{good, {Name: "vigate.Ticket.lifetime", Value: int32(1)}})
	if !errors.As(err, &unknown) || unknown.Name != "vigate.Ticket.lifetime" {
		t.Errorf("unknown option: %v", err)
	}
	if *s.Values() != setting.Defaults() || len(s.log.Query(event.Filter{})) != 0 {
		t.Error("a refused update left something")
	}
}

func TestOfTwoValuesOfOneOptionTheLaterCounts(t *testing.T) {
	s := begin(t)
	err := s.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, int32(5)}, {setting.MaxSessions, int32(6)}})
	if err != nil || s.Values().MaxSessions != 6 || len(s.log.Query(event.Filter{})) != 1 {
		t.Errorf("%v, %d", err, s.Values().MaxSessions)
	}
}

func TestQueryTakesANameAPrefixOrNothing(t *testing.T) {
	s := begin(t)
	for name, want := range map[string]int{
		"": len(s.Definitions()), setting.IdleTimeout: 1, "config.": 2, "vigate.lockout.": 9, "vigate.lockout.pair.": 3,
	} {
		if got, err := s.Query(name); err != nil || len(got) != want {
			t.Errorf("%q: %d options, %v, want %d", name, len(got), err, want)
		}
	}
	for _, name := range []string{"config", "Config.", "vigate.lockout", ".", "nothing.", strings.Repeat("x", 5000)} {
		var unknown *setting.UnknownError
		if got, err := s.Query(name); !errors.As(err, &unknown) || len(got) != 0 || len(err.Error()) > 500 {
			t.Errorf("%.20q: %v, %v", name, got, err)
		}
	}
}

func TestWhatClientsSetGoesBeforeTheBase(t *testing.T) {
	s := begin(t)
	if err := s.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, int32(5)}}); err != nil {
		t.Fatal(err)
	}
	again := start(t, s.store, func(c *setting.Config) {
		c.Base.MaxSessions = 77
		c.Base.IdleTimeout = 90 * time.Second
	})
	if v := again.Values(); v.MaxSessions != 5 || v.IdleTimeout != 90*time.Second {
		t.Errorf("values are %+v", v)
	}
	if err := again.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, ""}}); err != nil {
		t.Fatal(err)
	}
	if n := again.Values().MaxSessions; n != 77 {
		t.Errorf("taken back, it is %d", n)
	}
}

func TestABaseOutOfBoundsIsRefused(t *testing.T) {
	base := setting.Defaults()
	base.Pair.Failures = 0
	var invalid *setting.InvalidError
	if _, err := setting.New(setting.Config{Base: base}); !errors.As(err, &invalid) || invalid.Name != "vigate.lockout.pair.failures" {
		t.Errorf("%v", err)
	}
}

func TestADefaultLocaleMustBeServed(t *testing.T) {
	s := start(t, storetest.NewMemory(clock), func(c *setting.Config) {
		c.CheckLocale = func(name string) error {
			if name != "en" && name != "de" {
				return errors.New("no such locale")
			}
			return nil
		}
	})
	if err := s.Update(t.Context(), "x", []setting.Option{{setting.DefaultLocale, "de"}}); err != nil || s.Values().DefaultLocale != "de" {
		t.Errorf("de: %v", err)
	}
	var invalid *setting.InvalidError
	if err := s.Update(t.Context(), "x", []setting.Option{{setting.DefaultLocale, "xx"}}); !errors.As(err, &invalid) {
		t.Errorf("xx: %v", err)
	}
}

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
	for i, name := range []string{"pair.failures", "pair.interval", "pair.duration", "principal.failures", "principal.interval", "address.failures"} {
		wg.Go(func() {
			err := nodes[i%2].Update(t.Context(), "x", []setting.Option{{"vigate.lockout." + name, int32(42)}})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	v := start(t, backing, nil).Values()
	if v.Pair != (setting.Lockout{Failures: 42, Interval: 42 * time.Second, Duration: 42 * time.Second}) || v.Principal.Failures != 42 || v.Principal.Interval != 42*time.Second || v.Address.Failures != 42 {
		t.Errorf("values are %+v", v)
	}
}

func TestMessagesSetAtTheSameTimeEachNameTheOneBefore(t *testing.T) {
	s := begin(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := s.SetMessage(t.Context(), "x", fmt.Sprint(i)); err != nil {
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

// contested is a store in which somebody else changes the record before every
// commit.
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

func TestAChangeThatNeverWinsEndsWithAConflict(t *testing.T) {
	c := &contested{Store: storetest.NewMemory(clock)}
	s := start(t, c, nil)
	if err := s.SetMessage(t.Context(), "x", "mine"); !errors.Is(err, store.ErrConflict) {
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
		func() error { return s.SetMessage(t.Context(), "x", "hello") },
		func() error {
			return s.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, int32(5)}})
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

func TestADamagedRecordChangesNothingAndIsNotOverwritten(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), "x", "kept"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"options", "message", "instance"} {
		if _, err := s.store.Commit(t.Context(), store.Put(store.Setting, id, []byte("{"), time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	var damaged *store.DamagedError
	if err := s.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, int32(5)}}); !errors.As(err, &damaged) {
		t.Errorf("options: %v", err)
	}
	if err := s.SetMessage(t.Context(), "x", "new"); !errors.As(err, &damaged) {
		t.Errorf("message: %v", err)
	}
	if _, err := s.EnsureInstance(t.Context()); !errors.As(err, &damaged) {
		t.Errorf("instance: %v", err)
	}
	if s.Message() != "kept" {
		t.Errorf("message is %q", s.Message())
	}
	again := start(t, s.store, nil)
	if *again.Values() != setting.Defaults() || strings.Count(again.said.String(), "setting not taken over") != 3 {
		t.Errorf("after a new start: %+v, %s", again.Values(), again.said)
	}
}

func TestWhatANewerVersionSetIsKept(t *testing.T) {
	backing := storetest.NewMemory(clock)
	value := []byte(`{"options":{"vigate.future":"x","vigate.ticket.lifetime":"9000h0m0s","vigate.session.maxPerUser":"3"}}`)
	if _, err := backing.Commit(t.Context(), store.Put(store.Setting, "options", value, time.Time{}),
		store.Put(store.Setting, "future", []byte("?"), time.Time{})); err != nil {
		t.Fatal(err)
	}
	s := start(t, backing, nil)
	if v := s.Values(); v.MaxPerPrincipal != 3 || v.TicketLifetime != 2*time.Minute {
		t.Errorf("values are %+v", v)
	}
	if err := s.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, int32(5)}}); err != nil {
		t.Fatal(err)
	}
	r, err := backing.Get(t.Context(), store.Setting, "options")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Options map[string]string }
	if err := json.Unmarshal(r.Value, &got); err != nil || got.Options["vigate.future"] != "x" || got.Options["vigate.ticket.lifetime"] != "9000h0m0s" {
		t.Errorf("stored is %s, %v", r.Value, err)
	}
}

func TestWhatIsDeletedIsTheBaseAgain(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), "x", "gone soon"); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), "x", []setting.Option{{setting.MaxSessions, int32(5)}}); err != nil {
		t.Fatal(err)
	}
	changed := s.Changed()
	s.Delete(store.Setting, "message")
	s.Delete(store.Setting, "options")
	if s.Message() != "" || *s.Values() != setting.Defaults() {
		t.Errorf("%q, %+v", s.Message(), s.Values())
	}
	<-changed
}

func TestReadersSeeTheOldStateUntilTheNewIsWhole(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), "x", "old"); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	s.Put(store.Record{Kind: store.Setting, ID: "options", Value: []byte(`{"options":{"vigate.session.maxPerUser":"3"}}`)})
	if s.Message() != "old" || s.Values().MaxPerPrincipal != 2000 {
		t.Error("half a state is seen")
	}
	s.Whole()
	if s.Message() != "" || s.Values().MaxPerPrincipal != 3 {
		t.Errorf("%q, %d", s.Message(), s.Values().MaxPerPrincipal)
	}
}
