package property

import (
	"context"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/extension"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// fixture is the whole API with a store in memory.
type fixture struct {
	*vimtest.Server
	t       testing.TB
	service *service
}

var (
	sessionManager = types.ManagedObjectReference{Type: "SessionManager", Value: "SessionManager"}
	authorization  = types.ManagedObjectReference{Type: "AuthorizationManager", Value: "AuthorizationManager"}
	pc             = types.ManagedObjectReference{Type: "PropertyCollector", Value: "propertyCollector"}
	viewManager    = types.ManagedObjectReference{Type: "ViewManager", Value: "ViewManager"}
	rootFolder     = types.ManagedObjectReference{Type: "Folder", Value: "group-d1"}
)

// newFixture starts an API. Administrator has all privileges. Other users have those of any
// session.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	base := setting.Defaults()
	base.MaxSessions, base.MaxPerPrincipal = 1<<20, 1<<20
	f := &fixture{t: t}
	f.Server = vimtest.Open(t, vimtest.Config{
		Base: &base, Exists: func(*domain.Domain, principal.Name, bool) bool { return true },
		Objects: func(api *vim.API, d *domain.Domain) error {
			f.service = newService(api, d.Sessions)
			return f.service.serve()
		},
	})
	f.Found("a good password")
	return f
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func name(user string) principal.Name {
	n, err := principal.Parse(`VSPHERE.LOCAL\`+user, "")
	if err != nil {
		panic(err)
	}
	return n
}

// grant assigns a role to a user.
func (f *fixture) grant(user string, role int32) {
	f.t.Helper()
	f.must(f.Access.SetPermissions(context.Background(), access.Server(event.By("test")), access.Root,
		[]access.Permission{{Principal: name(user), Role: role, Propagate: true}}))
}

// client calls the API with a session or without one.
type client struct {
	*fixture
	live  *session.Live
	token string
	pc    types.ManagedObjectReference // the collector that it uses
}

// login starts a session of the user, who gets the role ReadOnly if it has none.
func (f *fixture) login(user string) *client {
	f.t.Helper()
	if !f.Access.HasRole(access.Subject{Principal: name(user)}) {
		f.grant(user, access.ReadOnly)
	}
	l, token, err := f.Sessions.Start(context.Background(), session.Grant{
		Identity: session.Identity{Name: name(user), FullName: user + " of Test"}, Method: "test", Locale: "en",
		MessageLocale: "en",
	})
	f.must(err)
	return &client{fixture: f, live: l, token: token.Reveal(), pc: pc}
}

func (f *fixture) anonymous() *client { return &client{fixture: f, pc: pc} }

func (c *client) key() string { return c.live.Key().String() }

// end ends the session as an administrator would.
func (c *client) end() {
	c.t.Helper()
	c.must(c.Sessions.End(context.Background(), c.live, session.Terminated(c.live.Session(), event.By("test"))))
}

func (c *client) try(on types.ManagedObjectReference, name string, args any) (any, *vim.Fault) {
	return c.tryContext(context.Background(), on, name, args)
}

func (c *client) tryContext(
	ctx context.Context, on types.ManagedObjectReference, name string, args any,
) (any, *vim.Fault) {
	call := &vim.Call{Object: on, Name: name, Args: args, Read: args == nil, Token: secret.New(c.token),
		Release: vim.FirstRelease, Binding: "test"}
	defer call.Answered()
	r, fault := c.Do(ctx, call)
	if v := reflect.ValueOf(r.Value); v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface(), fault
	}
	return r.Value, fault
}

// call makes a call that must succeed.
func call[T any](c *client, on types.ManagedObjectReference, name string, args any) T {
	c.t.Helper()
	v, fault := c.try(on, name, args)
	if fault != nil {
		c.t.Fatalf("%s: %v", name, fault)
	}
	out, ok := v.(T)
	if !ok {
		c.t.Fatalf("%s gave a %T, want a %T", name, v, out)
	}
	return out
}

// void makes a call of a method without a result. The call must succeed.
func (c *client) void(on types.ManagedObjectReference, name string, args any) {
	c.t.Helper()
	if v, fault := c.try(on, name, args); fault != nil || v != nil {
		c.t.Fatalf("%s: %v, %v", name, v, fault)
	}
}

// fails makes a call that must fail with the kind of fault.
func (c *client) fails(kind string, on types.ManagedObjectReference, name string, args any) *vim.Fault {
	c.t.Helper()
	v, fault := c.try(on, name, args)
	if fault == nil || fault.Kind() != kind {
		c.t.Fatalf("%s: got %v, fault %v, want %s", name, v, fault, kind)
	}
	for _, in := range []string{"en", "de"} {
		if fault.Text(in) == "" || fault.Text(in) == "fault."+kind {
			c.t.Errorf("no text for %s in %s", kind, in)
		}
	}
	return fault
}

// spec returns a filter spec for paths of one object. If there are no paths, it selects all
// properties.
func spec(ref types.ManagedObjectReference, paths ...string) types.PropertyFilterSpec {
	p := types.PropertySpec{Type: ref.Type, PathSet: paths}
	if len(paths) == 0 {
		p.All = types.NewBool(true)
	}
	return types.PropertyFilterSpec{PropSet: []types.PropertySpec{p}, ObjectSet: []types.ObjectSpec{{Obj: ref}}}
}

func (c *client) retrieve(specs ...types.PropertyFilterSpec) []types.ObjectContent {
	c.t.Helper()
	return call[[]types.ObjectContent](c, c.pc, "RetrieveProperties",
		&types.RetrievePropertiesRequestType{SpecSet: specs})
}

// one reads one path of one object. It returns nil if the value is unset.
func (c *client) one(ref types.ManagedObjectReference, path string) any {
	c.t.Helper()
	all := c.retrieve(spec(ref, path))
	if len(all) != 1 || all[0].Obj != ref || len(all[0].MissingSet) > 0 {
		c.t.Fatalf("%s: got %+v", path, all)
	}
	if len(all[0].PropSet) == 0 {
		return nil
	}
	if p := all[0].PropSet[0]; len(all[0].PropSet) == 1 && p.Name == path {
		return p.Val
	}
	c.t.Fatalf("%s: got %+v", path, all)
	return nil
}

// collector returns a client that uses a new collector of the same session.
func (c *client) collector() *client {
	own := *c
	own.pc = call[types.ManagedObjectReference](c, c.pc, "CreatePropertyCollector",
		&types.CreatePropertyCollectorRequestType{})
	return &own
}

func (c *client) filter(partial bool, s types.PropertyFilterSpec) types.ManagedObjectReference {
	c.t.Helper()
	return call[types.ManagedObjectReference](c, c.pc, "CreateFilter",
		&types.CreateFilterRequestType{Spec: s, PartialUpdates: partial})
}

// check calls CheckForUpdates. It returns nil if nothing has changed.
func (c *client) check(version string) *types.UpdateSet {
	c.t.Helper()
	return c.set(c.try(c.pc, "CheckForUpdates", &types.CheckForUpdatesRequestType{Version: version}))
}

func (c *client) set(v any, fault *vim.Fault) *types.UpdateSet {
	c.t.Helper()
	if fault != nil {
		c.t.Fatal(fault)
	}
	if v == nil {
		return nil
	}
	set := v.(types.UpdateSet)
	return &set
}

// only returns the object update of a set that must have exactly one.
func (c *client) only(set *types.UpdateSet) types.ObjectUpdate {
	c.t.Helper()
	if set == nil || len(set.FilterSet) != 1 || len(set.FilterSet[0].ObjectSet) != 1 {
		c.t.Fatalf("got %+v, want one object", set)
	}
	return set.FilterSet[0].ObjectSet[0]
}

// answer is the result of a wait in another goroutine.
type answer struct {
	set   *types.UpdateSet
	fault *vim.Fault
}

func (c *client) wait(version string, o *types.WaitOptions) <-chan answer {
	return c.waitContext(context.Background(), version, o)
}

func (c *client) waitContext(ctx context.Context, version string, o *types.WaitOptions) <-chan answer {
	out := make(chan answer, 1)
	go func() {
		v, fault := c.tryContext(ctx, c.pc, "WaitForUpdatesEx",
			&types.WaitForUpdatesExRequestType{Version: version, Options: o})
		a := answer{fault: fault}
		if v != nil {
			set := v.(types.UpdateSet)
			a.set = &set
		}
		out <- a
	}()
	return out
}

func (f *fixture) message(text string) {
	f.t.Helper()
	f.must(f.Settings.SetMessage(context.Background(), event.By("test"), text))
}

func (f *fixture) setLocale(c *client, to string) {
	f.t.Helper()
	c.void(sessionManager, "SetLocale", &types.SetLocaleRequestType{Locale: to})
}

func (f *fixture) register(key string) {
	f.t.Helper()
	f.must(f.Extensions.Register(context.Background(), event.By("test"), extension.Registration{Key: key, Data: []byte(
		`{"_typeName":"Extension","description":{"_typeName":"Description","label":"l","summary":"s"},"key":"` + key +
			`","version":"1.0","lastHeartbeatTime":"2026-01-01T00:00:00Z"}`)}))
}

// owners returns the number of sessions for which the service has state.
func (f *fixture) owners() int {
	f.service.mu.Lock()
	defer f.service.mu.Unlock()
	return len(f.service.owners)
}

// waits starts a wait and returns when it has begun, which the session's call count shows.
func (c *client) waits(version string) <-chan answer {
	c.t.Helper()
	before := c.live.Session().CallCount
	out := c.wait(version, nil)
	soon(c.t, "a wait that has begun", func() bool { return c.live.Session().CallCount > before })
	return out
}

// patience bounds every wait of a test. It only ends tests that hang, on slow machines too.
const patience = 5 * time.Minute

// soon waits until the condition holds. Under a clock of testing/synctest the wait has no bound.
func soon(t testing.TB, want string, there func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !there(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s: the condition does not become true", want)
		}
	}
}
