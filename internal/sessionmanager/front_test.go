package sessionmanager_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// upstream is a password method for the users of an upstream server. Their password is "right".
type upstream struct{ front string }

func (upstream) Name() string      { return "passthrough" }
func (upstream) Challenge() string { return "Basic" }

func (u upstream) Authenticate(_ context.Context, a login.Attempt) (session.Grant, error) {
	p, ok := a.Credential.(login.Password)
	switch {
	case !ok:
		return session.Grant{}, login.ErrNotMine
	case p.Secret.Reveal() != "right":
		return session.Grant{}, login.ErrRejected
	}
	return session.Grant{
		Identity: session.Identity{Name: principal.OfUpstream(u.front, p.User), FullName: "of the upstream"},
		Scope:    session.Scope{Upstream: u.front},
	}, nil
}

// place is this server or one of its fronts, with its bindings, and a session there.
type place struct {
	*vimtest.Fixture
	http.Handler
	id    string // of SessionManager
	token string
}

func newPlace(f *vimtest.Fixture, id, token string) *place {
	mux, bodies := http.NewServeMux(), binding.NewBodies(0)
	vijson.Mount(mux, f.API, bodies)
	soap.Mount(mux, f.API, bodies, soap.Options{Version: vimtest.APIVersion})
	rest.Mount(mux, f.API, bodies, f.Gate.Challenges())
	return &place{f, mux, id, token}
}

// places returns this server and three fronts. Two have the principals of this server, and one has users of
// its own with the same names.
func places(t *testing.T) map[string]*place {
	t.Helper()
	f := vimtest.New(t)
	all := map[string]*place{"": newPlace(f, "SessionManager", f.Ann)}
	for name, id := range map[string]string{"lab": "SessionManager", "esx": "ha-sessionmgr"} {
		front := f.Front(vimtest.FrontConfig{Name: name, ID: id})
		all[name] = newPlace(front, id, front.Ann)
	}
	through := f.Front(passThrough(access.SystemView))
	all["through"] = newPlace(through, "SessionManager", through.Login(vimtest.AnnName, "right"))
	return all
}

// passThrough describes a front whose users have the privileges.
func passThrough(privileges ...access.Privilege) vimtest.FrontConfig {
	return vimtest.FrontConfig{
		Name: "through", Methods: []login.Method{upstream{"through"}},
		Front: sessionmanager.Front{PassThrough: true},
		Permits: func(_ context.Context, _ *session.Live, p access.Privilege) (bool, error) {
			return slices.Contains(privileges, p), nil
		},
	}
}

