package history_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const eventsOf = "EventManager"

func (f *fixture) query(s types.EventFilterSpec) []types.BaseEvent {
	f.t.Helper()
	return vimtest.Get[[]types.BaseEvent](
		f.As(f.Ann, eventsOf, "QueryEvents", &types.QueryEventsRequestType{Filter: s}))
}

// kinds returns the events' types, or the ids of EventEx events.
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

func TestEventsHaveTheirMembers(t *testing.T) {
	f := newFixture(t)
	logins := types.EventFilterSpec{Type: []string{"UserLoginSessionEvent"}, MaxCount: 1}
	e := f.query(logins)[0].(*types.UserLoginSessionEvent)
	if e.UserName != vimtest.AnnName || e.IpAddress != "192.0.2.7" || e.UserAgent != "test/1" || e.Locale != "en" ||
		e.SessionId != f.Key(f.Ann) ||
		!e.CreatedTime.Equal(f.Now()) || e.Key == 0 || e.ChainId != e.Key ||
		e.FullFormattedMessage != `User VSPHERE.LOCAL\Ann@192.0.2.7 logged in as test/1` {
		t.Errorf("login %+v", e)
	}
	f.As("", "SessionManager", "Login", &types.LoginRequestType{UserName: "eve", Password: "guess"})
	bad := f.query(types.EventFilterSpec{MaxCount: 1})[0].(*types.BadUsernameSessionEvent)
	if bad.UserName != `VSPHERE.LOCAL\eve` || bad.IpAddress != "192.0.2.7" || bad.Key <= e.Key {
		t.Errorf("failed login %+v", bad)
	}
	vimtest.OK(f.On("SessionManager", "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: "one"}))
	vimtest.OK(f.On("SessionManager", "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: "two"}))
	if m := vimtest.Get[*types.GlobalMessageChangedEvent](f.Newest()); m.Message != "two" || m.PrevMessage != "one" ||
		m.UserName != vimtest.AdminName {
		t.Errorf("message %+v", m)
	}
	second := f.Login(vimtest.AnnName, vimtest.AnnPassword)
	key := f.Key(second)
	vimtest.OK(f.On("SessionManager", "TerminateSession", &types.TerminateSessionRequestType{SessionId: []string{key}}))
	if x := vimtest.Get[*types.SessionTerminatedEvent](f.Newest()); x.SessionId != key ||
		x.TerminatedUsername != vimtest.AnnName || x.UserName != vimtest.AdminName {
		t.Errorf("terminated %+v", x)
	}
	third := f.Login(vimtest.AnnName, vimtest.AnnPassword)
	vimtest.OK(f.As(third, "SessionManager", "Logout", &types.LogoutRequestType{}))
	if x := vimtest.Get[*types.UserLogoutSessionEvent](f.Newest()); x.LoginTime == nil ||
		!x.LoginTime.Equal(f.Now()) || x.UserName != vimtest.AnnName || x.IpAddress != "192.0.2.7" {
		t.Errorf("logout %+v", x)
	}
	f.As(f.Ann, "SessionManager", "Login", &types.LoginRequestType{UserName: "ann", Password: vimtest.AnnPassword})
	if x := vimtest.Get[*types.AlreadyAuthenticatedSessionEvent](f.Newest()); x.UserName != vimtest.AnnName {
		t.Errorf("already %+v", x)
	}
	vimtest.OK(f.Revoke(f.Admin, "ann", false))
	f.As("", "SessionManager", "Login", &types.LoginRequestType{UserName: "ann", Password: vimtest.AnnPassword})
	if x := vimtest.Get[*types.NoAccessUserEvent](f.Newest()); x.UserName != vimtest.AnnName ||
		x.IpAddress != "192.0.2.7" {
		t.Errorf("no access %+v", x)
	}
}

func TestTheServersOwnEventsHaveArguments(t *testing.T) {
	f := newFixture(t)
	x := f.query(types.EventFilterSpec{EventTypeId: []string{"vigate.permission.set"}, MaxCount: 1})[0].(*types.EventEx)
	args := map[string]any{}
	for _, kv := range x.Arguments {
		args[kv.Key] = kv.Value
	}
	if x.Severity != "info" || x.ObjectId != "group-d1" || x.ObjectType != "Folder" ||
		x.ObjectName != "Datacenters" || args["subject"] != vimtest.AnnName || args["role"] != "ReadOnly" {
		t.Errorf("event %+v", x)
	}
}

func TestMessagesAreInTheCallersLanguageOrLeftOut(t *testing.T) {
	f := newFixture(t)
	spec := types.EventFilterSpec{Type: []string{"SessionEvent"}, MaxCount: 1}
	en := f.query(spec)[0].GetEvent().FullFormattedMessage
	vimtest.OK(f.As(f.Ann, "SessionManager", "SetLocale", &types.SetLocaleRequestType{Locale: "ja"}))
	if ja := f.query(spec)[0].GetEvent().FullFormattedMessage; ja == en || !strings.Contains(ja, vimtest.AnnName) {
		t.Errorf("en %q, ja %q", en, ja)
	}
	spec.DisableFullMessage = new(true)
	if got := f.query(spec)[0].GetEvent().FullFormattedMessage; got != "" {
		t.Errorf("message %q", got)
	}
}

func TestEveryPartOfTheFilterCounts(t *testing.T) {
	f := newFixture(t)
	start := f.Now()
	f.Pass(time.Minute)
	vimtest.OK(f.On(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: "hello"}))
	vimtest.OK(f.On(eventsOf, "PostEvent", &types.PostEventRequestType{
		EventToPost: &types.EventEx{Event: types.Event{ChainId: 70007, ChangeTag: "tag"}, EventTypeId: "com.acme.it",
			Severity: "warning"}}))
	later := f.Now().Truncate(time.Microsecond) // the precision of responses
	alarm := types.ManagedObjectReference{Type: "Alarm", Value: "alarm-1"}
	both := []string{"GeneralUserEvent", "com.acme.it"}
	for name, c := range map[string]struct {
		spec types.EventFilterSpec
		want []string
	}{
		"time": {types.EventFilterSpec{Time: &types.EventFilterSpecByTime{BeginTime: &later, EndTime: &later}},
			both},
		"no time": {types.EventFilterSpec{Time: &types.EventFilterSpecByTime{BeginTime: new(later.Add(1))}}, nil},
		"user": {types.EventFilterSpec{UserName: &types.EventFilterSpecByUsername{
			UserList: []string{"administrator"}}, Time: &types.EventFilterSpecByTime{BeginTime: &later}}, both},
		"user none": {types.EventFilterSpec{
			UserName: &types.EventFilterSpecByUsername{UserList: []string{"nobody"}}}, nil},
		"chain":    {types.EventFilterSpec{EventChainId: 70007}, both[1:]},
		"tag":      {types.EventFilterSpec{Tag: []string{"tag"}}, both[1:]},
		"id":       {types.EventFilterSpec{EventTypeId: []string{"com.acme.it"}}, both[1:]},
		"type":     {types.EventFilterSpec{Type: []string{"GeneralUserEvent"}}, both[:1]},
		"category": {types.EventFilterSpec{Category: []string{"warning", "user"}}, both},
		"entity": {types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: vim.RootFolder(),
			Recursion: "self"}, Time: &types.EventFilterSpecByTime{BeginTime: &later}}, both},
		"children": {types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: vim.RootFolder(),
			Recursion: "children"}}, nil},
		"alarm": {types.EventFilterSpec{Alarm: &alarm}, nil},
		"task":  {types.EventFilterSpec{ScheduledTask: &alarm}, nil},
		"count": {types.EventFilterSpec{MaxCount: 1}, both[1:]},
	} {
		if got := kinds(f.query(c.spec)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := f.query(types.EventFilterSpec{Time: &types.EventFilterSpecByTime{EndTime: &start}}); len(got) == 0 ||
		slices.Contains(kinds(got), "GeneralUserEvent") {
		t.Errorf("before: %v", kinds(got))
	}
	ask := func(s types.EventFilterSpec) []vimtest.Answer {
		return []vimtest.Answer{f.As(f.Ann, eventsOf, "QueryEvents", &types.QueryEventsRequestType{Filter: s}),
			f.As(f.Ann, eventsOf, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{Filter: s})}
	}
	for _, n := range []int32{-1, 1001} {
		for _, a := range ask(types.EventFilterSpec{MaxCount: n}) {
			vimtest.Invalid("filter.maxCount", a)
		}
	}
	for _, a := range ask(types.EventFilterSpec{
		Entity: &types.EventFilterSpecByEntity{Entity: vim.RootFolder(), Recursion: "deep"}}) {
		vimtest.Invalid("filter.entity.recursion", a)
	}
	for _, a := range ask(types.EventFilterSpec{
		Entity: &types.EventFilterSpecByEntity{Entity: alarm, Recursion: "self"}}) {
		vimtest.Fails[types.ManagedObjectNotFound](a)
	}
}

func TestPostedEventsHaveTheCallerAsTheirUser(t *testing.T) {
	f := newFixture(t)
	f.Needs("Global.LogEvent", eventsOf, "PostEvent",
		&types.PostEventRequestType{EventToPost: &types.EventEx{EventTypeId: "x"}})
	f.Needs("Global.LogEvent", eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: vim.RootFolder()})
	posted := &types.EventEx{
		Event: types.Event{Key: 99, UserName: "somebody else", CreatedTime: time.Unix(0, 0),
			FullFormattedMessage: "ignored"},
		EventTypeId: "com.acme.it", Severity: "error", Message: "It happened.", ObjectId: "o1", ObjectType: "Thing",
		ObjectName: "One",
		Arguments:  []types.KeyAnyValue{{Key: "n", Value: int32(3)}, {Key: "s", Value: "text"}},
	}
	vimtest.OK(f.On(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: posted}))
	x := vimtest.Get[*types.EventEx](f.Newest())
	if x.UserName != vimtest.AdminName || x.Key == 99 || !x.CreatedTime.Equal(f.Now()) ||
		x.FullFormattedMessage != "It happened." || x.Message != "It happened." ||
		x.Severity != "error" || x.EventTypeId != "com.acme.it" || x.ObjectId != "o1" || x.ObjectType != "Thing" ||
		x.ObjectName != "One" ||
		!slices.Equal(x.Arguments, []types.KeyAnyValue{{Key: "n", Value: "3"}, {Key: "s", Value: "text"}}) {
		t.Errorf("event %+v", x)
	}
	vimtest.OK(f.On(eventsOf, "PostEvent", &types.PostEventRequestType{
		EventToPost: &types.GeneralUserEvent{GeneralEvent: types.GeneralEvent{Message: "hello"}}}))
	if u := vimtest.Get[*types.GeneralUserEvent](f.Newest()); u.Message != "hello" ||
		u.UserName != vimtest.AdminName || u.Entity == nil || u.Entity.Entity != vim.RootFolder() {
		t.Errorf("event %+v", u)
	}
	vimtest.OK(f.On(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: "logged"}))
	if u := vimtest.Get[*types.GeneralUserEvent](f.Newest()); u.Message != "logged" {
		t.Errorf("event %+v", u)
	}
}

