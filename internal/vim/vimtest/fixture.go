// Package vimtest is support of tests: a whole API over a store in memory, with
// users who are logged in, for the tests of the packages that serve its objects.
// Nothing is random but keys and secrets, and time passes only when told to.
package vimtest

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/admin"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/history"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
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

// Fixture is the whole API, with an administrator and a user Ann who has the
// role ReadOnly.
type Fixture struct {
	*vim.API
	// Admin and Ann are tokens of live sessions.
	Admin, Ann string
	// Peer is where calls come from.
	Peer peer.Peer
	Last *vim.Call // the newest call made

	t      testing.TB
	mirror *store.Mirror
	clock  *testclock.Clock
	log    logBuffer
}

// Now is the time that it is there.
func (f *Fixture) Now() time.Time { return f.clock.Now() }

// Mirror is the one that feeds the API.
func (f *Fixture) Mirror() *store.Mirror { return f.mirror }

// Pass lets time go on.
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

// Logged is all that was logged.
func (f *Fixture) Logged() string {
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	return f.log.b.String()
}

// New makes a running API, which ends with the test. edit may change what it
// works on before it is used.
func New(t testing.TB, edit ...func(*Domain)) *Fixture {
	t.Helper()
	f := &Fixture{t: t, Peer: peer.Peer{Address: "192.0.2.7", UserAgent: "test/1", Request: peer.RequestID{Run: "r", Number: 1}, TLS: true}}
	f.clock = testclock.New(time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC))
	d := f.domain(slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, e := range edit {
		e(d)
	}
	d.Gate = d.gate(f)
	var err error
	f.API, err = vim.New(d.Domain, d.Options)
	f.Must(err)
	f.Must(admin.Serve(f.API, d.Domain))
	f.Must(history.Serve(f.API))
	storetest.Follow(t, f.mirror)
	ctx := t.Context()
	_, err = d.Settings.EnsureInstance(ctx)
	f.Must(err)
	_, err = d.Accounts.Bootstrap(ctx, []byte(AdminPassword))
	f.Must(err)
	ann, err := principal.Parse(AnnName, "")
	f.Must(err)
	f.Must(d.Accounts.Create(ctx, event.By("test"), ann, []byte(AnnPassword), "Ann Example"))
	f.Must(d.Access.SetPermissions(ctx, access.Server(event.By("test")), access.Root, []access.Permission{{Principal: ann, Role: access.ReadOnly, Propagate: true}}))
	f.Admin, f.Ann = f.Login(AdminName, AdminPassword), f.Login(AnnName, AnnPassword)
	return f
}

// Ref is the reference of the type's one object.
func (f *Fixture) Ref(typ string) types.ManagedObjectReference {
	f.t.Helper()
	o := f.Object(typ)
	if o == nil {
		f.t.Fatalf("no object %s", typ)
	}
	return o.Ref()
}

// Send makes one call as a binding would: a method where args are given, else
// the read of a property.
func (f *Fixture) Send(token string, on types.ManagedObjectReference, name string, args any) (vim.Result, *vim.Fault) {
	f.t.Helper()
	f.Last = &vim.Call{Object: on, Name: name, Args: args, Read: args == nil, Token: secret.New(token), Peer: &f.Peer, Release: vim.FirstRelease,
		Binding: "test", HTTP: vim.HTTPRequest{Method: "POST", Target: "/sdk"}}
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
	// A streamed list is compared whole.
	if all, streamed := r.Value.(iter.Seq[types.UserSession]); streamed {
		r.Value = slices.AppendSeq([]types.UserSession{}, all)
	}
	return r, fault
}

// Login logs in and returns the token.
func (f *Fixture) Login(name, password string) string {
	f.t.Helper()
	r, fault := f.Send("", f.Ref("SessionManager"), "Login", &types.LoginRequestType{UserName: name, Password: password})
	if fault != nil {
		f.t.Fatalf("log in as %s: %v", name, fault)
	}
	return r.Token.Reveal()
}

// User makes a user with a role of these privileges, and returns its token.
func (f *Fixture) User(name string, privileges ...access.Privilege) string {
	f.t.Helper()
	OK(f.Create(name, "password of "+name, ""))
	role := f.AddRole("role of "+name, privileges...)
	OK(f.Grant(f.Admin, types.Permission{Principal: name, RoleId: role, Propagate: true}))
	return f.Login(name, "password of "+name)
}

// Session is the token's live session, or nil.
func (f *Fixture) Session(token string) *session.Live {
	f.t.Helper()
	l, err := f.Sessions.Authenticate(context.Background(), secret.New(token), f.Now())
	f.Must(err)
	return l
}

// Alive reports whether the token is a live session's.
func (f *Fixture) Alive(token string) bool {
	f.t.Helper()
	return f.Session(token) != nil
}

// Key is the public id of the token's session.
func (f *Fixture) Key(token string) string {
	f.t.Helper()
	l := f.Session(token)
	if l == nil {
		f.t.Fatal("the session is over")
	}
	return l.Key().String()
}

// Must holds to there being no error.
func (f *Fixture) Must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}
