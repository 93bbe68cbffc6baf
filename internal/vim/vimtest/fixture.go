// Package vimtest assembles a complete API over a store in memory, for tests. [Open] makes a [Server] of the
// parts that a [Config] describes; it is the one assembly for all tests. [New] makes a [Fixture], a Server
// with two users who are logged in, for the tests of the packages that serve managed objects.
//
// Only keys and secrets are random. The time of a Fixture passes only when its test moves the clock.
package vimtest

import (
	"bytes"
	"context"
	"log/slog"
	"os/user"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/vim"
)

// The users that there are, and their passwords.
const (
	AdminName     = `VSPHERE.LOCAL\Administrator`
	AnnName       = `VSPHERE.LOCAL\Ann`
	AdminPassword = "administrator's password"
	AnnPassword   = "password of Ann"
)

// Fixture is a Server with an administrator and a user Ann who has the role ReadOnly.
type Fixture struct {
	*Server
	// Admin and Ann are tokens of live sessions.
	Admin, Ann string
	// Peer is the peer of all calls.
	Peer peer.Peer
	Last *vim.Call // the latest call

	t     testing.TB
	clock *testclock.Clock
	log   *logBuffer
}

// Pass moves the clock forward.
func (f *Fixture) Pass(d time.Duration) { f.clock.Advance(d) }

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

// Logged returns everything that was logged.
func (f *Fixture) Logged() string {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return f.log.b.String()
}

// New makes a Fixture that runs until the test ends. The edit functions may change its parts before they
// are assembled.
func New(t testing.TB, edit ...func(*Parts)) *Fixture {
	t.Helper()
	f := &Fixture{t: t, clock: testclock.New(time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)), log: &logBuffer{}}
	f.Peer = peer.Peer{
		Address: "192.0.2.7", UserAgent: "test/1", Request: peer.RequestID{Run: "r", Number: 1}, TLS: true,
	}
	f.Server = Open(t, Config{
		Sources: []directory.Source{directory.SystemUsers(systemAccount)}, Now: f.clock.Now, Edit: edit,
		Logger: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	f.Found(AdminPassword, User{AnnName, AnnPassword, "Ann Example", access.ReadOnly})
	f.Admin, f.Ann = f.Login(AdminName, AdminPassword), f.Login(AnnName, AnnPassword)
	return f
}

// systemAccount looks up an account of the operating system. There is only one.
func systemAccount(name string) (*user.User, error) {
	if name != "operator" {
		return nil, user.UnknownUserError(name)
	}
	return &user.User{Username: "operator", Name: "The Operator"}, nil
}

// Ref returns the reference of the type's only object.
func (f *Fixture) Ref(typ string) types.ManagedObjectReference {
	f.t.Helper()
	o := f.Object(typ)
	if o == nil {
		f.t.Fatalf("no object %s", typ)
	}
	return o.Ref()
}

// Send makes one call as a binding does: of a method if args are given, else the read of a property. A
// streamed list is returned as a slice.
func (f *Fixture) Send(
	token string, on types.ManagedObjectReference, name string, args any,
) (vim.Result, *vim.Fault) {
	f.t.Helper()
	f.Last = &vim.Call{
		Object: on, Name: name, Args: args, Read: args == nil, Token: secret.New(token), Peer: &f.Peer,
		Release: vim.FirstRelease, Binding: "test", HTTP: vim.HTTPRequest{Method: "POST", Target: "/sdk"},
	}
	if args != nil {
		m, fault := f.Method(on, name)
		if fault != nil {
			return vim.Result{}, fault
		}
		if got := reflect.TypeOf(m.NewArgs()); got != reflect.TypeOf(args) {
			f.t.Fatalf("%s.%s takes %v", on.Type, name, got)
		}
	}
	defer f.Last.Answered()
	r, fault := f.Do(context.Background(), f.Last)
	r.Value = whole(r.Value)
	return r, fault
}

// whole returns a list that is streamed as a slice, and any other value as it is.
func whole(v any) any {
	all := reflect.ValueOf(v)
	if v == nil || all.Kind() != reflect.Func || !all.Type().CanSeq() {
		return v
	}
	list := reflect.MakeSlice(reflect.SliceOf(all.Type().In(0).In(0)), 0, 0)
	for e := range all.Seq() {
		list = reflect.Append(list, e)
	}
	return list.Interface()
}

// Login logs in and returns the token.
func (f *Fixture) Login(name, password string) string {
	f.t.Helper()
	r, fault := f.Send("", f.Ref("SessionManager"), "Login",
		&types.LoginRequestType{UserName: name, Password: password})
	if fault != nil {
		f.t.Fatalf("log in as %s: %v", name, fault)
	}
	return r.Token.Reveal()
}

// User makes a user with a role of these privileges, logs it in and returns its token.
func (f *Fixture) User(name string, privileges ...access.Privilege) string {
	f.t.Helper()
	OK(f.Create(name, "password of "+name, ""))
	role := f.AddRole("role of "+name, privileges...)
	OK(f.Grant(f.Admin, types.Permission{Principal: name, RoleId: role, Propagate: true}))
	return f.Login(name, "password of "+name)
}

// Session returns the token's live session, or nil.
func (f *Fixture) Session(token string) *session.Live {
	f.t.Helper()
	l, err := f.Sessions.Authenticate(context.Background(), secret.New(token), f.Now())
	f.Must(err)
	return l
}

// Alive reports whether the token has a live session.
func (f *Fixture) Alive(token string) bool {
	f.t.Helper()
	return f.Session(token) != nil
}

// Key returns the public id of the token's session.
func (f *Fixture) Key(token string) string {
	f.t.Helper()
	l := f.Session(token)
	if l == nil {
		f.t.Fatal("the session has ended")
	}
	return l.Key().String()
}
