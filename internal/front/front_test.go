package front_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/front"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/sessionmanager"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// fixture is a front of a simulator. The password of its users is "right", unless set otherwise.
type fixture struct {
	*vimtest.Fixture
	*front.Front
	api      *vim.API
	upstream *upstream.Upstream
	config   upstream.Config
	service  *simulator.Service
	t        *testing.T

	mu       sync.Mutex // guards what follows
	password string
	tries    []string // names and passwords of logins at the simulator
}

// newFixture makes a front. edit changes its configuration.
func newFixture(t *testing.T, edit func(*upstream.Config)) *fixture {
	t.Helper()
	f := &fixture{Fixture: vimtest.New(t), t: t, password: "right"}
	model := simulator.VPX()
	model.Datacenter, model.Cluster, model.Host = 1, 0, 1
	f.Must(model.Create())
	t.Cleanup(model.Remove)
	f.service = model.Service
	f.service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("nobody", "x")}
	f.service.Context.Map.SessionManager().ValidLogin = func(l *types.Login) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tries = append(f.tries, l.UserName+":"+l.Password)
		return l.Password == f.password
	}
	server := f.service.NewServer()
	t.Cleanup(server.Close)
	f.config = upstream.Config{Name: "lab", URL: "http://" + server.URL.Host + "/sdk", Listen: "127.0.0.1:0"}
	edit(&f.config)
	f.Must(errors.Join(f.config.Check()...))
	var err error
	f.upstream, err = upstream.Open(f.config, upstream.Options{
		OnGone: func(a *upstream.Account) { f.Gone(a) }, Now: f.Now,
	})
	f.Must(err)
	t.Cleanup(func() { _ = f.upstream.Drain(t.Context()) })
	passwords, err := login.NewPasswords(f.Accounts)
	f.Must(err)
	f.Front = front.New(front.Options{
		Domain: f.Domain, Upstream: f.upstream, Config: f.config, Gate: f.Fixture.Server.Gate,
		Methods: []login.Method{passwords}, API: vim.Options{Now: f.Now},
		Manager: sessionmanager.Options{
			HostName: "vigate.test", SHA1: func() string { return "00" }, SHA256: func() string { return "11" },
		},
		Now: f.Now,
	})
	content, err := f.upstream.Content(t.Context())
	f.Must(err)
	f.api, err = f.Open(content.SessionManager.Value)
	f.Must(err)
	return f
}

// tried returns the logins at the simulator since the last call.
func (f *fixture) tried() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.tries
	f.tries = nil
	return all
}

// do makes a call on the front, or reads a property if args are nil.
func (f *fixture) do(token, name string, args any) (vim.Result, *vim.Fault) {
	c := &vim.Call{
		Object: f.api.Object("SessionManager").Ref(), Name: name, Args: args, Read: args == nil,
		Token: secret.New(token), Peer: &f.Peer,
	}
	defer c.Answered()
	return f.api.Do(f.t.Context(), c)
}

func (f *fixture) login(user, password string) (token string, _ *vim.Fault) {
	r, fault := f.do("", "Login", &types.LoginRequestType{UserName: user, Password: password})
	return r.Token.Reveal(), fault
}

// live returns the live session of a token of the front, or nil.
func (f *fixture) live(token string) *session.Live {
	f.t.Helper()
	l, err := f.Domain.On("lab").Sessions.Authenticate(f.t.Context(), secret.New(token), f.Now())
	f.Must(err)
	return l
}

// until waits for a condition that another goroutine makes true.
func (f *fixture) until(what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			f.t.Fatal("waited in vain for: " + what)
		}
		<-time.After(time.Millisecond)
	}
}

func through(c *upstream.Config) { c.PassThrough = true }

func TestAPassThroughUserIsTheUpstreams(t *testing.T) {
	f := newFixture(t, through)
	token, fault := f.login(vimtest.AdminName, "right")
	if fault != nil {
		t.Fatal(fault)
	}
	if got := f.tried(); !slices.Equal(got, []string{vimtest.AdminName + ":right"}) {
		t.Errorf("tried %q", got)
	}
	r, fault := f.do(token, "currentSession", nil)
	if s, ok := r.Value.(*types.UserSession); !ok || s.UserName != vimtest.AdminName {
		t.Errorf("session %+v, %v", r.Value, fault)
	}
	l := f.live(token)
	if i := l.Identity(); !i.Name.Equal(principal.OfUpstream("lab", vimtest.AdminName)) {
		t.Errorf("identity %+v", i)
	}
	a, err := f.Choose(l)
	if err != nil || a.User() != vimtest.AdminName || !a.PassThrough() {
		t.Errorf("acts as %v: %v", a, err)
	}
	// A password that was accepted a moment ago costs no call upstream, and neither does a clone.
	second, fault := f.login(vimtest.AdminName, "right")
	if fault != nil || f.live(second) == nil || len(f.tried()) != 0 {
		t.Errorf("the second login: %v", fault)
	}
	// The password of the principal of this server with the same name is not one of the upstream.
	if _, fault := f.login(vimtest.AdminName, vimtest.AdminPassword); !vim.IsFault[*types.InvalidLogin](fault) {
		t.Errorf("with the password of this server: %v", fault)
	}
	if got := f.tried(); len(got) != 1 {
		t.Errorf("tried %q", got)
	}
}

