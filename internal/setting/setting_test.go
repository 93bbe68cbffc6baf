package setting_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

var epoch = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

func clock() time.Time { return epoch }

// server is the settings and the event log of one process, fed from a store.
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
	m := store.NewMirror(s, log.View(), settings.View())
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
	if err := s.SetMessage(t.Context(), event.By(`VSPHERE.LOCAL\admin`), text); err != nil {
		t.Fatal(err)
	}
	if got := s.Message(); got != text {
		t.Errorf("right after the change the message is %q", got)
	}
	if got := start(t, s.store, nil).Message(); got != text {
		t.Errorf("after a new start the message is %q", got)
	}
	if err := s.SetMessage(t.Context(), event.By("x"), " \n "); err != nil || s.Message() != "" {
		t.Errorf("blank left %q, %v", s.Message(), err)
	}
	e, _ := s.log.Latest()
	if e.Type != "GlobalMessageChangedEvent" || e.User != "x" || e.Message != "" ||
		e.PrevMessage != strings.ReplaceAll(text, "\r", "") {
		t.Errorf("the event is %+v", e)
	}
}

func TestTheSameMessageAgainPostsNothing(t *testing.T) {
	s := begin(t)
	for range 3 {
		if err := s.SetMessage(t.Context(), event.By("x"), "once"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.log.Query(event.Filter{})); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestABadMessageIsRefusedWithItsReason(t *testing.T) {
	s := begin(t)
	if err := s.SetMessage(t.Context(), event.By("x"), "stays"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"too long": strings.Repeat("a", 16<<10+1), "escape": "a\x1b[2J", "nul": "a\x00", "tab": "a\tb",
		"delete": "a\x7f", "c1": "a\u0085b", "not UTF-8": "a\xff",
	} {
		var invalid *setting.InvalidError
		if err := s.SetMessage(t.Context(), event.By("x"), text); !errors.As(err, &invalid) ||
			invalid.Name != "message" || invalid.Reason == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Message() != "stays" {
		t.Errorf("message is %q", s.Message())
	}
	if err := s.SetMessage(t.Context(), event.By("x"), strings.Repeat("a", 16<<10)); err != nil {
		t.Errorf("16 KiB: %v", err)
	}
}

func TestAnUpdateTakesEffectAtOnceAndStays(t *testing.T) {
	s := begin(t)
	err := s.Update(t.Context(), event.By(`VSPHERE.LOCAL\admin`), []setting.Option{
		{Name: setting.IdleTimeout, Value: int32(45)},
		{Name: "vigate.session.maxLifetime", Value: int64(60)},
		{Name: "vigate.session.maxPerUser", Value: "70"},
		{Name: setting.InstanceName, Value: "Büro"},
		{Name: "vigate.lockout.pair.failures", Value: uint8(3)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*server{s, start(t, s.store, nil)} {
		v := s.Values()
		if v.IdleTimeout != 45*time.Minute || v.MaxLifetime != time.Hour || v.MaxPerPrincipal != 70 ||
			v.InstanceName != "Büro" || v.Pair.Failures != 3 {
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
		if err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: d.Name, Value: set}}); err != nil {
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
		if err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: d.Name, Value: ""}}); err != nil {
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
			if err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: d.Name, Value: n}}); err != nil {
				t.Errorf("%s: bound %d refused: %v", d.Name, n, err)
			}
		}
		for _, n := range []any{int64(d.Min) - 1, int64(d.Max) + 1} {
			var invalid *setting.InvalidError
			if err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: d.Name, Value: n}}); !errors.As(err,
				&invalid) || invalid.Name != d.Name {
				t.Errorf("%s: %v past the bound: %v", d.Name, n, err)
			}
		}
	}
}