func TestEventsThatClientsMayNotPostAreRefused(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 600)
	var fat []types.KeyAnyValue
	for i := range 17 {
		fat = append(fat, types.KeyAnyValue{Key: fmt.Sprint("a", i), Value: long[:500]})
	}
	for name, e := range map[string]types.BaseEvent{
		"a session's":      &types.UserLoginSessionEvent{},
		"the server's own": &types.EventEx{EventTypeId: "vigate.role.added"},
		"nearly its own":   &types.EventEx{EventTypeId: "Vigate.role.added"},
		"severity":         &types.EventEx{EventTypeId: "x", Severity: "bad"},
		"a fault":          &types.EventEx{EventTypeId: "x", Fault: &types.LocalizedMethodFault{}},
		"long id":          &types.EventEx{EventTypeId: long},
		"long message":     &types.EventEx{EventTypeId: "x", Message: strings.Repeat("x", 17<<10)},
		"long argument":    &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "a", Value: long}}},
		"long arguments":   &types.EventEx{EventTypeId: "x", Arguments: fat},
		"twice": &types.EventEx{EventTypeId: "x",
			Arguments: []types.KeyAnyValue{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}},
		"disguised": &types.EventEx{EventTypeId: "x",
			Arguments: []types.KeyAnyValue{{Key: "@objectId", Value: "1"}}},
		"not simple": &types.EventEx{EventTypeId: "x",
			Arguments: []types.KeyAnyValue{{Key: "a", Value: vim.RootFolder()}}},
		"nothing":           &types.EventEx{EventTypeId: "x", Arguments: []types.KeyAnyValue{{Key: "a"}}},
		"many":              &types.EventEx{EventTypeId: "x", Arguments: make([]types.KeyAnyValue, 30)},
		"chain":             &types.EventEx{Event: types.Event{ChainId: -1}, EventTypeId: "x"},
		"elsewhere":         &types.GeneralUserEvent{Entity: &types.ManagedEntityEventArgument{}},
		"plain, of nothing": &types.Event{},
	} {
		t.Log(name)
		vimtest.Fails[types.InvalidEvent](f.On(eventsOf, "PostEvent", &types.PostEventRequestType{EventToPost: e}))
	}
	vimtest.Invalid("eventToPost", f.On(eventsOf, "PostEvent", &types.PostEventRequestType{}))
	vimtest.Invalid("taskInfo", f.On(eventsOf, "PostEvent",
		&types.PostEventRequestType{EventToPost: &types.EventEx{EventTypeId: "x"}, TaskInfo: &types.TaskInfo{}}))
	vimtest.Invalid("msg", f.On(eventsOf, "LogUserEvent",
		&types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: strings.Repeat("x", 17<<10)}))
	vimtest.Fails[types.ManagedObjectNotFound](f.On(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{}))
}

