package vim

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
)

const eventsOf = "EventManager"

func (f *fixture) query(s types.EventFilterSpec) []types.BaseEvent {
	f.t.Helper()
	return get[[]types.BaseEvent](f, f.as(f.ann, eventsOf, "QueryEvents", &types.QueryEventsRequestType{Filter: s}))
}

// kinds are the events' types, or ids.
func kinds(all []types.BaseEvent) []string {
	var names []string
	for _, e := range all {
		if x, is := e.(*types.EventEx); is {
			names = append(names, x.EventTypeId)
			continue
		}
		names = append(names, reflect.TypeOf(e).Elem().Name())
	}
	return names
}

func TestWhatHappenedIsToldWithItsFacts(t *testing.T) {
	f := newFixture(t)
	e := f.query(types.EventFilterSpec{Type: []string{"UserLoginSessionEvent"}, MaxCount: 1})[0].(*types.UserLoginSessionEvent)
	if e.UserName != annName || e.IpAddress != "192.0.2.7" || e.UserAgent != "test/1" || e.Locale != "en" || e.SessionId != f.key(f.ann) ||
		!e.CreatedTime.Equal(f.clock.now()) || e.Key == 0 || e.ChainId != e.Key || e.FullFormattedMessage != `User VSPHERE.LOCAL\Ann@192.0.2.7 logged in as test/1` {
		t.Errorf("login %+v", e)
	}
	f.as("", "SessionManager", "Login", &types.LoginRequestType{UserName: "eve", Password: "guess"})
	bad := f.query(types.EventFilterSpec{MaxCount: 1})[0].(*types.BadUsernameSessionEvent)
	if bad.UserName != `VSPHERE.LOCAL\eve` || bad.IpAddress != "192.0.2.7" || bad.Key <= e.Key {
		t.Errorf("failed login %+v", bad)
	}
	ok(f, f.on("SessionManager", "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: "one"}))
	ok(f, f.on("SessionManager", "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: "two"}))
	if m := newest[*types.GlobalMessageChangedEvent](f); m.Message != "two" || m.PrevMessage != "one" || m.UserName != adminName {
		t.Errorf("message %+v", m)
	}
	second := f.login(annName, annPassword)
	key := f.key(second)
	ok(f, f.on("SessionManager", "TerminateSession", &types.TerminateSessionRequestType{SessionId: []string{key}}))
	if x := newest[*types.SessionTerminatedEvent](f); x.SessionId != key || x.TerminatedUsername != annName || x.UserName != adminName {
		t.Errorf("terminated %+v", x)
	}
	third := f.login(annName, annPassword)
	ok(f, f.as(third, "SessionManager", "Logout", &types.LogoutRequestType{}))
	if x := newest[*types.UserLogoutSessionEvent](f); x.LoginTime == nil || !x.LoginTime.Equal(f.clock.now()) || x.UserName != annName || x.IpAddress != "192.0.2.7" {
		t.Errorf("logout %+v", x)
	}
	f.as(f.ann, "SessionManager", "Login", &types.LoginRequestType{UserName: "ann", Password: annPassword})
	if x := newest[*types.AlreadyAuthenticatedSessionEvent](f); x.UserName != annName {
		t.Errorf("already %+v", x)
	}
	ok(f, f.unset(f.admin, "ann", false))
	f.as("", "SessionManager", "Login", &types.LoginRequestType{UserName: "ann", Password: annPassword})
	if x := newest[*types.NoAccessUserEvent](f); x.UserName != annName || x.IpAddress != "192.0.2.7" {
		t.Errorf("no access %+v", x)
	}
}

func TestTheServersOwnEventsCarryWhatTheyAreAbout(t *testing.T) {
	f := newFixture(t)
	x := f.query(types.EventFilterSpec{EventTypeId: []string{"vigate.permission.set"}, MaxCount: 1})[0].(*types.EventEx)
	args := map[string]any{}
	for _, kv := range x.Arguments {
		args[kv.Key] = kv.Value
	}
	if x.Severity != "info" || x.ObjectId != "group-d1" || x.ObjectType != "Folder" || x.ObjectName != "Datacenters" || args["subject"] != annName || args["role"] != "ReadOnly" {
		t.Errorf("event %+v", x)
	}
}

func TestMessagesAreInTheReadersLanguageOrLeftOut(t *testing.T) {
	f := newFixture(t)
	spec := types.EventFilterSpec{Type: []string{"SessionEvent"}, MaxCount: 1}
	en := f.query(spec)[0].GetEvent().FullFormattedMessage
	ok(f, f.as(f.ann, "SessionManager", "SetLocale", &types.SetLocaleRequestType{Locale: "ja"}))
	if ja := f.query(spec)[0].GetEvent().FullFormattedMessage; ja == en || !strings.Contains(ja, annName) {
		t.Errorf("en %q, ja %q", en, ja)
	}
	spec.DisableFullMessage = new(true)
	if got := f.query(spec)[0].GetEvent().FullFormattedMessage; got != "" {
		t.Errorf("message %q", got)
	}
}

func TestEveryPartOfTheFilterCounts(t *testing.T) {
	f := newFixture(t)
	start := f.clock.now()
	f.clock.pass(time.Minute)
	ok(f, f.on(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: RootFolder(), Msg: "hello"}))
	ok(f, f.on(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: &types.EventEx{Event: types.Event{ChainId: 70007, ChangeTag: "tag"}, EventTypeId: "com.acme.it", Severity: "warning"}}))
	later := f.clock.now()
	alarm := types.ManagedObjectReference{Type: "Alarm", Value: "alarm-1"}
	both := []string{"GeneralUserEvent", "com.acme.it"}
	for name, c := range map[string]struct {
		spec types.EventFilterSpec
		want []string
	}{
		"time":      {types.EventFilterSpec{Time: &types.EventFilterSpecByTime{BeginTime: &later, EndTime: &later}}, both},
		"no time":   {types.EventFilterSpec{Time: &types.EventFilterSpecByTime{BeginTime: new(later.Add(1))}}, nil},
		"user":      {types.EventFilterSpec{UserName: &types.EventFilterSpecByUsername{UserList: []string{"administrator"}}, Time: &types.EventFilterSpecByTime{BeginTime: &later}}, both},
		"user none": {types.EventFilterSpec{UserName: &types.EventFilterSpecByUsername{UserList: []string{"nobody"}}}, nil},
		"chain":     {types.EventFilterSpec{EventChainId: 70007}, both[1:]},
		"tag":       {types.EventFilterSpec{Tag: []string{"tag"}}, both[1:]},
		"id":        {types.EventFilterSpec{EventTypeId: []string{"com.acme.it"}}, both[1:]},
		"type":      {types.EventFilterSpec{Type: []string{"GeneralUserEvent"}}, both[:1]},
		"category":  {types.EventFilterSpec{Category: []string{"warning", "user"}}, both},
		"entity":    {types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: RootFolder(), Recursion: "self"}, Time: &types.EventFilterSpecByTime{BeginTime: &later}}, both},
		"children":  {types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: RootFolder(), Recursion: "children"}}, nil},
		"alarm":     {types.EventFilterSpec{Alarm: &alarm}, nil},
		"task":      {types.EventFilterSpec{ScheduledTask: &alarm}, nil},
		"count":     {types.EventFilterSpec{MaxCount: 1}, both[1:]},
	} {
		if got := kinds(f.query(c.spec)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := f.query(types.EventFilterSpec{Time: &types.EventFilterSpecByTime{EndTime: &start}}); len(got) == 0 || slices.Contains(kinds(got), "GeneralUserEvent") {
		t.Errorf("before: %v", kinds(got))
	}
	ask := func(s types.EventFilterSpec) []answer {
		return []answer{f.as(f.ann, eventsOf, "QueryEvents", &types.QueryEventsRequestType{Filter: s}),
			f.as(f.ann, eventsOf, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{Filter: s})}
	}
	for _, n := range []int32{-1, 1001} {
		for _, a := range ask(types.EventFilterSpec{MaxCount: n}) {
			invalid(f, "filter.maxCount", a)
		}
	}
	for _, a := range ask(types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: RootFolder(), Recursion: "deep"}}) {
		invalid(f, "filter.entity.recursion", a)
	}
	for _, a := range ask(types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: alarm, Recursion: "self"}}) {
		fails[types.ManagedObjectNotFound](f, a)
	}
}

