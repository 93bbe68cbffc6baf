package event_test

import (
	"testing"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

func TestOnlyAnImpersonationIsDisplayedAsOne(t *testing.T) {
	for actor, want := range map[event.Actor]string{
		{}:                                      "",
		{User: `D\ann`}:                         `D\ann`,
		{User: `D\John (ops)`}:                  `D\John (ops)`,
		{User: `D\ann`, Origin: "agent"}:        `D\ann (impersonated by agent)`,
		{User: `D\ann (impersonated by agent)`}: `"D\\ann (impersonated by agent)"`,
		{User: `ann (IMPERSONATED BY agent`}:    `"ann (IMPERSONATED BY agent"`,
		{User: "ann（impеrsonated\u00a0by agent）"}: `"ann\uff08imp\u0435rsonated\u00a0by agent\uff09"`,
	} {
		if got := actor.String(); got != want {
			t.Errorf("%+v is shown as %s", actor, got)
		}
	}
}

// The filter compares the fields of the actor. A text that looks like an impersonation is a single
// name: it comes from a failed login, or from an event that an older version stored with both names
// in one text.
func TestAFilterNeverSplitsANameInTwo(t *testing.T) {
	b := begin(t, event.Options{})
	b.post(t, event.Event{Type: "EventEx", ID: "vigate.x"}.By(event.Actor{User: `D\ann`, Origin: `D\agent`}))
	const both = `D\ann (impersonated by D\agent)`
	for _, typ := range []string{"BadUsernameSessionEvent", "UserLogoutSessionEvent", "EventEx"} {
		b.post(t, event.Event{Type: typ, User: both})
	}
	old := `{"type":"UserLogoutSessionEvent","user":"D\\ann (impersonated by D\\agent)",` +
		`"created":"2025-03-04T05:06:07Z"}`
	b.View().Put(store.Record{Kind: store.Event, ID: store.NumberedID(5), Value: []byte(old)})
	for name, want := range map[string][]int32{`d\ANN`: {1}, `D\agent`: {1}, both: {2, 3, 4, 5}} {
		same(t, name, b.Query(event.Filter{Users: &event.Users{Keys: event.UserKeys([]string{name}, "d")}}), want...)
	}
	if e, ok := b.Latest(); !ok || e.User != both || e.Origin != "" {
		t.Errorf("the event of an older version is %+v", e)
	}
}
