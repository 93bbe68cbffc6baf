package vim

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os/user"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

const (
	adminName     = `VSPHERE.LOCAL\Administrator`
	annName       = `VSPHERE.LOCAL\Ann`
	adminPassword = "administrator's password"
	annPassword   = "password of Ann"
)

// fixture is the whole API over a store in memory, with an administrator and a
// user Ann who has the role ReadOnly.
type fixture struct {
	*API
	t      *testing.T
	mirror *store.Mirror
	clock  *clock
	log    *logBuffer
	// admin and ann are tokens of live sessions.
	admin, ann string
	// peer is where calls come from.
	peer peer.Peer
	last *Call // the newest call made
}

type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// logBuffer is a log that tests can read while others write.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newFixture makes a running API. edit may change the domain before it is used.
func newFixture(t *testing.T, edit ...func(*Domain)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: &clock{at: time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)}, log: &logBuffer{},
		peer: peer.Peer{Address: "192.0.2.7", UserAgent: "test/1", RequestID: "r1", TLS: true}}
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := f.domain(log)
	for _, e := range edit {
		e(&d)
	}
	var err error
	if f.API, err = New(d); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = f.mirror.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	f.must(f.mirror.Wait(ctx, 0))
	_, err = d.Settings.EnsureInstance(ctx)
	f.must(err)
	_, err = d.Accounts.Bootstrap(ctx, []byte(adminPassword))
	f.must(err)
	ann, err := principal.Parse(annName, "")
	f.must(err)
	f.must(d.Accounts.Create(ctx, "test", ann, []byte(annPassword), "Ann Example"))
	f.must(d.Access.SetPermissions(ctx, "test", access.Root, []access.Permission{{Principal: ann, Role: access.ReadOnly, Propagate: true}}))
	f.admin, f.ann = f.login(adminName, adminPassword), f.login(annName, annPassword)
	return f
}

// domain puts the parts together as the server does.
func (f *fixture) domain(log *slog.Logger) Domain {
	f.t.Helper()
	now := f.clock.now
	s := storetest.NewMemory(now)
	f.t.Cleanup(func() { _ = s.Close() })
	events := event.NewLog(event.Options{Now: now, Logger: log})
	settings, err := setting.New(setting.Config{Base: setting.Defaults(), Events: events, Logger: log,
		CheckLocale: func(name string) error { _, err := locale.Fit(name); return err }})
	f.must(err)
	var authority *access.Table
	extensionTable := extension.NewTable(func() { authority.Refresh() }, log)
	authority = access.NewTable(func() []access.Privilege {
		var all []access.Privilege
		for _, p := range extensionTable.Declared() {
			all = append(all, access.Privilege{ID: p.ID, Group: p.Group})
		}
		return all
	}, log)
	accountTable, sessionTable := account.NewTable("", log), session.NewTable(log)
	f.mirror = store.NewMirror(s, settings, extensionTable, authority, accountTable, sessionTable, events)
	settings.Attach(f.mirror)
	thumbprint := func() string { return "00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-FF-00-11-22-33" }
	sessions := session.NewManager(session.Options{Mirror: f.mirror, Table: sessionTable, Events: events,
		Policy: func() session.Policy { return policyOf(settings) }, Thumbprint: thumbprint, Now: now})
	accessManager := access.NewManager(access.Options{Mirror: f.mirror, Table: authority, Events: events,
		Exists: func(who principal.Name, group bool) bool {
			return who.Domain == "" && !group && extensionTable.Exists(who.User) || f.Directory.has(context.Background(), who, group)
		}, Enabled: accountTable.Enabled})
	end := func(ctx context.Context, who principal.Name, keep string) error {
		_, err := sessions.EndAll(ctx, func(s *session.Session) bool {
			owner := s.Owner()
			return s.Key.String() != keep && (s.Identity.Name.Equal(who) || owner.Name.Equal(who))
		}, func(s session.Session) event.Event { return session.Terminated(s, who.String()) })
		return err
	}
	accounts, err := account.NewManager(account.Options{Mirror: f.mirror, Table: accountTable, Events: events, Authority: accessManager,
		End: end, Cost: account.Cost{Memory: 8, Time: 1, Lanes: 1}, Now: now, Log: log})
	f.must(err)
	extensions := extension.NewManager(extension.Options{Mirror: f.mirror, Table: extensionTable, Events: events,
		Authority: accessManager, End: end, Now: now, Log: log})
	return Domain{
		Sessions: sessions, Access: accessManager, Accounts: accounts, Extensions: extensions, Events: events, Settings: settings,
		Gate: &login.Gate{Methods: []login.Method{login.Clone{Sessions: sessions}, login.ByCertificate{Extensions: extensionTable},
			login.BySubject{Extensions: extensionTable, Now: now}, login.Local{Accounts: accounts}},
			Sessions: sessions, Access: authority, Throttle: login.NewThrottle(settings.Values, now), Mirror: f.mirror, Events: events,
			DefaultLocale: func() string { return settings.Values().DefaultLocale }, DefaultDomain: account.DefaultDomain, Log: log},
		Directory: Directory{LocalUsers(accountTable), SystemUsers(systemAccount)},
		Server: ServerInfo{HostName: "vigate.test",
			About: types.AboutInfo{Name: "vigate", FullName: "vigate test", Vendor: "vigate", Version: "8.0.3", Build: "1", OsType: "linux-x64",
				ProductLineId: "vpx", ApiType: "VirtualCenter", ApiVersion: "8.0.3.0"},
			SHA1: func() string { return "00:11" }, SHA256: func() string { return "22:33" }, PublicKey: func() string { return "server's key" }},
		Log: log, Now: now,
	}
}