func TestPostedEventsAreTheCallersAndNobodyElses(t *testing.T) {
	f := newFixture(t)
	f.needs("Global.LogEvent", eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: &types.EventEx{EventTypeId: "x"}})
	f.needs("Global.LogEvent", eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: RootFolder()})
	posted := &types.EventEx{
		Event:       types.Event{Key: 99, UserName: "somebody else", CreatedTime: time.Unix(0, 0), FullFormattedMessage: "ignored"},
		EventTypeId: "com.acme.it", Severity: "error", Message: "It happened.", ObjectId: "o1", ObjectType: "Thing", ObjectName: "One",
		Arguments: []types.KeyAnyValue{{Key: "n", Value: int32(3)}, {Key: "s", Value: "text"}},
	}
	ok(f, f.on(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: posted}))
	x := newest[*types.EventEx](f)
	if x.UserName != adminName || x.Key == 99 || !x.CreatedTime.Equal(f.clock.now()) || x.FullFormattedMessage != "It happened." || x.Message != "It happened." ||
		x.Severity != "error" || x.EventTypeId != "com.acme.it" || x.ObjectId != "o1" || x.ObjectType != "Thing" || x.ObjectName != "One" ||
		!slices.Equal(x.Arguments, []types.KeyAnyValue{{Key: "n", Value: "3"}, {Key: "s", Value: "text"}}) {
		t.Errorf("event %+v", x)
	}
	ok(f, f.on(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: &types.GeneralUserEvent{GeneralEvent: types.GeneralEvent{Message: "hello"}}}))
	if u := newest[*types.GeneralUserEvent](f); u.Message != "hello" || u.UserName != adminName || u.Entity == nil || u.Entity.Entity != RootFolder() {
		t.Errorf("event %+v", u)
	}
	ok(f, f.on(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: RootFolder(), Msg: "logged"}))
	if u := newest[*types.GeneralUserEvent](f); u.Message != "logged" {
		t.Errorf("event %+v", u)
	}
}

