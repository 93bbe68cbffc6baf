package setting_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/setting/known"
	"github.com/vigate/vigate/internal/store/storetest"
)

// The privilege Global.Settings is enough to change options. So no allowed value may disable a
// protection: guessing must stay limited, sessions must end, and no user may be locked out for
// good.
func TestClientsCanSwitchNoLimitOff(t *testing.T) {
	s := begin(t)
	for name, values := range map[string][]any{
		"config.vmacore.soap.maxSessionCount": {int32(1), int32(10_000_000)},
		"config.vmacore.soap.sessionTimeout":  {"1s", int32(60 * 24 * 365)},
		"vigate.session.maxLifetime":          {"1s", int32(60 * 24 * 365)},
		"vigate.session.maxPerUser":           {int32(1), int32(10_000_000)},
		"vigate.ticket.lifetime":              {"1s", int32(86400)},
		"vigate.lockout.pair.failures":        {int32(1), int32(21), int32(10_000_000)},
		"vigate.lockout.pair.interval":        {int32(1), "59s"},
		"vigate.lockout.pair.duration":        {int32(1), "59s"},
		"vigate.lockout.principal.failures":   {int32(1), int32(501), int32(10_000_000)},
		"vigate.lockout.principal.interval":   {int32(1), "29m59s"},
		"vigate.lockout.principal.duration":   {int32(1), "59s", int32(86400)},
		"vigate.lockout.address.failures":     {int32(1), int32(501), int32(10_000_000)},
		"vigate.lockout.address.interval":     {int32(1), "59s"},
		"vigate.lockout.address.duration":     {int32(1), "59s", int32(86400)},
	} {
		for _, v := range values {
			var invalid *setting.InvalidError
			err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: name, Value: v}})
			if !errors.As(err, &invalid) || invalid.Name != name {
				t.Errorf("%s = %v: %v", name, v, err)
			}
		}
	}
	if *s.Values() != setting.Defaults() {
		t.Errorf("in force: %+v", s.Values())
	}
}

func TestClientsMaySetWhatTheConfigurationSets(t *testing.T) {
	s := start(t, storetest.NewMemory(clock), func(c *setting.Config) {
		c.Base.Pair.Failures, c.Base.MaxPerPrincipal, c.Base.IdleTimeout = 1000, 2, 48*time.Hour
	})
	for _, c := range []struct {
		name      string
		good, bad int32
	}{
		{"vigate.lockout.pair.failures", 1000, 1001}, {"vigate.lockout.pair.failures", 3, 2},
		{"vigate.session.maxPerUser", 2, 1}, {"vigate.session.maxPerUser", 100_000, 100_001},
		{setting.IdleTimeout, 48 * 60, 48*60 + 1}, {setting.IdleTimeout, 1, 0},
	} {
		var invalid *setting.InvalidError
		err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: c.name, Value: c.bad}})
		if !errors.As(err, &invalid) {
			t.Errorf("%s = %d: %v", c.name, c.bad, err)
		}
		if err := s.Update(t.Context(), event.By("x"), []setting.Option{{Name: c.name, Value: c.good}}); err != nil {
			t.Errorf("%s = %d: %v", c.name, c.good, err)
		}
		if d := definition(t, s, c.name); c.good < d.Min || c.good > d.Max || c.bad >= d.Min && c.bad <= d.Max {
			t.Errorf("%s: clients are told %d to %d", c.name, d.Min, d.Max)
		}
	}
}

