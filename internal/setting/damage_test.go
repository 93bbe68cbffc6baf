package setting_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// put overwrites a record.
func put(t *testing.T, s store.Store, id, value string) {
	t.Helper()
	if _, err := s.Commit(t.Context(), store.Put(store.Setting, id, []byte(value), time.Time{})); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, s store.Store, id string) string {
	t.Helper()
	r, err := s.Get(t.Context(), store.Setting, id)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Value)
}

// strict returns a number for each option that grows with the option's strictness.
func strict(v *setting.Values) []int64 {
	return []int64{
		-int64(v.IdleTimeout), -int64(v.MaxLifetime), -int64(v.TicketLifetime), -int64(v.MaxSessions),
		-int64(v.MaxPerPrincipal),
		-int64(v.Pair.Failures), int64(v.Pair.Interval), int64(v.Pair.Duration),
		-int64(v.Principal.Failures), int64(v.Principal.Interval), int64(v.Principal.Duration),
		-int64(v.Address.Failures), int64(v.Address.Interval), int64(v.Address.Duration),
	}
}

// The record of options is truncated at each position, and replaced by other texts. No limit may
// become weaker than configured, a complete and stricter option must be in force, and the settings
// must report the damage.
func TestDamagedOptionsNeverLoosenALimit(t *testing.T) {
	backing := storetest.NewMemory(clock)
	s := start(t, backing, nil)
	err := s.Update(t.Context(), event.By("x"), []setting.Option{
		{Name: "vigate.session.maxLifetime", Value: int32(5)}, {Name: "vigate.lockout.pair.failures", Value: int32(3)},
		{Name: "vigate.lockout.pair.duration", Value: int32(3600)},
		{Name: "vigate.lockout.address.failures", Value: int32(500)}, {Name: setting.MaxSessions, Value: int32(700)},
		{Name: setting.InstanceName, Value: "mine"},
	})
	if err != nil {
		t.Fatal(err)
	}
	whole, base := stored(t, backing, "options"), setting.Defaults()
	set := *s.Values()
	seen := map[time.Duration]bool{}
	for n := range len(whole) {
		put(t, backing, "options", whole[:n])
		again := start(t, backing, nil) // the state after a restart
		v := again.Values()
		var damage *store.DamagedError
		if !errors.As(again.Damaged(), &damage) || !strings.Contains(again.said.String(), "setting can't be read") {
			t.Fatalf("%s: damage is %v", whole[:n], again.Damaged())
		}
		for i, got := range strict(v) {
			if least, most := strict(&base)[i], max(strict(&base)[i], strict(&set)[i]); got < least || got > most {
				t.Errorf("%s: limit %d is %d, weaker than configured or stricter than any value that was set",
					whole[:n], i, got)
			}
		}
		seen[v.MaxLifetime] = true
	}
	if !seen[5*time.Minute] || !seen[24*time.Hour] {
		t.Errorf("lifetimes in force: %v", seen)
	}
	for _, other := range []string{"null", "{}", "[]", `{"options":null}`, `{"options":[]}`,
		`{"options":{"vigate.session.maxLifetime":7}}`, `{"options":{"vigate.session.maxLifetime":"5 minutes"}}`,
		"\x00\xff", whole + "}"} {
		put(t, backing, "options", other)
		if again := start(t, backing, nil); again.Damaged() == nil || *again.Values() == set {
			t.Errorf("%q: no damage is reported, or the value is used", other)
		}
	}
	put(t, backing, "options", whole)
	if again := start(t, backing, nil); again.Damaged() != nil || *again.Values() != set {
		t.Errorf("mended: %v, %+v", again.Damaged(), again.Values())
	}
}