func TestEventsThatClientsMayNotPostAreRefused(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 600)
	for name, e := range map[string]types.BaseEvent{
		"a session's":       &types.UserLoginSessionEvent{},
		"the server's own":  &types.EventEx{EventTypeId: "vigate.role.added"},
		"nearly its own":    &types.EventEx{EventTypeId: "Vigate.role.added"},
		"no id":             &types.EventEx{},
		"severity":          &types.EventEx{EventTypeId: "x", Severity: "bad"},
		"a fault":           &types.EventEx{EventTypeId: "x", Fault: &types.LocalizedMethodFault{}},
		"long id":           &types.EventEx{EventTypeId: long},
		"long message":      &types.EventEx{EventTypeId: "x", Message: strings.Repeat("x", 17<<10)},
		"long argument":     &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "a", Value: long}}},
		"twice":             &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}},
		"disguised":         &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "@objectId", Value: "1"}}},
		"not simple":        &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "a", Value: RootFolder()}}},
		"nothing":           &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "a"}}},
		"many":              &types.EventEx{EventTypeId: "x", Arguments: make([]types.KeyAnyValue, 30)},
		"chain":             &types.EventEx{Event: types.Event{ChainId: -1}, EventTypeId: "x"},
		"elsewhere":         &types.GeneralUserEvent{Entity: &types.ManagedEntityEventArgument{}},
		"plain, of nothing": &types.Event{},
	} {
		t.Log(name)
		fails[types.InvalidEvent](f, f.on(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: e}))
	}
	invalid(f, "eventToPost", f.on(eventsOf, "PostEvent", &types.PostEventRequestType{}))
	invalid(f, "taskInfo", f.on(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: &types.EventEx{EventTypeId: "x"}, TaskInfo: &types.TaskInfo{}}))
	invalid(f, "msg", f.on(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: RootFolder(), Msg: strings.Repeat("x", 17<<10)}))
	fails[types.ManagedObjectNotFound](f, f.on(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{}))
}