// Earlier versions had no such bounds and let clients set any value.
func TestAValueSetInAnEarlierVersionStaysInForceIfItIsStricter(t *testing.T) {
	backing := storetest.NewMemory(clock)
	put(t, backing, "options",
		`{"options":{"vigate.lockout.pair.failures":"10000000","vigate.lockout.address.duration":"1s",`+
			`"vigate.session.maxPerUser":"1","vigate.session.maxLifetime":"8760h0m0s",`+
			`"vigate.lockout.principal.failures":"400"}}`)
	s, want := start(t, backing, nil), setting.Defaults()
	want.MaxPerPrincipal, want.Principal.Failures = 1, 400
	if *s.Values() != want || s.Damaged() != nil {
		t.Errorf("in force: %+v, %v", s.Values(), s.Damaged())
	}
	for _, name := range []string{"pair.failures", "address.duration", "maxLifetime"} {
		if !strings.Contains(s.said.String(), name) {
			t.Errorf("%s is not logged: %s", name, s.said)
		}
	}
}

// TestTheBoundsOfOptionsAreThoseOfTheDocument compares the table in docs/security.md §8 with the
// code.
func TestTheBoundsOfOptionsAreThoseOfTheDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	const head = "\n| option | clients may set | default |\n|--|--|--|\n"
	_, table, _ := strings.Cut(string(doc), head)
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, d := range begin(t).Definitions() {
		if !d.Number {
			continue
		}
		unit := ""
		switch known.Options[d.Name].Unit {
		case time.Minute:
			unit = " minutes"
		case time.Second:
			unit = " seconds"
		}
		want = append(want, fmt.Sprintf("| `%s` | %d to %d%s | %v |", d.Name, d.Min, d.Max, unit, d.Default))
	}
	if got := strings.Trim(table, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("docs/security.md has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// A key that is known for an option can be pasted into the configuration.
func TestTheUnitsAndKeysThatAreKnownOfOptionsAreTrue(t *testing.T) {
	all := begin(t).Definitions()
	for _, d := range all {
		is, ok := known.Options[d.Name]
		minutes, seconds := strings.Contains(d.Summary, "minutes"), strings.Contains(d.Summary, "seconds")
		if !ok || minutes != (is.Unit == time.Minute) || seconds != (is.Unit == time.Second) {
			t.Errorf("%s has the unit %v: %s", d.Name, is.Unit, d.Summary)
		}
		if is.Key != "" && !slices.ContainsFunc(config.Keys(), func(k config.Key) bool { return k.Name == is.Key }) {
			t.Errorf("%s: there is no key %s", d.Name, is.Key)
		}
	}
	if len(known.Options) != len(all) {
		t.Errorf("%d options are known, and there are %d", len(known.Options), len(all))
	}
}

func TestClientsCannotLetOneUserHaveAllSessions(t *testing.T) {
	operator := func(all, one int) func(*setting.Config) {
		return func(c *setting.Config) { c.Base.MaxSessions, c.Base.MaxPerPrincipal = all, one }
	}
	for _, c := range []struct {
		name     string
		base     func(*setting.Config)
		all, one int // that clients set; 0: not set
		want     int
	}{
		{"nothing is set", operator(100_000, 2000), 0, 0, 2000},
		{"few sessions", operator(100_000, 2000), 100, 0, 10},
		{"many of one", operator(100_000, 2000), 0, 100_000, 10_000},
		{"both", operator(100_000, 2000), 100, 100_000, 10},
		{"fewer of one", operator(100_000, 2000), 0, 10, 10},
		{"many of all", operator(100_000, 2000), 1_000_000, 100_000, 100_000},
		{"what the operator wants", operator(5, 5), 0, 0, 5},
		{"more of all than the operator wants", operator(5, 5), 100, 0, 5},
		{"more of one than the operator wants", operator(5, 5), 0, 10, 5},
	} {
		s := start(t, storetest.NewMemory(clock), c.base)
		var set []setting.Option
		if c.all > 0 {
			set = append(set, setting.Option{Name: setting.MaxSessions, Value: int32(c.all)})
		}
		if c.one > 0 {
			set = append(set, setting.Option{Name: "vigate.session.maxPerUser", Value: int32(c.one)})
		}
		if err := s.Update(t.Context(), event.By("x"), set); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := s.PerPrincipal(); got != c.want {
			t.Errorf("%s: one user may have %d sessions, want %d", c.name, got, c.want)
		}
	}
}
