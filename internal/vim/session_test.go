package vim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/locale"
)

const sessions = "SessionManager"

// enter calls a way in, which must succeed, and returns session and token.
func (f *fixture) enter(name string, args any) (types.UserSession, string) {
	f.t.Helper()
	r, fault := f.do("", f.ref(sessions), name, args)
	if fault != nil {
		f.t.Fatalf("%s: %v", name, fault)
	}
	return r.Value.(types.UserSession), r.Token.Reveal()
}

func TestALoginGivesASessionWithItsFacts(t *testing.T) {
	f := newFixture(t)
	s, token := f.enter("Login", &types.LoginRequestType{UserName: "ANN@vsphere.local", Password: annPassword, Locale: "de_AT"})
	now := f.clock.now()
	if s.UserName != annName || s.FullName != "Ann Example" || s.Locale != "de_AT" || s.MessageLocale != "de" || s.CallCount != 0 ||
		!s.LoginTime.Equal(now) || !s.LastActiveTime.Equal(now) || s.ExtensionSession || s.IpAddress != "192.0.2.7" || s.UserAgent != "test/1" {
		t.Errorf("session %+v", s)
	}
	if _, err := uuid.Parse(s.Key); err != nil || len(token) != 40 || strings.Trim(token, "0123456789abcdef") != "" {
		t.Errorf("key %q, token of %d", s.Key, len(token))
	}
	f.clock.pass(time.Minute)
	for range 2 {
		get[*types.UserSession](f, f.prop(token, sessions, "currentSession"))
	}
	if s := get[*types.UserSession](f, f.prop(token, sessions, "currentSession")); s.CallCount != 2 || !s.LastActiveTime.Equal(f.clock.now()) {
		t.Errorf("after two calls: %+v", s)
	}
	for _, token := range []string{"", s.Key, strings.Repeat("f", 40)} {
		if a := f.prop(token, sessions, "currentSession"); a.value != nil || a.fault != nil {
			t.Errorf("currentSession of nobody: %+v", a)
		}
	}
}

func TestEveryFailedLoginIsOneAnswer(t *testing.T) {
	f := newFixture(t)
	ok(f, f.create("off", "password of off", ""))
	ok(f, f.on(accounts, "DisableUser", &DisableUserRequestType{UserName: "off"}))
	var texts []string
	try := func(name, password string) {
		t.Helper()
		a := f.as("", sessions, "Login", &types.LoginRequestType{UserName: name, Password: password})
		fails[types.InvalidLogin](f, a)
		texts = append(texts, a.fault.Text("en"))
	}
	try("ann", "wrong")
	try("nobody", annPassword)
	try("off", "password of off")
	try("", "")
	try(`CORP\ann`, annPassword)
	try("com.acme", annPassword)
	for range 5 {
		try("ann", "wrong")
	}
	try("ann", annPassword) // locked
	if len(slices.Compact(texts)) != 1 {
		t.Errorf("answers differ: %q", texts)
	}
	a := f.as("", sessions, "Login", &types.LoginRequestType{UserName: "ann", Password: annPassword, Locale: "german"})
	fails[types.InvalidLocale](f, a) // before the credentials are looked at
}

func TestALoginWithoutARoleIsRefused(t *testing.T) {
	f := newFixture(t)
	ok(f, f.create("norole", "password of norole", ""))
	got := fails[types.NoPermission](f, f.as("", sessions, "Login", &types.LoginRequestType{UserName: "norole", Password: "password of norole"}))
	if got.Object == nil || *got.Object != RootFolder() || got.PrivilegeId != View {
		t.Errorf("%+v", got)
	}
}