func TestThePrivilegesOfAPassThroughSessionAreTheUpstreams(t *testing.T) {
	f := newFixture(t, through)
	token, fault := f.login("ann", "right")
	if fault != nil {
		t.Fatal(fault)
	}
	a, err := f.Choose(f.live(token))
	f.Must(err)
	has, err := a.Privileges(t.Context(), "Sessions.TerminateSession")
	f.Must(err)
	_, fault = f.do(token, "sessionList", nil)
	if granted := fault == nil; granted != has["Sessions.TerminateSession"] ||
		!granted && !vim.IsFault[*types.NoPermission](fault) {
		t.Errorf("sessionList: %v, and the upstream says %v", fault, has)
	}
	// Whoever has a session may view.
	if _, fault := f.do(token, "AcquireCloneTicket", &types.AcquireCloneTicketRequestType{}); fault != nil {
		t.Errorf("AcquireCloneTicket: %v", fault)
	}
}

func TestSessionsEndWithTheLastUpstreamSessionOfTheirUser(t *testing.T) {
	f := newFixture(t, through)
	ann, fault := f.login("ann", "right")
	ben, faultOfBen := f.login("ben", "right")
	if fault != nil || faultOfBen != nil {
		t.Fatal(fault, faultOfBen)
	}
	second, _ := f.login("ann", "right")
	a, err := f.Choose(f.live(ann))
	f.Must(err)
	f.tried()
	use, err := f.upstream.Pool(a, "").Acquire(t.Context())
	f.Must(err)
	use.Session().Lost(errors.New("ended by an administrator"))
	use.Done()
	f.until("the end of Ann's sessions", func() bool { return f.live(ann) == nil && f.live(second) == nil })
	if f.live(ben) == nil {
		t.Error("the session of another user has ended")
	}
	// The password is not kept, so the next login is tried at the upstream.
	f.Pass(time.Second)
	again, fault := f.login("ann", "right")
	if fault != nil || len(f.tried()) != 1 {
		t.Errorf("the next login: %v", fault)
	}
	if _, err := f.Choose(f.live(again)); err != nil {
		t.Error(err)
	}
}

func TestASessionWithoutAnUpstreamUserEndsAtItsNextCall(t *testing.T) {
	f := newFixture(t, through)
	// Such as one that was started by a server that has been restarted.
	l, token, err := f.Domain.On("lab").Sessions.Start(t.Context(), session.Grant{
		Identity: session.Identity{Name: principal.OfUpstream("lab", "ann")}, Method: "passthrough",
	})
	f.Must(err)
	if _, err := f.Choose(l); !vim.IsFault[*types.NotAuthenticated](vim.FaultOf(err)) {
		t.Errorf("choose: %v", err)
	}
	if f.live(token.Reveal()) != nil {
		t.Error("the session lives on")
	}
}

// accounts configures two accounts: one for Ann and a group, one for the administrator and Ann.
func accounts(t *testing.T) func(*upstream.Config) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *upstream.Config) {
		c.Accounts = []upstream.AccountConfig{
			{Name: "ci", Username: "svc-ci", PasswordFile: file, Methods: []string{"Retrieve*"},
				For: []string{"ann@vsphere.local", `group:CORP\Builders`}},
			{Name: "ops", Username: "svc-ops", PasswordFile: file, For: []string{"administrator", "ann@vsphere.local"}},
		}
	}
}

