package event_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
)

// story returns a log with one event of each kind.
func story(t *testing.T) *bench {
	b := begin(t, event.Options{})
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	b.post(t,
		event.Event{Created: at(1), Type: "ServerStartedSessionEvent"},
		event.Event{Created: at(2), Type: "UserLoginSessionEvent", User: `VSPHERE.LOCAL\Bob`},
		event.Event{Created: at(3), Type: "BadUsernameSessionEvent", User: `x (impersonated by vsphere.local\bob)`},
		event.Event{Created: at(4), Type: "EventEx", ID: "vigate.ticket.issued", User: `VSPHERE.LOCAL\alice`,
			Origin: `VSPHERE.LOCAL\bob`, ChainID: 2},
		event.Event{Created: at(5), Type: "GeneralUserEvent", User: "com.example.ext", Message: "hi", Tag: "red"},
		event.Event{Created: at(6), Type: "EventEx", ID: "com.example.bad", User: `OTHER\bob`, Severity: "warning"},
		event.Event{Created: at(7), Type: "PermissionAddedEvent", User: `VSPHERE.LOCAL\alice`, Severity: "odd"},
	)
	return b
}

func TestTheFilterSelectsAsTheAPISays(t *testing.T) {
	b := story(t)
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	users := func(system bool, names ...string) *event.Users {
		return &event.Users{System: system, Keys: event.UserKeys(names, "vsphere.local")}
	}
	for name, c := range map[string]struct {
		filter event.Filter
		want   []int32
	}{
		"nothing asked": {event.Filter{}, []int32{1, 2, 3, 4, 5, 6, 7}},
		"root itself": {event.Filter{Entity: &event.Entity{ID: "group-d1", Recursion: "self"}},
			[]int32{1, 2, 3, 4, 5, 6, 7}},
		"root and children": {event.Filter{Entity: &event.Entity{ID: "group-d1", Recursion: "all"}},
			[]int32{1, 2, 3, 4, 5, 6, 7}},
		"children of root": {event.Filter{Entity: &event.Entity{ID: "group-d1", Recursion: "children"}},
			[]int32{}},
		"another entity": {event.Filter{Entity: &event.Entity{ID: "vm-1", Recursion: "all"}}, []int32{}},
		"from":           {event.Filter{Begin: at(6)}, []int32{6, 7}},
		"until":          {event.Filter{End: at(2)}, []int32{1, 2}},
		"at one instant": {event.Filter{Begin: at(3), End: at(3)}, []int32{3}},
		"between two":    {event.Filter{Begin: at(3).Add(1), End: at(4).Add(-1)}, []int32{}},
		"far times": {event.Filter{Begin: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC),
			End: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, []int32{1, 2, 3, 4, 5, 6, 7}},
		"bare user":      {event.Filter{Users: users(false, "BOB")}, []int32{2, 4}},
		"user of domain": {event.Filter{Users: users(false, "bob@Vsphere.Local")}, []int32{2, 4}},
		"other domain":   {event.Filter{Users: users(false, `other\BOB`)}, []int32{6}},
		"impersonated":   {event.Filter{Users: users(false, "alice")}, []int32{4, 7}},
		"extension":      {event.Filter{Users: users(false, "com.Example.ext")}, []int32{5}},
		"several":        {event.Filter{Users: users(false, "alice", `other\bob`)}, []int32{4, 6, 7}},
		"typed name": {event.Filter{Users: users(false, `x (impersonated by vsphere.local\bob)`)},
			[]int32{3}},
		"all users":            {event.Filter{Users: users(false)}, []int32{2, 3, 4, 5, 6, 7}},
		"system and all users": {event.Filter{Users: users(true)}, []int32{1, 2, 3, 4, 5, 6, 7}},
		"system and one":       {event.Filter{Users: users(true, "com.example.ext")}, []int32{1, 5}},
		"chain":                {event.Filter{ChainID: 2}, []int32{2, 4}},
		"chain of one":         {event.Filter{ChainID: 5}, []int32{5}},
		"no chain":             {event.Filter{ChainID: 99}, []int32{}},
		"alarm":                {event.Filter{Alarm: true}, []int32{}},
		"scheduled task":       {event.Filter{ScheduledTask: true}, []int32{}},
		"errors":               {event.Filter{Categories: []string{"error"}}, []int32{3}},
		"warnings and user":    {event.Filter{Categories: []string{"warning", "user"}}, []int32{5, 6}},
		"info":                 {event.Filter{Categories: []string{"info"}}, []int32{1, 2, 4, 7}},
		"unknown category":     {event.Filter{Categories: []string{"odd"}}, []int32{}},
		"type":                 {event.Filter{Types: []string{"UserLoginSessionEvent"}}, []int32{2}},
		"supertype":            {event.Filter{Types: []string{"SessionEvent"}}, []int32{1, 2, 3}},
		"two up":               {event.Filter{Types: []string{"vim.event.AuthorizationEvent"}}, []int32{7}},
		"every type":           {event.Filter{Types: []string{"Event"}}, []int32{1, 2, 3, 4, 5, 6, 7}},
		"types":                {event.Filter{Types: []string{"EventEx", "GeneralEvent"}}, []int32{4, 5, 6}},
		"id of type":           {event.Filter{IDs: []string{"vim.event.UserLoginSessionEvent"}}, []int32{2}},
		"bare id":              {event.Filter{IDs: []string{"UserLoginSessionEvent"}}, []int32{2}},
		"id of supertype":      {event.Filter{IDs: []string{"vim.event.SessionEvent"}}, []int32{1, 2, 3}},
		"own id":               {event.Filter{IDs: []string{"vigate.ticket.issued"}}, []int32{4}},
		"ids": {event.Filter{IDs: []string{"com.example.bad", "GeneralUserEvent"}},
			[]int32{5, 6}},
		"EventEx goes by its id": {event.Filter{IDs: []string{"EventEx", "vim.event.Event"}},
			[]int32{1, 2, 3, 5, 7}},
		"tag":                      {event.Filter{Tags: []string{"red"}}, []int32{5}},
		"no tag":                   {event.Filter{Tags: []string{""}}, []int32{1, 2, 3, 4, 6, 7}},
		"the newest two":           {event.Filter{MaxCount: 2}, []int32{6, 7}},
		"the newest two of a type": {event.Filter{Types: []string{"SessionEvent"}, MaxCount: 2}, []int32{2, 3}},
		"all must hold": {event.Filter{Users: users(false, "bob"), Types: []string{"SessionEvent"}},
			[]int32{2}},
		"all must hold, none does": {event.Filter{Begin: at(5), ChainID: 2}, []int32{}},
		"type and id must both fit": {event.Filter{Types: []string{"EventEx"}, IDs: []string{"com.example.bad"}},
			[]int32{6}},
	} {
		same(t, name, b.Query(c.filter), c.want...)
	}
}

