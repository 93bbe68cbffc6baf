package sessionmanager_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

const sessions = "SessionManager"

// enter logs in by a method, which must succeed, and returns the session and its token.
func (f *fixture) enter(name string, args any) (types.UserSession, string) {
	f.t.Helper()
	r, fault := f.Send("", f.Ref(sessions), name, args)
	if fault != nil {
		f.t.Fatalf("%s: %v", name, fault)
	}
	return r.Value.(types.UserSession), r.Token.Reveal()
}

func TestALoginGivesASessionWithItsFacts(t *testing.T) {
	f := newFixture(t)
	s, token := f.enter("Login", &types.LoginRequestType{UserName: "ANN@vsphere.local", Password: vimtest.AnnPassword,
		Locale: "de_AT"})
	now := f.Now()
	if s.UserName != vimtest.AnnName || s.FullName != "Ann Example" || s.Locale != "de_AT" || s.MessageLocale != "de" ||
		s.CallCount != 0 ||
		!s.LoginTime.Equal(now) || !s.LastActiveTime.Equal(now) || s.ExtensionSession || s.IpAddress != "192.0.2.7" ||
		s.UserAgent != "test/1" {
		t.Errorf("session %+v", s)
	}
	if _, err := uuid.Parse(s.Key); err != nil || len(token) != 40 || strings.Trim(token, "0123456789abcdef") != "" {
		t.Errorf("key %q, token of %d", s.Key, len(token))
	}
	f.Pass(time.Minute)
	for range 2 {
		vimtest.Get[*types.UserSession](f.Prop(token, sessions, "currentSession"))
	}
	if s := vimtest.Get[*types.UserSession](f.Prop(token, sessions, "currentSession")); s.CallCount != 2 ||
		!s.LastActiveTime.Equal(f.Now()) {
		t.Errorf("after two calls: %+v", s)
	}
	for _, token := range []string{"", s.Key, strings.Repeat("f", 40)} {
		if a := f.Prop(token, sessions, "currentSession"); a.Value != nil || a.Fault != nil {
			t.Errorf("currentSession of nobody: %+v", a)
		}
	}
}

func TestEveryFailedLoginIsOneAnswer(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Create("off", "password of off", ""))
	vimtest.OK(f.On("HostLocalAccountManager", "DisableUser", &admin.DisableUserRequestType{UserName: "off"}))
	var texts []string
	try := func(name, password string) {
		t.Helper()
		a := f.As("", sessions, "Login", &types.LoginRequestType{UserName: name, Password: password})
		vimtest.Fails[types.InvalidLogin](a)
		texts = append(texts, a.Fault.Text("en"))
	}
	try("ann", "wrong")
	try("nobody", vimtest.AnnPassword)
	try("off", "password of off")
	try("", "")
	try(`CORP\ann`, vimtest.AnnPassword)
	try("com.acme", vimtest.AnnPassword)
	for range 5 {
		try("ann", "wrong")
	}
	try("ann", vimtest.AnnPassword) // locked
	if len(slices.Compact(texts)) != 1 {
		t.Errorf("answers differ: %q", texts)
	}
	a := f.As("", sessions, "Login", &types.LoginRequestType{UserName: "ann", Password: vimtest.AnnPassword,
		Locale: "german"})
	vimtest.Fails[types.InvalidLocale](a) // the locale is checked before the credentials
}

func TestALoginWithoutARoleIsRefused(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.Create("norole", "password of norole", ""))
	got := vimtest.Fails[types.NoPermission](f.As("", sessions, "Login",
		&types.LoginRequestType{UserName: "norole", Password: "password of norole"}))
	if got.Object == nil || *got.Object != vim.RootFolder() || got.PrivilegeId != string(vim.View) {
		t.Errorf("%+v", got)
	}
}