func TestALoginOnALiveSessionIsRefusedAndSpendsNothing(t *testing.T) {
	f := newFixture(t)
	ticket := get[string](f, f.on(sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	fails[types.InvalidLogin](f, f.as(f.ann, sessions, "CloneSession", &types.CloneSessionRequestType{CloneTicket: ticket}))
	fails[types.InvalidLogin](f, f.as(f.ann, sessions, "Login", &types.LoginRequestType{UserName: "ann", Password: annPassword}))
	f.enter("CloneSession", &types.CloneSessionRequestType{CloneTicket: ticket})
	r, fault := f.do(strings.Repeat("0", 40), f.ref(sessions), "Login", &types.LoginRequestType{UserName: "ann", Password: annPassword})
	if fault != nil || !f.alive(r.Token.Reveal()) {
		t.Errorf("a dead token: %v", fault)
	}
}

func TestACloneIsANewSessionOfTheSameUser(t *testing.T) {
	f := newFixture(t)
	f.needs(View, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{})
	ok(f, f.as(f.ann, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: "fr"}))
	ticket := get[string](f, f.as(f.ann, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	if !strings.HasPrefix(ticket, "cst-VCT-") || !strings.Contains(ticket, "--tp-00-11-") {
		t.Errorf("ticket of another form")
	}
	s, token := f.enter("CloneSession", &types.CloneSessionRequestType{CloneTicket: ticket})
	if s.Key == f.key(f.ann) || token == f.ann || s.UserName != annName || s.Locale != "fr" {
		t.Errorf("clone %+v", s)
	}
	for _, spent := range []string{ticket, "", "cst-VCT-x", token} {
		fails[types.InvalidLogin](f, f.as("", sessions, "CloneSession", &types.CloneSessionRequestType{CloneTicket: spent}))
	}
	late := get[string](f, f.as(f.ann, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	f.clock.pass(121 * time.Second)
	fails[types.InvalidLogin](f, f.as("", sessions, "CloneSession", &types.CloneSessionRequestType{CloneTicket: late}))
}

func TestASessionTakesOnAnothersIdentityAndAuthority(t *testing.T) {
	f := newFixture(t)
	impersonate := func(token, name, locale string) answer {
		return f.as(token, sessions, "ImpersonateUser", &types.ImpersonateUserRequestType{UserName: name, Locale: locale})
	}
	f.needs("Sessions.ImpersonateUser", sessions, "ImpersonateUser", &types.ImpersonateUserRequestType{UserName: "ann"})
	agent := f.user("agent", "Sessions.ImpersonateUser")
	key := f.key(agent)
	fails[types.InvalidLocale](f, impersonate(agent, "ann", "x"))
	fails[types.InvalidLogin](f, impersonate(agent, "nobody", ""))
	ok(f, f.create("idle", "password of idle", ""))
	fails[types.InvalidLogin](f, impersonate(agent, "idle", "")) // has no session
	if s := get[types.UserSession](f, impersonate(agent, "administrator", "de")); s.Key != key || s.UserName != adminName || s.Locale != "de" {
		t.Errorf("session %+v", s)
	}
	if x := newest[*types.EventEx](f); x.EventTypeId != "vigate.session.impersonated" || x.UserName != `VSPHERE.LOCAL\agent` {
		t.Errorf("event %+v", x)
	}
	ok(f, f.as(agent, sessions, "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: "from the agent"}))
	if m := newest[*types.GlobalMessageChangedEvent](f); !strings.Contains(m.UserName, "agent") || !strings.Contains(m.UserName, "Administrator") {
		t.Errorf("event names %q", m.UserName)
	}
	weak := f.user("weak", "Sessions.ImpersonateUser")
	// An extension that has no session, by one who has what it has.
	ok(f, f.register(anExtension("com.acme")))
	if s := get[types.UserSession](f, impersonate(f.admin, "com.acme", "")); s.UserName != "com.acme" {
		t.Errorf("session %+v", s)
	}
	fails[types.InvalidLogin](f, impersonate(weak, "com.acme", "")) // another is it already
}

func TestTheSessionListIsForThoseWhoMayEndSessions(t *testing.T) {
	f := newFixture(t)
	fails[types.NotAuthenticated](f, f.prop("", sessions, "sessionList"))
	fails[types.NoPermission](f, f.prop(f.ann, sessions, "sessionList"))
	var names []string
	for _, s := range get[[]types.UserSession](f, f.prop(f.admin, sessions, "sessionList")) {
		names = append(names, s.UserName)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{adminName, annName}) {
		t.Errorf("sessions of %v", names)
	}
}

func TestSessionsAreTerminatedInOrderUpToTheFirstFailure(t *testing.T) {
	f := newFixture(t)
	terminate := func(keys ...string) answer {
		return f.on(sessions, "TerminateSession", &types.TerminateSessionRequestType{SessionId: keys})
	}
	f.needs("Sessions.TerminateSession", sessions, "TerminateSession", &types.TerminateSessionRequestType{})
	a, b := f.login(annName, annPassword), f.login(annName, annPassword)
	keyA, keyB := f.key(a), f.key(b)
	ok(f, terminate())
	fails[types.NotFound](f, terminate(keyA, uuid.NewString(), keyB))
	if f.alive(a) || !f.alive(b) {
		t.Error("not in order")
	}
	for _, wrong := range []string{keyA, "", b, "x"} {
		fails[types.NotFound](f, terminate(wrong))
	}
	invalid(f, "sessionId", terminate(f.key(f.admin)))
	if !f.alive(f.admin) || !f.alive(b) {
		t.Error("ended what should live")
	}
	ok(f, terminate(keyB))
	fails[types.NotAuthenticated](f, f.prop(b, sessions, "message"))
}

func TestALogoutEndsTheSession(t *testing.T) {
	f := newFixture(t)
	f.needs(View, sessions, "Logout", &types.LogoutRequestType{})
	ok(f, f.as(f.ann, sessions, "Logout", &types.LogoutRequestType{}))
	fails[types.NotAuthenticated](f, f.as(f.ann, sessions, "Logout", &types.LogoutRequestType{}))
}

func TestSessionIsActiveGoesByKeyAndUser(t *testing.T) {
	f := newFixture(t)
	f.needs("Sessions.ValidateSession", sessions, "SessionIsActive", &types.SessionIsActiveRequestType{})
	key := f.key(f.ann)
	f.clock.pass(29 * time.Minute)
	get[*types.UserSession](f, f.prop(f.admin, sessions, "currentSession"))
	for name, want := range map[string]bool{"ann": true, "ANN@VSPHERE.LOCAL": true, annName: true, "administrator": false, "": false, `CORP\ann`: false} {
		if got := get[bool](f, f.on(sessions, "SessionIsActive", &types.SessionIsActiveRequestType{SessionID: key, UserName: name})); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	for _, wrong := range []string{f.ann, uuid.NewString(), ""} {
		if get[bool](f, f.on(sessions, "SessionIsActive", &types.SessionIsActiveRequestType{SessionID: wrong, UserName: "ann"})) {
			t.Error("active by something else than the key")
		}
	}
	f.clock.pass(2 * time.Minute) // asking has not kept it alive
	if get[bool](f, f.on(sessions, "SessionIsActive", &types.SessionIsActiveRequestType{SessionID: key, UserName: "ann"})) {
		t.Error("active after its time")
	}
}

func TestLocalesAreSetAndListed(t *testing.T) {
	f := newFixture(t)
	f.needs(View, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: "de"})
	for wanted, got := range map[string][2]string{"zh-Hant-TW": {"zh_TW", "zh_TW"}, "pt_BR": {"pt_BR", "en"}, "": {"en", "en"}} {
		ok(f, f.as(f.ann, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: wanted}))
		if s := get[*types.UserSession](f, f.prop(f.ann, sessions, "currentSession")); s.Locale != got[0] || s.MessageLocale != got[1] {
			t.Errorf("%q: %s, %s", wanted, s.Locale, s.MessageLocale)
		}
	}
	for _, wrong := range []string{"english", "xx", "de_XX1"} {
		fails[types.InvalidLocale](f, f.as(f.ann, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: wrong}))
	}
	if got := get[string](f, f.prop("", sessions, "defaultLocale")); got != "en" {
		t.Errorf("default %q", got)
	}
	messages := get[[]string](f, f.prop("", sessions, "messageLocaleList"))
	if supported := get[[]string](f, f.prop("", sessions, "supportedLocaleList")); len(messages) < 9 || len(supported) < len(messages) {
		t.Errorf("%v, %v", messages, supported)
	}
}

func TestTheServiceMessageIsForAll(t *testing.T) {
	f := newFixture(t)
	f.needs("Sessions.GlobalMessage", sessions, "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{})
	update := func(s string) answer {
		return f.on(sessions, "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: s})
	}
	for _, s := range []string{"Back at 10.\nSorry.", ""} {
		changed := f.Changed(&Call{Session: f.session(f.ann)}, f.ref(sessions), "message")
		ok(f, update(s))
		select {
		case <-changed:
		default:
			t.Error("watchers were not told")
		}
		if got := get[string](f, f.prop(f.ann, sessions, "message")); got != s {
			t.Errorf("message %q", got)
		}
	}
	invalid(f, "message", update("bell\a"))
	invalid(f, "message", update(strings.Repeat("x", 16<<10+1)))
	fails[types.NotAuthenticated](f, f.prop("", sessions, "message"))
}

func TestALimitAsksToComeBackLater(t *testing.T) {
	f := newFixture(t)
	ok(f, f.setOption(f.admin, types.OptionValue{Key: "vigate.session.maxPerUser", Value: int32(1)}))
	a := f.as("", sessions, "Login", &types.LoginRequestType{UserName: "ann", Password: annPassword})
	if a.fault == nil || a.fault.Detail != nil || a.fault.RetryAfter <= 0 || !strings.Contains(a.fault.Text("en"), "1") {
		t.Errorf("fault %+v", a.fault)
	}
}

func TestAFaultIsInTheLanguageThatTheCallAsksFor(t *testing.T) {
	f := newFixture(t)
	_, fault := f.do("", f.ref(sessions), "Login", &types.LoginRequestType{UserName: "x", Password: "y", Locale: "de"})
	if fault.Text(f.MessageLocale(f.last)) != locale.Text("de", "fault.InvalidLogin") {
		t.Errorf("%q", fault.Text(f.MessageLocale(f.last)))
	}
	f.last = &Call{Object: f.ref(sessions), Name: "message", Read: true, AcceptLanguage: "xx, ja;q=0.5"}
	if got := f.MessageLocale(f.last); got != "ja" {
		t.Errorf("locale %q", got)
	}
}