func TestEveryEventIsDescribed(t *testing.T) {
	f := newFixture(t)
	d := get[types.EventDescription](f, f.prop(f.ann, eventsOf, "description"))
	var categories []string
	for _, c := range d.Category {
		categories = append(categories, c.GetElementDescription().Key)
	}
	if !slices.Equal(categories, []string{"info", "warning", "error", "user"}) {
		t.Errorf("categories %v", categories)
	}
	described := map[string]string{}
	for _, e := range d.EventInfo {
		if !slices.Contains(categories, e.Category) || e.FullFormat == "" || strings.Contains(e.FullFormat, "%!") || strings.Contains(e.FullFormat, "{}") {
			t.Errorf("%+v", e)
		}
		id, _, _ := strings.Cut(e.FullFormat, "|")
		if e.Key != "EventEx" {
			id = e.Key
		}
		described[id] = e.Category
	}
	if described["BadUsernameSessionEvent"] != "error" || described["GeneralUserEvent"] != "user" {
		t.Errorf("described: %v", described)
	}
	for _, k := range locale.Keys() {
		if id, is := strings.CutPrefix(k, "event."); is && id != "other" && described[id] == "" {
			t.Errorf("%s is not described", id)
		}
	}
	for id, want := range map[string][]string{
		"UserLoginSessionEvent": {"userName", "ipAddress", "userAgent"}, "vim.event.SessionTerminatedEvent": {"userName", "sessionId", "terminatedUsername"},
		"vigate.role.added": {"userName", "subject"}, "EventEx": nil, "no.such": nil,
	} {
		var got []string
		for _, a := range get[[]types.EventArgDesc](f, f.as(f.ann, eventsOf, "RetrieveArgumentDescription", &types.RetrieveArgumentDescriptionRequestType{EventTypeId: id})) {
			got = append(got, a.Name)
			if a.Type == "" {
				t.Errorf("%s: %s has no type", id, a.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", id, got)
		}
	}
}

// The texts name events by type: each must be one that can be shown as its type.
func TestEveryTypeThatHasATextIsShownAsItself(t *testing.T) {
	for _, k := range locale.Keys() {
		name, is := strings.CutPrefix(k, "event.")
		if !is || name == "other" || strings.HasPrefix(name, ownEvents) {
			continue
		}
		if got := reflect.TypeOf(apiEvent(event.Event{Type: name}, "en")).Elem().Name(); got != name {
			t.Errorf("%s is shown as %s", name, got)
		}
	}
	if _, plain := apiEvent(event.Event{Type: "NewerEvent"}, "en").(*types.Event); !plain {
		t.Error("a type that is not known is not shown as Event")
	}
}

func (f *fixture) collect(token string, s types.EventFilterSpec) types.ManagedObjectReference {
	f.t.Helper()
	return get[types.ManagedObjectReference](f, f.as(token, eventsOf, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{Filter: s}))
}

func (f *fixture) at(token string, ref types.ManagedObjectReference, name string, args any) answer {
	f.t.Helper()
	r, fault := f.do(token, ref, name, args)
	return answer{r.Value, fault}
}

func TestACollectorReadsInPages(t *testing.T) {
	f := newFixture(t)
	for _, s := range []string{"1", "2", "3", "4"} {
		ok(f, f.on(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: RootFolder(), Msg: s}))
	}
	spec := types.EventFilterSpec{Type: []string{"GeneralUserEvent"}, DisableFullMessage: new(true)}
	ref := f.collect(f.ann, spec)
	read := func(a answer) string {
		t.Helper()
		s := ""
		for _, e := range get[[]types.BaseEvent](f, a) {
			u := e.(*types.GeneralUserEvent)
			if s += u.Message; u.FullFormattedMessage != "" {
				t.Errorf("message %q", u.FullFormattedMessage)
			}
		}
		return s
	}
	want := func(want string, a answer) {
		t.Helper()
		if got := read(a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	next := &types.ReadNextEventsRequestType{MaxCount: 3}
	previous := &types.ReadPreviousEventsRequestType{MaxCount: 3}
	want("123", f.at(f.ann, ref, "ReadNextEvents", next))
	want("4", f.at(f.ann, ref, "ReadNextEvents", next))
	want("", f.at(f.ann, ref, "ReadNextEvents", next))
	want("432", f.at(f.ann, ref, "ReadPreviousEvents", previous))
	want("1", f.at(f.ann, ref, "ReadPreviousEvents", previous))
	ok(f, f.at(f.ann, ref, "SetCollectorPageSize", &types.SetCollectorPageSizeRequestType{MaxCount: 2}))
	want("43", f.at(f.ann, ref, "latestPage", nil))
	ok(f, f.at(f.ann, ref, "ResetCollector", &types.ResetCollectorRequestType{}))
	want("21", f.at(f.ann, ref, "ReadPreviousEvents", previous))
	ok(f, f.at(f.ann, ref, "RewindCollector", &types.RewindCollectorRequestType{}))
	want("123", f.at(f.ann, ref, "ReadNextEvents", next))
	if got := get[types.EventFilterSpec](f, f.at(f.ann, ref, "filter", nil)); !reflect.DeepEqual(got, spec) {
		t.Errorf("filter %+v", got)
	}
	for _, n := range []int32{0, -1, 1001} {
		invalid(f, "maxCount", f.at(f.ann, ref, "ReadNextEvents", &types.ReadNextEventsRequestType{MaxCount: n}))
		invalid(f, "maxCount", f.at(f.ann, ref, "ReadPreviousEvents", &types.ReadPreviousEventsRequestType{MaxCount: n}))
		invalid(f, "maxCount", f.at(f.ann, ref, "SetCollectorPageSize", &types.SetCollectorPageSizeRequestType{MaxCount: n}))
	}
}

func TestACollectorIsItsSessionsAndDiesWithIt(t *testing.T) {
	f := newFixture(t)
	ref := f.collect(f.ann, types.EventFilterSpec{})
	for name, args := range map[string]any{"latestPage": nil, "DestroyCollector": &types.DestroyCollectorRequestType{}} {
		for _, token := range []string{f.admin, f.login(annName, annPassword)} {
			fails[types.ManagedObjectNotFound](f, f.at(token, ref, name, args))
		}
		fails[types.NotAuthenticated](f, f.at("", ref, name, args))
	}
	ok(f, f.at(f.ann, ref, "DestroyCollector", &types.DestroyCollectorRequestType{}))
	fails[types.ManagedObjectNotFound](f, f.at(f.ann, ref, "latestPage", nil))

	for range MaxInstances {
		f.collect(f.ann, types.EventFilterSpec{})
	}
	fails[types.InvalidState](f, f.as(f.ann, eventsOf, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{}))
	if got := get[int32](f, f.prop(f.ann, eventsOf, "maxCollector")); got != MaxInstances {
		t.Errorf("maxCollector %d", got)
	}
	ok(f, f.as(f.ann, "SessionManager", "Logout", &types.LogoutRequestType{}))
	f.instances.mu.Lock()
	defer f.instances.mu.Unlock()
	if n := len(f.instances.state) + len(f.instances.owned); n != 0 {
		t.Errorf("%d objects are left of a session that is over", n)
	}
}

func TestTheLatestEventIsUnsetWhereThereIsNone(t *testing.T) {
	empty := event.NewLog(event.Options{})
	a := &API{Domain: Domain{Events: empty}}
	p := a.eventManager().Properties[1]
	if v, err := p.read(t.Context(), &Call{}); v != nil || err != nil || !p.Optional {
		t.Errorf("%v, %v", v, err)
	}
}