func TestEveryEventIsDescribed(t *testing.T) {
	f := newFixture(t)
	d := vimtest.Get[types.EventDescription](f.Prop(f.Ann, eventsOf, "description"))
	var categories []string
	for _, c := range d.Category {
		categories = append(categories, c.GetElementDescription().Key)
	}
	if !slices.Equal(categories, []string{"info", "warning", "error", "user"}) {
		t.Errorf("categories %v", categories)
	}
	described := map[string]string{}
	for _, e := range d.EventInfo {
		if !slices.Contains(categories, e.Category) || e.FullFormat == "" || strings.Contains(e.FullFormat, "%!") ||
			strings.Contains(e.FullFormat, "{}") {
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
		"UserLoginSessionEvent":            {"userName", "ipAddress", "userAgent"},
		"vim.event.SessionTerminatedEvent": {"userName", "sessionId", "terminatedUsername"},
		"vigate.role.added":                {"userName", "subject"}, "EventEx": nil, "no.such": nil,
	} {
		var got []string
		for _, a := range vimtest.Get[[]types.EventArgDesc](
			f.As(f.Ann, eventsOf, "RetrieveArgumentDescription",
				&types.RetrieveArgumentDescriptionRequestType{EventTypeId: id})) {
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

func (f *fixture) collect(token string, s types.EventFilterSpec) types.ManagedObjectReference {
	f.t.Helper()
	return vimtest.Get[types.ManagedObjectReference](
		f.As(token, eventsOf, "CreateCollectorForEvents", &types.CreateCollectorForEventsRequestType{Filter: s}))
}

func TestACollectorReadsInPages(t *testing.T) {
	f := newFixture(t)
	for _, s := range []string{"1", "2", "3", "4"} {
		vimtest.OK(f.On(eventsOf, "LogUserEvent", &types.LogUserEventRequestType{Entity: vim.RootFolder(), Msg: s}))
	}
	spec := types.EventFilterSpec{Type: []string{"GeneralUserEvent"}, DisableFullMessage: new(true)}
	ref := f.collect(f.Ann, spec)
	read := func(a vimtest.Answer) string {
		t.Helper()
		s := ""
		for _, e := range vimtest.Get[[]types.BaseEvent](a) {
			u := e.(*types.GeneralUserEvent)
			if s += u.Message; u.FullFormattedMessage != "" {
				t.Errorf("message %q", u.FullFormattedMessage)
			}
		}
		return s
	}
	want := func(want string, a vimtest.Answer) {
		t.Helper()
		if got := read(a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	next := &types.ReadNextEventsRequestType{MaxCount: 3}
	previous := &types.ReadPreviousEventsRequestType{MaxCount: 3}
	want("123", f.At(f.Ann, ref, "ReadNextEvents", next))
	want("4", f.At(f.Ann, ref, "ReadNextEvents", next))
	want("", f.At(f.Ann, ref, "ReadNextEvents", next))
	want("432", f.At(f.Ann, ref, "ReadPreviousEvents", previous))
	want("1", f.At(f.Ann, ref, "ReadPreviousEvents", previous))
	vimtest.OK(f.At(f.Ann, ref, "SetCollectorPageSize", &types.SetCollectorPageSizeRequestType{MaxCount: 2}))
	want("43", f.At(f.Ann, ref, "latestPage", nil))
	vimtest.OK(f.At(f.Ann, ref, "ResetCollector", &types.ResetCollectorRequestType{}))
	want("21", f.At(f.Ann, ref, "ReadPreviousEvents", previous))
	vimtest.OK(f.At(f.Ann, ref, "RewindCollector", &types.RewindCollectorRequestType{}))
	want("123", f.At(f.Ann, ref, "ReadNextEvents", next))
	if got := vimtest.Get[types.EventFilterSpec](f.At(f.Ann, ref, "filter", nil)); !reflect.DeepEqual(got, spec) {
		t.Errorf("filter %+v", got)
	}
	for _, n := range []int32{0, -1, 1001} {
		vimtest.Invalid("maxCount", f.At(f.Ann, ref, "ReadNextEvents", &types.ReadNextEventsRequestType{MaxCount: n}))
		vimtest.Invalid("maxCount", f.At(f.Ann, ref, "ReadPreviousEvents",
			&types.ReadPreviousEventsRequestType{MaxCount: n}))
		vimtest.Invalid("maxCount", f.At(f.Ann, ref, "SetCollectorPageSize",
			&types.SetCollectorPageSizeRequestType{MaxCount: n}))
	}
}

func TestACollectorBelongsToItsSessionAndEndsWithIt(t *testing.T) {
	f := newFixture(t)
	ref := f.collect(f.Ann, types.EventFilterSpec{})
	for name, args := range map[string]any{"latestPage": nil,
		"DestroyCollector": &types.DestroyCollectorRequestType{}} {
		for _, token := range []string{f.Admin, f.Login(vimtest.AnnName, vimtest.AnnPassword)} {
			vimtest.Fails[types.ManagedObjectNotFound](f.At(token, ref, name, args))
		}
		vimtest.Fails[types.NotAuthenticated](f.At("", ref, name, args))
	}
	vimtest.OK(f.At(f.Ann, ref, "DestroyCollector", &types.DestroyCollectorRequestType{}))
	vimtest.Fails[types.ManagedObjectNotFound](f.At(f.Ann, ref, "latestPage", nil))

	for range f.MaxInstances() {
		f.collect(f.Ann, types.EventFilterSpec{})
	}
	vimtest.Fails[types.InvalidState](f.As(f.Ann, eventsOf, "CreateCollectorForEvents",
		&types.CreateCollectorForEventsRequestType{}))
	if got := vimtest.Get[int32](f.Prop(f.Ann, eventsOf, "maxCollector")); got != int32(f.MaxInstances()) {
		t.Errorf("maxCollector %d", got)
	}
}