func policyOf(s *setting.Settings) session.Policy {
	v := s.Values()
	return session.Policy{Idle: v.IdleTimeout, MaxLifetime: v.MaxLifetime, TicketLifetime: v.TicketLifetime,
		MaxSessions: v.MaxSessions, MaxPerPrincipal: v.MaxPerPrincipal}
}

// systemAccount: the operating system of tests has one account.
func systemAccount(name string) (*user.User, error) {
	if name != "operator" {
		return nil, user.UnknownUserError(name)
	}
	return &user.User{Username: "operator", Name: "The Operator"}, nil
}

// ref is the reference of the type's one object.
func (f *fixture) ref(typ string) types.ManagedObjectReference {
	f.t.Helper()
	o := f.Object(typ)
	if o == nil {
		f.t.Fatalf("no object %s", typ)
	}
	return o.Ref()
}

// do makes one call as a binding would: a method where args are given, else the
// read of a property.
func (f *fixture) do(token string, on types.ManagedObjectReference, name string, args any) (Result, *Fault) {
	f.t.Helper()
	f.last = &Call{Object: on, Name: name, Args: args, Read: args == nil, Token: token, Peer: f.peer, Release: FirstRelease,
		Binding: "test", HTTP: HTTPRequest{Method: "POST", Target: "/sdk"}}
	if args != nil {
		m, fault := f.Method(on, name)
		if fault != nil {
			return Result{}, fault
		}
		if got := reflect.TypeOf(m.NewArgs()); got != reflect.TypeOf(args) {
			f.t.Fatalf("%s.%s takes %v", on.Type, name, got)
		}
	}
	r, fault := f.Do(f.t.Context(), f.last)
	// A streamed list is compared whole.
	if p, none := f.Property(on, name); none == nil && p.whole != nil && fault == nil && args == nil {
		r.Value = p.whole(r.Value)
	}
	return r, fault
}

// call calls a method of a type's one object, and read reads a property.
func (f *fixture) call(token, typ, name string, args any) (any, *Fault) {
	f.t.Helper()
	r, fault := f.do(token, f.ref(typ), name, args)
	return r.Value, fault
}

func (f *fixture) read(token, typ, name string) (any, *Fault) {
	f.t.Helper()
	r, fault := f.do(token, f.ref(typ), name, nil)
	return r.Value, fault
}

// login logs in and returns the token.
func (f *fixture) login(name, password string) string {
	f.t.Helper()
	r, fault := f.do("", f.ref("SessionManager"), "Login", &types.LoginRequestType{UserName: name, Password: password})
	if fault != nil {
		f.t.Fatalf("log in as %s: %v", name, fault)
	}
	return r.Token.Reveal()
}

// user makes a user with a role of these privileges, and returns its token.
func (f *fixture) user(name string, privileges ...string) string {
	f.t.Helper()
	ok(f, f.on("HostLocalAccountManager", "CreateUser", &types.CreateUserRequestType{User: &types.HostAccountSpec{Id: name, Password: "password of " + name}}))
	role := get[int32](f, f.on("AuthorizationManager", "AddAuthorizationRole", &types.AddAuthorizationRoleRequestType{Name: "role of " + name, PrivIds: privileges}))
	ok(f, f.on("AuthorizationManager", "SetEntityPermissions", &types.SetEntityPermissionsRequestType{Entity: RootFolder(),
		Permission: []types.Permission{{Principal: name, RoleId: role, Propagate: true}}}))
	return f.login(name, "password of "+name)
}