// ask sends a request and returns the status and the body.
func (p *place) ask(method, path, body string, header ...string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// envelope returns a SOAP message with a header and a call of SetLocale, which any session may make.
func (p *place) envelope(header string) string {
	return `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header>` + header + `</Header><Body>` +
		`<SetLocale xmlns="urn:vim25"><_this type="SessionManager">` + p.id + `</_this>` +
		`<locale>de</locale></SetLocale></Body></Envelope>`
}

// ways are all ways to present a token, each with the words in the answer to a caller who has a session.
var ways = map[string]func(p *place, token string) (accepted bool){
	"VI JSON, header": func(p *place, token string) bool {
		return p.current("vmware-api-session-id", token)
	},
	"VI JSON, cookie": func(p *place, token string) bool {
		return p.current("Cookie", "vmware_soap_session="+token)
	},
	"VI JSON, quoted cookie": func(p *place, token string) bool {
		return p.current("Cookie", `vmware_soap_session="`+token+`"`)
	},
	"SOAP, cookie": func(p *place, token string) bool {
		code, _ := p.ask("POST", "/sdk", p.envelope(""), "Cookie", "vmware_soap_session="+token)
		return code == http.StatusOK
	},
	"SOAP, header of HTTP": func(p *place, token string) bool {
		code, _ := p.ask("POST", "/sdk", p.envelope(""), "vmware-api-session-id", token)
		return code == http.StatusOK
	},
	"SOAP, header of the message": func(p *place, token string) bool {
		code, _ := p.ask("POST", "/sdk", p.envelope(
			`<vcSessionCookie xmlns="urn:vim25">`+token+`</vcSessionCookie>`))
		return code == http.StatusOK
	},
	"/api, header": func(p *place, token string) bool {
		code, _ := p.ask("GET", "/api/session", "", "vmware-api-session-id", token)
		return code == http.StatusOK
	},
	"/rest, cookie": func(p *place, token string) bool {
		code, _ := p.ask("POST", "/rest/com/vmware/cis/session?~action=get", "",
			"Cookie", "vmware-api-session-id="+token)
		return code == http.StatusOK
	},
}

// current reports whether a request with the header has a session.
func (p *place) current(header ...string) bool {
	code, body := p.ask("GET", "/sdk/vim25/8.0.1.0/SessionManager/"+p.id+"/currentSession", "", header...)
	return code == http.StatusOK && strings.Contains(body, `"userName":`)
}

func TestATokenIsGoodOnItsOwnFrontOnly(t *testing.T) {
	all := places(t)
	for from, source := range all {
		for to, target := range all {
			for name, way := range ways {
				if got := way(target, source.token); got != (from == to) {
					t.Errorf("a token of %q on %q by %s is accepted: %v", from, to, name, got)
				}
			}
		}
	}
}

// generic returns a ticket of the session of the place.
func (p *place) generic(spec types.BaseSessionManagerServiceRequestSpec) string {
	return vimtest.Get[types.SessionManagerGenericServiceTicket](p.As(p.token, "SessionManager",
		"AcquireGenericServiceTicket", &types.AcquireGenericServiceTicketRequestType{Spec: spec})).Id
}

func TestATicketIsGoodOnItsOwnFrontOnly(t *testing.T) {
	all := places(t)
	for from, source := range all {
		for to, target := range all {
			path := "/sdk/vim25/8.0.1.0/SessionManager/" + target.id + "/currentSession"
			service := source.generic(&types.SessionManagerHttpServiceRequestSpec{Url: path})
			if got := target.current("Cookie", "vmware_cgi_ticket="+service); got != (from == to) {
				t.Errorf("a service ticket of %q on %q is accepted: %v", from, to, got)
			}
			clones := map[string]string{
				"clone": vimtest.Get[string](source.As(source.token, "SessionManager", "AcquireCloneTicket",
					&types.AcquireCloneTicketRequestType{})),
				"generic": source.generic(
					&types.SessionManagerVmomiServiceRequestSpec{Method: "vim.SessionManager.cloneSession"}),
			}
			for kind, text := range clones {
				clone := func(at *place) (string, *vim.Fault) {
					r, fault := at.Send("", at.Ref("SessionManager"), "CloneSession",
						&types.CloneSessionRequestType{CloneTicket: text})
					return r.Token.Reveal(), fault
				}
				if from != to {
					if _, fault := clone(target); fault == nil {
						t.Errorf("a %s ticket of %q is accepted on %q", kind, from, to)
					}
				}
				// The try has not spent it, and the clone is a session of its front.
				if token, fault := clone(source); fault != nil || !ways["SOAP, cookie"](source, token) {
					t.Errorf("a %s ticket of %q at home: %v", kind, from, fault)
				} else if from != to && ways["SOAP, cookie"](target, token) {
					t.Errorf("a clone of a session of %q is accepted on %q", from, to)
				}
			}
		}
	}
}

func TestAFrontShowsAndEndsItsOwnSessionsOnly(t *testing.T) {
	all := places(t)
	keys := map[string]string{}
	for name, p := range all {
		keys[name] = p.Key(p.token)
	}
	admins := map[string]string{}
	for name, p := range all {
		if admins[name] = p.Admin; name == "through" {
			through := all[""].Front(passThrough(access.SystemView, access.TerminateSession, access.ValidateSession))
			admins[name], all[name] = through.Login("boss", "right"), newPlace(through, p.id, p.token)
		}
	}
	for at, p := range all {
		var listed []string
		for _, s := range vimtest.Get[[]types.UserSession](p.Prop(admins[at], "SessionManager", "sessionList")) {
			listed = append(listed, s.Key)
		}
		for of, key := range keys {
			if got := strings.Contains(strings.Join(listed, " "), key); got != (of == at) {
				t.Errorf("the session of %q is listed on %q: %v", of, at, got)
			}
			active := vimtest.Get[bool](p.As(admins[at], "SessionManager", "SessionIsActive",
				&types.SessionIsActiveRequestType{SessionID: key, UserName: "ann@vsphere.local"}))
			if active != (of == at) {
				t.Errorf("the session of %q is active on %q: %v", of, at, active)
			}
			if of != at {
				vimtest.Fails[types.NotFound](p.As(admins[at], "SessionManager", "TerminateSession",
					&types.TerminateSessionRequestType{SessionId: []string{key}}))
			}
		}
	}
	for at, p := range all {
		vimtest.OK(p.As(admins[at], "SessionManager", "TerminateSession",
			&types.TerminateSessionRequestType{SessionId: []string{keys[at]}}))
		for name, way := range ways {
			if way(p, p.token) {
				t.Errorf("the token of the ended session of %q is accepted by %s", at, name)
			}
		}
	}
}

func TestAFrontServesNoExtensionsAndNoImpersonation(t *testing.T) {
	f := vimtest.New(t)
	vimtest.OK(f.Register(vimtest.Extension("com.acme")))
	lab := f.Front(vimtest.FrontConfig{})
	through := f.Front(passThrough(access.SystemView, access.ImpersonateUser, access.GlobalMessage))
	token := through.Login("root", "right")
	refused := func(front *vimtest.Fixture, token, method string, args any) {
		t.Helper()
		_, fault := front.Send(token, front.Ref("SessionManager"), method, args)
		if !vim.IsFault[*types.NotSupported](fault) {
			t.Errorf("%s: %v", method, fault)
		}
	}
	for _, front := range []*vimtest.Fixture{lab, through} {
		refused(front, "", "LoginExtensionByCertificate",
			&types.LoginExtensionByCertificateRequestType{ExtensionKey: "com.acme"})
		refused(front, "", "LoginExtensionBySubjectName",
			&types.LoginExtensionBySubjectNameRequestType{ExtensionKey: "com.acme"})
		refused(front, "", "LoginExtension", &sessionmanager.LoginExtensionRequestType{ExtensionKey: "com.acme"})
	}
	impersonate := &types.ImpersonateUserRequestType{UserName: "ann"}
	refused(lab, lab.Admin, "ImpersonateUser", impersonate)
	refused(through, token, "ImpersonateUser", impersonate)
	refused(through, "", "LoginByToken", &types.LoginByTokenRequestType{})
	refused(through, "", "LoginBySSPI", &types.LoginBySSPIRequestType{Base64Token: "AAAA"})
	refused(through, token, "UpdateServiceMessage", &types.UpdateServiceMessageRequestType{Message: "x"})
	if _, fault := lab.Send("", lab.Ref("SessionManager"), "LoginByToken", &types.LoginByTokenRequestType{}); !vim.
		IsFault[*types.InvalidLogin](fault) {
		t.Errorf("LoginByToken on a front for the principals of this server: %v", fault)
	}
}

func TestTheMessageOfAFrontIsThatOfBothServers(t *testing.T) {
	f := vimtest.New(t)
	theirs, err := "from the upstream", error(nil)
	lab := f.Front(vimtest.FrontConfig{Front: sessionmanager.Front{
		Message: func(context.Context, *session.Live) (string, error) { return theirs, err },
	}})
	want := func(text string) {
		t.Helper()
		if got := vimtest.Get[string](lab.Prop(lab.Ann, "SessionManager", "message")); got != text {
			t.Errorf("message %q, want %q", got, text)
		}
	}
	want("from the upstream")
	vimtest.OK(lab.As(lab.Admin, "SessionManager", "UpdateServiceMessage",
		&types.UpdateServiceMessageRequestType{Message: "from vigate"}))
	want("from vigate\nfrom the upstream")
	theirs = ""
	want("from vigate")
	err = errors.New("not reachable")
	if a := lab.Prop(lab.Ann, "SessionManager", "message"); a.Fault == nil {
		t.Errorf("without the upstream: %v", a.Value)
	}
}

// TestUsersOfAnUpstreamServerHaveItsPrivilegesOnly gives a user of the upstream the name of the
// administrator of this server.
func TestUsersOfAnUpstreamServerHaveItsPrivilegesOnly(t *testing.T) {
	f := vimtest.New(t)
	through := f.Front(passThrough(access.SystemView))
	token := through.Login(vimtest.AdminName, "right")
	if s := vimtest.Get[*types.UserSession](through.Prop(token, "SessionManager", "currentSession")); s.UserName !=
		vimtest.AdminName || s.FullName != "of the upstream" {
		t.Errorf("session %+v", s)
	}
	vimtest.Fails[types.NoPermission](through.Prop(token, "SessionManager", "sessionList"))
	log := through.Logged()
	for _, want := range []string{`user=through\\VSPHERE.LOCAL\Administrator`, "front=through"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the log:\n%s", want, log)
		}
	}
	vimtest.Fails[types.InvalidLogin](through.As("", "SessionManager", "Login",
		&types.LoginRequestType{UserName: vimtest.AdminName, Password: vimtest.AdminPassword}))
	for _, e := range []string{"BadUsernameSessionEvent", "UserLoginSessionEvent"} {
		found := false
		for _, x := range f.Events.Query(event.Filter{Types: []string{e}, MaxCount: 1000}) {
			found = found || x.User == `through\\`+vimtest.AdminName
		}
		if !found {
			t.Errorf("no %s names the user of the upstream", e)
		}
	}
	// Failed logins there don't lock the principal of this server.
	for range 50 {
		_, _ = through.Send("", through.Ref("SessionManager"), "Login",
			&types.LoginRequestType{UserName: vimtest.AdminName, Password: "wrong"})
	}
	f.Login(vimtest.AdminName, vimtest.AdminPassword)
	// The privileges that can't be found out are none.
	broken := passThrough()
	broken.Permits = func(context.Context, *session.Live, access.Privilege) (bool, error) {
		return true, fmt.Errorf("ask upstream: %w", errors.New("no answer"))
	}
	dark := f.Front(broken)
	if a := dark.As(dark.Login("root", "right"), "SessionManager", "AcquireCloneTicket",
		&types.AcquireCloneTicketRequestType{}); !vim.IsFault[*types.SystemError](a.Fault) {
		t.Errorf("with unknown privileges: %v, %v", a.Value, a.Fault)
	}
}