func TestTheFirstAccountForAPrincipalOrAGroupCounts(t *testing.T) {
	f := newFixture(t, accounts(t))
	sessions := f.Domain.On("lab").Sessions
	for _, c := range []struct {
		who     session.Identity
		account string
	}{
		{session.Identity{Name: principal.Name{Domain: "VSPHERE.LOCAL", User: "ANN"}}, "ci"},
		{session.Identity{Name: principal.Name{Domain: "VSPHERE.LOCAL", User: "Administrator"}}, "ops"},
		{session.Identity{Name: principal.Name{Domain: "VSPHERE.LOCAL", User: "Administrator"},
			Groups: []string{`CORP\builders`}}, "ci"},
		{session.Identity{Name: principal.Name{Domain: "CORP", User: "Ann"}, Groups: []string{`CORP\Builders`}}, "ci"},
		{session.Identity{Name: principal.Name{Domain: "CORP", User: "Ann"}, Groups: []string{`CORP2\Builders`}}, ""},
		{session.Identity{Name: principal.OfUpstream("lab", `VSPHERE.LOCAL\Ann`)}, ""},
		{session.Identity{Name: principal.Extension("ann"), Extension: true}, ""},
	} {
		l, _, err := sessions.Start(t.Context(), session.Grant{Identity: c.who, Method: "password"})
		f.Must(err)
		a, err := f.Choose(l)
		switch {
		case c.account == "" && !vim.IsFault[*types.NoPermission](vim.FaultOf(err)):
			t.Errorf("%v: %v", c.who, err)
		case c.account != "" && (err != nil || a.Name() != c.account):
			t.Errorf("%v: %v, %v, want %s", c.who, a, err, c.account)
		}
	}
}

func TestOnlyThoseWithAnAccountLogIn(t *testing.T) {
	f := newFixture(t, accounts(t))
	ann, fault := f.login(vimtest.AnnName, vimtest.AnnPassword)
	if fault != nil {
		t.Fatal(fault)
	}
	f.User("ben")
	if _, fault := f.login("ben", "password of ben"); !vim.IsFault[*types.NoPermission](fault) {
		t.Errorf("a principal without an account: %v", fault)
	}
	if len(f.tried()) != 0 {
		t.Error("a login on the front was one at the upstream")
	}
	a, err := f.Choose(f.live(ann))
	f.Must(err)
	if !a.Allows("RetrievePropertiesEx") || a.Allows("Destroy_Task") {
		t.Error("the account's methods")
	}
	// After a reload, others have an account. The session goes on.
	cfg := f.config
	cfg.Accounts = slices.Clone(cfg.Accounts)
	cfg.Accounts[0].For = []string{"ben"}
	f.Must(f.upstream.Reload(cfg))
	f.Reload(cfg)
	if a, err := f.Choose(f.live(ann)); err != nil || a.Name() != "ops" {
		t.Errorf("after a reload: %v, %v", a, err)
	}
	if _, fault := f.login("ben", "password of ben"); fault != nil {
		t.Errorf("after a reload: %v", fault)
	}
}

func TestTheMessageOfTheUpstreamFollowsThatOfThisServer(t *testing.T) {
	f := newFixture(t, accounts(t))
	message := "maintenance at nine"
	f.service.Context.Map.SessionManager().Message = &message
	token, fault := f.login(vimtest.AdminName, vimtest.AdminPassword)
	if fault != nil {
		t.Fatal(fault)
	}
	want := func(text string) {
		t.Helper()
		if r, fault := f.do(token, "message", nil); fault != nil || r.Value != text {
			t.Errorf("message %q, %v, want %q", r.Value, fault, text)
		}
	}
	want(message)
	update := &types.UpdateServiceMessageRequestType{Message: "from vigate"}
	if _, fault := f.do(token, "UpdateServiceMessage", update); fault != nil {
		t.Error(fault)
	}
	want("from vigate\n" + message)
}

// The clients come from one network, whose failed logins would lock the name if each of them counted.
func TestARightPasswordAmongAHundredOldOnesGetsIn(t *testing.T) {
	f := newFixture(t, through)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards in
	in := map[string]int{}
	for i := range 100 {
		password := "old"
		if i == 90 {
			password = "right"
		}
		wg.Go(func() {
			// A busy server hashes few passwords, and asks the others to come again.
			var fault *vim.Fault
			for range 6000 {
				_, fault = f.api.Do(t.Context(), &vim.Call{
					Object: f.api.Object("SessionManager").Ref(), Name: "Login", Peer: &f.Peer,
					Args: &types.LoginRequestType{UserName: "ann", Password: password},
				})
				if fault == nil || fault.RetryAfter == 0 {
					break
				}
				<-time.After(10 * time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case fault == nil:
				in[password]++
			case !vim.IsFault[*types.InvalidLogin](fault):
				t.Errorf("with the password %q: %v", password, fault)
			}
		})
	}
	wg.Wait()
	if in["right"] != 1 || in["old"] != 0 {
		t.Errorf("logged in: %v", in)
	}
	// One try of each password.
	if tries := f.tried(); len(tries) != 2 {
		t.Errorf("tried %q", tries)
	}
	// Different wrong passwords are guesses, and lock the name here before the upstream does.
	for i := range 20 {
		_, _ = f.login("ben", strings.Repeat("x", i+1))
	}
	if tries := f.tried(); len(tries) == 0 || len(tries) > 5 {
		t.Errorf("guesses at the upstream: %q", tries)
	}
}