func TestALoginOnALiveSessionIsRefusedAndSpendsNothing(t *testing.T) {
	f := newFixture(t)
	ticket := vimtest.Get[string](f.On(sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	vimtest.Fails[types.InvalidLogin](f.As(f.Ann, sessions, "CloneSession",
		&types.CloneSessionRequestType{CloneTicket: ticket}))
	vimtest.Fails[types.InvalidLogin](f.As(f.Ann, sessions, "Login",
		&types.LoginRequestType{UserName: "ann", Password: vimtest.AnnPassword}))
	f.enter("CloneSession", &types.CloneSessionRequestType{CloneTicket: ticket})
	r, fault := f.Send(strings.Repeat("0", 40), f.Ref(sessions), "Login",
		&types.LoginRequestType{UserName: "ann", Password: vimtest.AnnPassword})
	if fault != nil || !f.Alive(r.Token.Reveal()) {
		t.Errorf("a dead token: %v", fault)
	}
}

func TestACloneIsANewSessionOfTheSameUser(t *testing.T) {
	f := newFixture(t)
	f.Needs(vim.View, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{})
	vimtest.OK(f.As(f.Ann, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: "fr"}))
	ticket := vimtest.Get[string](f.As(f.Ann, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	if !strings.HasPrefix(ticket, "cst-VCT-") || !strings.Contains(ticket, "--tp-00-11-") {
		t.Errorf("ticket of another form")
	}
	s, token := f.enter("CloneSession", &types.CloneSessionRequestType{CloneTicket: ticket})
	if s.Key == f.Key(f.Ann) || token == f.Ann || s.UserName != vimtest.AnnName || s.Locale != "fr" {
		t.Errorf("clone %+v", s)
	}
	for _, spent := range []string{ticket, "", "cst-VCT-x", token} {
		vimtest.Fails[types.InvalidLogin](f.As("", sessions, "CloneSession",
			&types.CloneSessionRequestType{CloneTicket: spent}))
	}
	late := vimtest.Get[string](f.As(f.Ann, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	f.Pass(121 * time.Second)
	vimtest.Fails[types.InvalidLogin](f.As("", sessions, "CloneSession",
		&types.CloneSessionRequestType{CloneTicket: late}))
}

func TestASessionTakesOnAnothersIdentityAndAuthority(t *testing.T) {
	f := newFixture(t)
	impersonate := func(token, name, locale string) vimtest.Answer {
		return f.As(token, sessions, "ImpersonateUser",
			&types.ImpersonateUserRequestType{UserName: name, Locale: locale})
	}
	f.Needs("Sessions.ImpersonateUser", sessions, "ImpersonateUser", &types.ImpersonateUserRequestType{UserName: "ann"})
	agent := f.User("agent", "Sessions.ImpersonateUser")
	key := f.Key(agent)
	vimtest.Fails[types.InvalidLocale](impersonate(agent, "ann", "x"))
	vimtest.Fails[types.InvalidLogin](impersonate(agent, "nobody", ""))
	vimtest.OK(f.Create("idle", "password of idle", ""))
	vimtest.Fails[types.InvalidLogin](impersonate(agent, "idle", "")) // has no session
	if s := vimtest.Get[types.UserSession](impersonate(agent, "administrator", "de")); s.Key != key ||
		s.UserName != vimtest.AdminName || s.Locale != "de" {
		t.Errorf("session %+v", s)
	}
	if x := vimtest.Get[*types.EventEx](f.Newest()); x.EventTypeId != "vigate.session.impersonated" ||
		x.UserName != `VSPHERE.LOCAL\agent` {
		t.Errorf("event %+v", x)
	}
	vimtest.OK(f.As(agent, sessions, "UpdateServiceMessage",
		&types.UpdateServiceMessageRequestType{Message: "from the agent"}))
	by := `VSPHERE.LOCAL\Administrator (impersonated by VSPHERE.LOCAL\agent)`
	if m := vimtest.Get[*types.GlobalMessageChangedEvent](f.Newest()); m.UserName != by {
		t.Errorf("event names %q", m.UserName)
	}
	vimtest.Get[string](f.As(agent, sessions, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}))
	audit := f.audit("AcquireCloneTicket")
	if !strings.Contains(audit, ` user=VSPHERE.LOCAL\Administrator `) ||
		!strings.Contains(audit, ` origin=VSPHERE.LOCAL\agent `) {
		t.Errorf("audit line %s", audit)
	}
	weak := f.User("weak", "Sessions.ImpersonateUser")
	// An extension without a session, by a caller that has all its privileges.
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	if s := vimtest.Get[types.UserSession](impersonate(f.Admin, "com.acme", "")); s.UserName != "com.acme" {
		t.Errorf("session %+v", s)
	}
	vimtest.Fails[types.InvalidLogin](impersonate(weak, "com.acme", "")) // another session impersonates it already
}

// audit returns the newest audit line of the operation.
func (f *fixture) audit(operation string) string {
	f.t.Helper()
	newest := ""
	for l := range strings.Lines(f.Logged()) {
		if strings.Contains(l, "msg=audit operation=SessionManager."+operation+" ") {
			newest = l
		}
	}
	return newest
}

// A login that fails may give any name, even one that looks like an impersonation. The log shows the name
// in quotes and without an origin, and the event is not found under the name of another user.
func TestATypedNameIsNotTakenForAnImpersonation(t *testing.T) {
	f := newFixture(t)
	const typed = `VSPHERE.LOCAL\ann (impersonated by VSPHERE.LOCAL\Administrator)`
	vimtest.Fails[types.InvalidLogin](f.As("", sessions, "Login",
		&types.LoginRequestType{UserName: typed, Password: "wrong"}))
	e := vimtest.Get[*types.BadUsernameSessionEvent](f.Newest())
	if e.UserName != strconv.Quote(typed) || !strings.Contains(e.FullFormattedMessage, strconv.Quote(typed)) {
		t.Errorf("event of %s: %s", e.UserName, e.FullFormattedMessage)
	}
	if l := f.audit("Login"); !strings.Contains(l, strconv.Quote(typed)) || strings.Contains(l, "origin=") {
		t.Errorf("audit line %s", l)
	}
	for _, name := range []string{"administrator", "ann"} {
		q := &types.QueryEventsRequestType{Filter: types.EventFilterSpec{
			UserName: &types.EventFilterSpecByUsername{UserList: []string{name}},
			Type:     []string{"BadUsernameSessionEvent"},
		}}
		if all := vimtest.Get[[]types.BaseEvent](f.On("EventManager", "QueryEvents", q)); len(all) != 0 {
			t.Errorf("%s has %d failed logins", name, len(all))
		}
	}
}

func TestTheSessionListIsForThoseWhoMayEndSessions(t *testing.T) {
	f := newFixture(t)
	vimtest.Fails[types.NotAuthenticated](f.Prop("", sessions, "sessionList"))
	vimtest.Fails[types.NoPermission](f.Prop(f.Ann, sessions, "sessionList"))
	var names []string
	for _, s := range vimtest.Get[[]types.UserSession](f.Prop(f.Admin, sessions, "sessionList")) {
		names = append(names, s.UserName)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{vimtest.AdminName, vimtest.AnnName}) {
		t.Errorf("sessions of %v", names)
	}
}

func TestSessionsAreTerminatedInOrderUpToTheFirstFailure(t *testing.T) {
	f := newFixture(t)
	terminate := func(keys ...string) vimtest.Answer {
		return f.On(sessions, "TerminateSession", &types.TerminateSessionRequestType{SessionId: keys})
	}
	f.Needs("Sessions.TerminateSession", sessions, "TerminateSession", &types.TerminateSessionRequestType{})
	a, b := f.Login(vimtest.AnnName, vimtest.AnnPassword), f.Login(vimtest.AnnName, vimtest.AnnPassword)
	keyA, keyB := f.Key(a), f.Key(b)
	vimtest.OK(terminate())
	vimtest.Fails[types.NotFound](terminate(keyA, uuid.NewString(), keyB))
	if f.Alive(a) || !f.Alive(b) {
		t.Error("not in order")
	}
	for _, wrong := range []string{keyA, "", b, "x"} {
		vimtest.Fails[types.NotFound](terminate(wrong))
	}
	vimtest.Invalid("sessionId", terminate(f.Key(f.Admin)))
	if !f.Alive(f.Admin) || !f.Alive(b) {
		t.Error("ended what should live")
	}
	vimtest.OK(terminate(keyB))
	vimtest.Fails[types.NotAuthenticated](f.Prop(b, sessions, "message"))
}

func TestALogoutEndsTheSession(t *testing.T) {
	f := newFixture(t)
	f.Needs(vim.View, sessions, "Logout", &types.LogoutRequestType{})
	vimtest.OK(f.As(f.Ann, sessions, "Logout", &types.LogoutRequestType{}))
	vimtest.Fails[types.NotAuthenticated](f.As(f.Ann, sessions, "Logout", &types.LogoutRequestType{}))
}

func TestSessionIsActiveGoesByKeyAndUser(t *testing.T) {
	f := newFixture(t)
	f.Needs("Sessions.ValidateSession", sessions, "SessionIsActive", &types.SessionIsActiveRequestType{})
	key := f.Key(f.Ann)
	f.Pass(29 * time.Minute)
	vimtest.Get[*types.UserSession](f.Prop(f.Admin, sessions, "currentSession"))
	for name, want := range map[string]bool{"ann": true, "ANN@VSPHERE.LOCAL": true, vimtest.AnnName: true,
		"administrator": false, "": false, `CORP\ann`: false} {
		if got := vimtest.Get[bool](f.On(sessions, "SessionIsActive",
			&types.SessionIsActiveRequestType{SessionID: key, UserName: name})); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	for _, wrong := range []string{f.Ann, uuid.NewString(), ""} {
		if vimtest.Get[bool](f.On(sessions, "SessionIsActive",
			&types.SessionIsActiveRequestType{SessionID: wrong, UserName: "ann"})) {
			t.Error("active by something else than the key")
		}
	}
	f.Pass(2 * time.Minute) // the questions don't count as activity of the session
	if vimtest.Get[bool](f.On(sessions, "SessionIsActive",
		&types.SessionIsActiveRequestType{SessionID: key, UserName: "ann"})) {
		t.Error("active after its time")
	}
}

func TestLocalesAreSetAndListed(t *testing.T) {
	f := newFixture(t)
	f.Needs(vim.View, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: "de"})
	for wanted, got := range map[string][2]string{"zh-Hant-TW": {"zh_TW", "zh_TW"}, "pt_BR": {"pt_BR", "en"},
		"": {"en", "en"}} {
		vimtest.OK(f.As(f.Ann, sessions, "SetLocale", &types.SetLocaleRequestType{Locale: wanted}))
		if s := vimtest.Get[*types.UserSession](f.Prop(f.Ann, sessions, "currentSession")); s.Locale != got[0] ||
			s.MessageLocale != got[1] {
			t.Errorf("%q: %s, %s", wanted, s.Locale, s.MessageLocale)
		}
	}
	for _, wrong := range []string{"english", "xx", "de_XX1"} {
		vimtest.Fails[types.InvalidLocale](f.As(f.Ann, sessions, "SetLocale",
			&types.SetLocaleRequestType{Locale: wrong}))
	}
	if got := vimtest.Get[string](f.Prop("", sessions, "defaultLocale")); got != "en" {
		t.Errorf("default %q", got)
	}
	messages := vimtest.Get[[]string](f.Prop("", sessions, "messageLocaleList"))
	if supported := vimtest.Get[[]string](f.Prop("", sessions, "supportedLocaleList")); len(messages) < 9 ||
		len(supported) < len(messages) {
		t.Errorf("%v, %v", messages, supported)
	}
}

func TestTheServiceMessageIsForAll(t *testing.T) {
	f := newFixture(t)
	f.Needs("Sessions.GlobalMessage", sessions, "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{})
	update := func(s string) vimtest.Answer {
		return f.On(sessions, "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: s})
	}
	for _, s := range []string{"Back at 10.\nSorry.", ""} {
		var r vim.Reading
		r.Begin(f.API, &vim.Call{Session: f.Session(f.Ann)})
		changed := r.Changed(f.Ref(sessions), "message")
		vimtest.OK(update(s))
		select {
		case <-changed:
		default:
			t.Error("watchers were not told")
		}
		if got := vimtest.Get[string](f.Prop(f.Ann, sessions, "message")); got != s {
			t.Errorf("message %q", got)
		}
	}
	vimtest.Invalid("message", update("bell\a"))
	vimtest.Invalid("message", update(strings.Repeat("x", 16<<10+1)))
	vimtest.Fails[types.NotAuthenticated](f.Prop("", sessions, "message"))
}

func TestALimitAsksToComeBackLater(t *testing.T) {
	f := newFixture(t)
	const most = 10
	vimtest.OK(f.SetOption(f.Admin, types.OptionValue{Key: "vigate.session.maxPerUser", Value: int32(most)}))
	login := func() vimtest.Answer {
		return f.As("", sessions, "Login", &types.LoginRequestType{UserName: "ann", Password: vimtest.AnnPassword})
	}
	for range most - 1 { // ann has one
		vimtest.Get[types.UserSession](login())
	}
	a := login()
	if a.Fault == nil || a.Fault.Detail != nil || a.Fault.RetryAfter <= 0 ||
		!strings.Contains(a.Fault.Text("en"), "10") {
		t.Errorf("fault %+v", a.Fault)
	}
}

func TestAFaultIsInTheLanguageThatTheCallAsksFor(t *testing.T) {
	f := newFixture(t)
	_, fault := f.Send("", f.Ref(sessions), "Login",
		&types.LoginRequestType{UserName: "x", Password: "y", Locale: "de"})
	if fault.Text(f.MessageLocale(f.Last)) != locale.Text("de", "fault.InvalidLogin") {
		t.Errorf("%q", fault.Text(f.MessageLocale(f.Last)))
	}
	f.Last = &vim.Call{Object: f.Ref(sessions), Name: "message", Read: true, AcceptLanguage: "xx, ja;q=0.5"}
	if got := f.MessageLocale(f.Last); got != "ja" {
		t.Errorf("locale %q", got)
	}
}

// glance is a login method that sees what an attempt keeps in memory while it waits.
type glance struct {
	on  *bool
	saw func(login.Credential)
}

func (glance) Name() string { return "glance" }

func (glance) Challenge() string { return "" }

func (g glance) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	if !*g.on {
		return session.Grant{}, login.ErrNotMine
	}
	g.saw(a.Credential)
	return session.Grant{}, login.ErrRejected
}

// While a login waits for its turn, the memory of its request is no longer counted.
func TestALoginThatWaitsHoldsNoLongName(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	var held int
	see := false
	f := newFixture(t, func(d *vimtest.Parts) {
		d.Methods = []login.Method{glance{&see, func(c login.Credential) { held = len(c.Claims()) }}}
	})
	see = true
	byName, byKey, bySubject := &types.LoginRequestType{UserName: long}, &types.LoginExtensionByCertificateRequestType{
		ExtensionKey: long}, &types.LoginExtensionBySubjectNameRequestType{ExtensionKey: long}
	for name, c := range map[string]struct {
		args any
		text *string
	}{
		"Login":                       {byName, &byName.UserName},
		"LoginExtensionByCertificate": {byKey, &byKey.ExtensionKey},
		"LoginExtensionBySubjectName": {bySubject, &bySubject.ExtensionKey},
	} {
		held = -1
		vimtest.Fails[types.InvalidLogin](f.As("", sessions, name, c.args))
		if held < principal.MaxLength+1 || held > 2<<10 || len(*c.text) > 2<<10 {
			t.Errorf("%s: the attempt holds %d bytes, its arguments %d", name, held, len(*c.text))
		}
	}
}

func TestWhoSetsOptionsCannotTakeAllSessions(t *testing.T) {
	f := newFixture(t)
	mallory := f.User("mallory", access.GlobalSettings)
	vimtest.OK(f.SetOption(mallory, types.OptionValue{Key: "config.vmacore.soap.maxSessionCount", Value: int32(100)}))
	for range 100 {
		a := f.As("", sessions, "Login", &types.LoginRequestType{UserName: "mallory", Password: "password of mallory"})
		if a.Fault != nil {
			break
		}
	}
	if !f.Alive(f.Login(vimtest.AdminName, vimtest.AdminPassword)) {
		t.Error("the administrator can't log in")
	}
}