func TestOnlyAdmittedPrincipalsLogInToAFront(t *testing.T) {
	f := vimtest.New(t)
	var admitted principal.Name
	lab := f.Server.Front(vimtest.FrontConfig{Admits: func(g session.Grant) bool {
		return g.Identity.Name.Equal(admitted)
	}})
	try := func(name, password string) *vim.Fault {
		_, fault := lab.Do(t.Context(), &vim.Call{Object: lab.Object("SessionManager").Ref(), Name: "Login",
			Peer: &f.Peer, Args: &types.LoginRequestType{UserName: name, Password: password}})
		return fault
	}
	admitted = principal.Name{Domain: "VSPHERE.LOCAL", User: "Ann"}
	if fault := try(vimtest.AnnName, vimtest.AnnPassword); fault != nil {
		t.Errorf("Ann: %v", fault)
	}
	if fault := try(vimtest.AdminName, vimtest.AdminPassword); !vim.IsFault[*types.NoPermission](fault) {
		t.Errorf("the administrator: %v", fault)
	}
	// Guesses count together with those on this server.
	for range 5 {
		_ = try(vimtest.AnnName, "wrong")
	}
	_, fault := f.Send("", f.Ref("SessionManager"), "Login",
		&types.LoginRequestType{UserName: vimtest.AnnName, Password: vimtest.AnnPassword})
	if !vim.IsFault[*types.InvalidLogin](fault) {
		t.Errorf("on this server, after five failures on the front: %v", fault)
	}
}