func TestATimeThatIsNoWholeNumberOfUnitsIsAString(t *testing.T) {
	s := begin(t)
	for set, want := range map[any]any{
		"90s": "1m30s", "2m": int32(2), "3": int32(3), int16(4): int32(4), "61s": "1m1s",
	} {
		if err := s.Update(t.Context(), event.By("x"),
			[]setting.Option{{Name: setting.IdleTimeout, Value: set}}); err != nil {
			t.Fatalf("%v: %v", set, err)
		}
		if got := s.value(t, setting.IdleTimeout); got != want {
			t.Errorf("%v became %v, want %v", set, got, want)
		}
	}
}

func TestOneBadValueRefusesTheWholeUpdate(t *testing.T) {
	s := begin(t)
	good := setting.Option{Name: "vigate.ticket.lifetime", Value: int32(90)}
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
			if err := s.Update(t.Context(), event.By("x"), set); !errors.As(err, &invalid) || invalid.Name != o.Name ||
				invalid.Reason == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var unknown *setting.UnknownError
	err := s.Update(t.Context(), event.By("x"),
		[]setting.Option{good, {Name: "vigate.Ticket.lifetime", Value: int32(1)}})
	if !errors.As(err, &unknown) || unknown.Name != "vigate.Ticket.lifetime" {
		t.Errorf("unknown option: %v", err)
	}
	if *s.Values() != setting.Defaults() || len(s.log.Query(event.Filter{})) != 0 {
		t.Error("a refused update changed something")
	}
}

func TestTheLastOfTwoValuesOfAnOptionIsUsed(t *testing.T) {
	s := begin(t)
	err := s.Update(t.Context(), event.By("x"),
		[]setting.Option{{setting.MaxSessions, int32(500)}, {setting.MaxSessions, int32(600)}})
	if err != nil || s.Values().MaxSessions != 600 || len(s.log.Query(event.Filter{})) != 1 {
		t.Errorf("%v, %d", err, s.Values().MaxSessions)
	}
}

func TestQueryAcceptsANameAPrefixOrNothing(t *testing.T) {
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

func TestValuesSetByClientsOverrideTheBase(t *testing.T) {
	s := begin(t)
	if err := s.Update(t.Context(), event.By("x"), []setting.Option{{setting.MaxSessions, int32(500)}}); err != nil {
		t.Fatal(err)
	}
	again := start(t, s.store, func(c *setting.Config) {
		c.Base.MaxSessions = 77
		c.Base.IdleTimeout = 90 * time.Second
	})
	if v := again.Values(); v.MaxSessions != 500 || v.IdleTimeout != 90*time.Second {
		t.Errorf("values are %+v", v)
	}
	if err := again.Update(t.Context(), event.By("x"), []setting.Option{{setting.MaxSessions, ""}}); err != nil {
		t.Fatal(err)
	}
	if n := again.Values().MaxSessions; n != 77 {
		t.Errorf("after removing the value, it is %d", n)
	}
}

func TestABaseOutOfBoundsIsRefused(t *testing.T) {
	base := setting.Defaults()
	base.Pair.Failures = 0
	var invalid *setting.InvalidError
	if _, err := setting.New(setting.Config{Base: base}); !errors.As(err, &invalid) ||
		invalid.Name != "vigate.lockout.pair.failures" {
		t.Errorf("%v", err)
	}
}

func TestADefaultLocaleMustBeSupported(t *testing.T) {
	s := start(t, storetest.NewMemory(clock), func(c *setting.Config) {
		c.CheckLocale = func(name string) error {
			if name != "en" && name != "de" {
				return errors.New("no such locale")
			}
			return nil
		}
	})
	if err := s.Update(t.Context(), event.By("x"), []setting.Option{{setting.DefaultLocale, "de"}}); err != nil ||
		s.Values().DefaultLocale != "de" {
		t.Errorf("de: %v", err)
	}
	var invalid *setting.InvalidError
	if err := s.Update(t.Context(), event.By("x"), []setting.Option{{setting.DefaultLocale, "xx"}}); !errors.As(err,
		&invalid) {
		t.Errorf("xx: %v", err)
	}
}