func TestAQueryReturnsAThousandEventsByDefault(t *testing.T) {
	l := filled(1500)
	for maxCount, want := range map[int]int{0: 1000, 1: 1, 1000: 1000, 5000: 1000, -1: 1000} {
		got := l.Query(event.Filter{MaxCount: maxCount})
		if len(got) != want || got[len(got)-1].Key != 1500 {
			t.Errorf("max count %d: %d events", maxCount, len(got))
		}
	}
}

func TestAnInvalidFilterIsRefused(t *testing.T) {
	for _, c := range []struct {
		filter event.Filter
		want   error
	}{
		{event.Filter{}, nil},
		{event.Filter{MaxCount: 1000, Entity: &event.Entity{ID: "x", Recursion: "self"}}, nil},
		{event.Filter{MaxCount: 1001}, event.ErrMaxCount},
		{event.Filter{MaxCount: -1}, event.ErrMaxCount},
		{event.Filter{Entity: &event.Entity{ID: "group-d1"}}, event.ErrRecursion},
		{event.Filter{Entity: &event.Entity{ID: "group-d1", Recursion: "down"}}, event.ErrRecursion},
	} {
		if err := c.filter.Check(); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.filter, err)
		}
		if _, err := event.NewLog(event.Options{}).NewCollector(c.filter); !errors.Is(err, c.want) {
			t.Errorf("collector of %+v: %v", c.filter, err)
		}
	}
}

func TestUserKeysAreThoseOfPrincipals(t *testing.T) {
	got := event.UserKeys([]string{"Bob", "bob@Corp", `CORP\Bob`, "", "a\\b\\c"}, "vsphere.local")
	want := []string{"bob", `vsphere.local\bob`, "bob@corp", `corp\bob`, `corp\bob`, "", `a\b\c`}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestCategoriesAreThoseOfVCenter(t *testing.T) {
	for typ, want := range map[string]string{
		"UserLoginSessionEvent": "info", "BadUsernameSessionEvent": "error", "NoAccessUserEvent": "error",
		"GeneralUserEvent": "user", "EventEx": "info", "Unheard": "info",
	} {
		if got := event.Category(event.Event{Type: typ}); got != want {
			t.Errorf("%s is %s", typ, got)
		}
	}
	if got := event.Category(event.Event{Type: "EventEx", Severity: "error"}); got != "error" {
		t.Errorf("a severity of its own became %s", got)
	}
}

// Responses contain times with a precision of a microsecond. A query for exactly that time must
// find the event.
func TestAnEventIsFoundByTheTimeInTheResponse(t *testing.T) {
	b := begin(t, event.Options{})
	created := epoch.Add(123456789 * time.Nanosecond)
	b.post(t, event.Event{Type: "EventEx", ID: "vigate.x", Created: created})
	told := created.Truncate(time.Microsecond)
	for name, f := range map[string]event.Filter{
		"since then": {Begin: told}, "until then": {End: told}, "then": {Begin: told, End: told},
	} {
		same(t, name, b.Query(f), 1)
	}
}