// If the record is damaged while the server runs, the values that were in force stay in force,
// unless they are weaker than the configured ones.
func TestDamageUnderARunningServerLeavesWhatWasInForce(t *testing.T) {
	s := begin(t)
	err := s.Update(t.Context(), event.By("x"), []setting.Option{
		{Name: "vigate.session.maxLifetime", Value: int32(5)}, {Name: setting.MaxSessions, Value: int32(200_000)},
		{Name: setting.InstanceName, Value: "mine"},
	})
	if err != nil {
		t.Fatal(err)
	}
	changed := s.Changed()
	put(t, s.store, "options", `{"opt`)
	<-changed
	if v := s.Values(); v.MaxLifetime != 5*time.Minute || v.MaxSessions != 100_000 || v.InstanceName != "mine" ||
		s.Damaged() == nil {
		t.Errorf("%+v, %v", v, s.Damaged())
	}
}

// An update replaces a damaged record by the options in force and the new ones. It weakens only
// what it sets explicitly.
func TestAnUpdateMendsDamagedOptions(t *testing.T) {
	for name, set := range map[string][]setting.Option{
		"nothing":    nil,
		"one option": {{Name: setting.MaxSessions, Value: int32(900)}},
		"another":    {{Name: "vigate.session.maxLifetime", Value: int32(600)}},
	} {
		backing := storetest.NewMemory(clock)
		put(t, backing, "options", `{"options":{"vigate.future":"x","vigate.session.maxLifetime":"5m0s",`+
			`"vigate.lockout.pair.fail`)
		s := start(t, backing, nil)
		if err := s.Update(t.Context(), event.By("x"), set); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := *s.Values()
		if again := start(t, backing, nil); again.Damaged() != nil || s.Damaged() != nil || *again.Values() != want {
			t.Errorf("%s: %v, %+v", name, again.Damaged(), again.Values())
		}
		lifetime := 5 * time.Minute
		if name == "another" {
			lifetime = 10 * time.Hour
		}
		if want.MaxLifetime != lifetime || !strings.Contains(stored(t, backing, "options"), `"vigate.future":"x"`) {
			t.Errorf("%s: %+v, %s", name, want, stored(t, backing, "options"))
		}
	}
}

// If a number is out of this version's bounds, the nearest allowed value is used, but it never
// weakens a limit. A newer version may have other bounds, so this is no damage.
func TestANumberOutOfBoundsNeverLoosens(t *testing.T) {
	for value, want := range map[string]time.Duration{"9000h0m0s": 24 * time.Hour, "0s": time.Second, "-5": time.Second,
		"99999999999999": 24 * time.Hour} {
		backing := storetest.NewMemory(clock)
		put(t, backing, "options", `{"options":{"vigate.session.maxLifetime":"`+value+`"}}`)
		if s := start(t, backing, nil); s.Values().MaxLifetime != want || s.Damaged() != nil {
			t.Errorf("%s: %v, %v", value, s.Values().MaxLifetime, s.Damaged())
		}
	}
}

func TestADamagedMessageIsReplacedAndADamagedIdentityIsNot(t *testing.T) {
	for _, bad := range []string{"{", "null", "{}", `{"text":7,"uuid":7}`} {
		s := begin(t)
		if err := s.SetMessage(t.Context(), event.By("x"), "kept"); err != nil {
			t.Fatal(err)
		}
		id, err := s.EnsureInstance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range []string{"message", "instance"} {
			changed := s.Changed()
			put(t, s.store, record, bad)
			<-changed
		}
		if s.Message() != "kept" || s.Instance() != id || s.Damaged() != nil {
			t.Errorf("%s: %q, %q, %v", bad, s.Message(), s.Instance(), s.Damaged())
		}
		again := start(t, s.store, nil)
		var damage *store.DamagedError
		if _, err := again.EnsureInstance(t.Context()); !errors.As(err, &damage) {
			t.Errorf("%s: instance: %v", bad, err)
		}
		if err := again.SetMessage(t.Context(), event.By("x"), "new"); err != nil || again.Message() != "new" {
			t.Errorf("%s: %q, %v", bad, again.Message(), err)
		}
		put(t, s.store, "message", bad)
		if err := again.SetMessage(t.Context(), event.By("x"), ""); err != nil ||
			stored(t, s.store, "message") != `{"text":""}` {
			t.Errorf("%s: cleared: %s, %v", bad, stored(t, s.store, "message"), err)
		}
	}
}