// answer is what a call gave.
type answer struct {
	value any
	fault *Fault
}

// on calls a method as the administrator, as another, or reads a property.
func (f *fixture) on(typ, name string, args any) answer {
	f.t.Helper()
	return f.as(f.admin, typ, name, args)
}

func (f *fixture) as(token, typ, name string, args any) answer {
	f.t.Helper()
	v, fault := f.call(token, typ, name, args)
	return answer{v, fault}
}

func (f *fixture) prop(token, typ, name string) answer {
	f.t.Helper()
	v, fault := f.read(token, typ, name)
	return answer{v, fault}
}

// get is the answer of a call that must succeed, in its type.
func get[T any](f *fixture, a answer) T {
	f.t.Helper()
	var zero T
	if a.fault != nil {
		f.t.Errorf("got fault %v", a.fault)
		return zero
	}
	v, is := a.value.(T)
	if !is {
		f.t.Errorf("got %T %v, want a %T", a.value, a.value, zero)
	}
	return v
}

// ok holds a void call to success.
func ok(f *fixture, a answer) {
	f.t.Helper()
	if a.fault != nil || a.value != nil {
		f.t.Errorf("got %v, fault %v", a.value, a.fault)
	}
}

// fails holds the call to the fault, and the fault to being one that the API
// names for the method, or one that any may give; and to having a text.
func fails[T any](f *fixture, a answer) *T {
	f.t.Helper()
	want := reflect.TypeFor[T]().Name()
	if a.fault == nil || a.fault.Kind() != want {
		f.t.Errorf("%s: got %v, fault %v, want %s", f.last.Name, a.value, a.fault, want)
		return new(T)
	}
	always := []string{"NotAuthenticated", "NoPermission", "ManagedObjectNotFound", "MethodNotFound", "InvalidProperty", "LimitExceeded"}
	if m, _ := f.Method(f.last.Object, f.last.Name); m != nil && !slices.Contains(m.Faults, want) && !slices.Contains(always, want) {
		f.t.Errorf("%s does not name the fault %s", m.Name, want)
	}
	if s := a.fault.Text("de"); s == "" || s == a.fault.key || s == a.fault.Text("en") {
		f.t.Errorf("%s has no text: %q", want, s)
	}
	return any(a.fault.Detail).(*T)
}

// invalid holds the call to InvalidArgument of the property.
func invalid(f *fixture, property string, a answer) {
	f.t.Helper()
	if got := fails[types.InvalidArgument](f, a); got.InvalidProperty != property {
		f.t.Errorf("invalid property %q, want %q", got.InvalidProperty, property)
	}
}

// needs holds a method to its privilege: nobody may call it without a session,
// and nobody with one who lacks the privilege.
func (f *fixture) needs(privilege, typ, name string, args any) {
	f.t.Helper()
	if got := fails[types.NotAuthenticated](f, f.as("", typ, name, args)); got.PrivilegeId != privilege || got.Object == nil || got.Object.Type != typ {
		f.t.Errorf("%s: %+v", name, got)
	}
	if privilege == View {
		return
	}
	if got := fails[types.NoPermission](f, f.as(f.ann, typ, name, args)); got.PrivilegeId != privilege {
		f.t.Errorf("%s: %+v", name, got)
	}
}

// alive reports whether the token is a live session's.
func (f *fixture) alive(token string) bool {
	f.t.Helper()
	return f.session(token) != nil
}

// session is the token's live session, or nil.
func (f *fixture) session(token string) *session.Live {
	f.t.Helper()
	l, err := f.Sessions.Authenticate(f.t.Context(), token)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// key is the public id of the token's session.
func (f *fixture) key(token string) string {
	f.t.Helper()
	l := f.session(token)
	if l == nil {
		f.t.Fatal("the session is over")
	}
	return l.Key().String()
}

// newest is the newest event as an administrator reads it.
func newest[T any](f *fixture) T {
	f.t.Helper()
	return get[T](f, f.prop(f.admin, "EventManager", "latestEvent"))
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// certificate makes one that signs itself.
func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	c, parseErr := x509.ParseCertificate(der)
	if err := errors.Join(err, parseErr); err != nil {
		t.Fatal(err)
	}
	return c
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
