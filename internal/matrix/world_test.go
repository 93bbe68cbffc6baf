package matrix

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/vectors"
	"github.com/vigate/vigate/internal/vim"
)

// extensionKey is the key of the extension in a world. All calls present its certificate.
const extensionKey = "acme"

// world is a server with an administrator's session, which sets everything up.
type world struct {
	*vectors.World
	t     *testing.T
	store *watched
	admin string // token
	acme  []*x509.Certificate
	made  int          // number of generated names
	all   []*caller    // see readers
	to    *interrupted // destination of responses; nil: a new recorder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.World = vectors.NewWorldOver(t, func(s store.Store) store.Store {
		w.store = watch(s)
		return w.store
	}, "kerberos", "issuer reader")
	w.open()
	w.must("ExtensionManager", "RegisterExtension", &types.RegisterExtensionRequestType{
		Extension: extension(extensionKey),
	})
	w.must("ExtensionManager", "SetExtensionCertificate", &types.SetExtensionCertificateRequestType{
		ExtensionKey: extensionKey, CertificatePem: w.pem(extensionKey),
	})
	return w
}

// beside returns another server of the same cluster.
func (w *world) beside() *world {
	w.t.Helper()
	b := &world{t: w.t, store: watch(w.store.Store), acme: w.acme, made: 1000}
	b.World = w.Beside(b.store)
	b.open()
	return b
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.admin, err = w.Token("administrator")
	w.check(err)
	if w.acme == nil {
		w.acme, err = w.Certificate(extensionKey)
		w.check(err)
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// ref returns the only object of a type.
func (w *world) ref(typ string) reference {
	w.t.Helper()
	o := w.API.Object(typ)
	if o == nil || o.ID == "" {
		w.t.Fatalf("there is no single object of type %s", typ)
	}
	return o.Ref()
}

// must makes a call as the administrator. The call must succeed.
func (w *world) must(typ, name string, args any) any {
	w.t.Helper()
	return w.mustAs(w.admin, w.ref(typ), name, args)
}

func (w *world) mustAs(token string, on reference, name string, args any) any {
	w.t.Helper()
	got := w.do(token, on, name, args)
	if got.fault != nil {
		w.t.Fatalf("%s.%s: %s", on.Type, name, got)
	}
	return got.value
}

// fresh returns an unused name.
func (w *world) fresh(what string) string {
	w.made++
	return fmt.Sprintf("%s%d", what, w.made)
}

func password(name string) string { return "password of " + name }

func extension(key string) types.Extension {
	return types.Extension{
		Description: &types.Description{Label: "l", Summary: "s"}, Key: key, Version: "1", SubjectName: "CN=" + key,
	}
}

func (w *world) pem(name string) string {
	w.t.Helper()
	text, err := w.PEM(name)
	w.check(err)
	return text
}

// user makes a user without a role.
func (w *world) user(name string) string {
	w.t.Helper()
	w.must("HostLocalAccountManager", "CreateUser", &types.CreateUserRequestType{
		User: &types.HostAccountSpec{Id: name, Password: password(name), Description: "The " + name},
	})
	return name
}

// role makes a role.
func (w *world) role(privileges ...string) int32 {
	w.t.Helper()
	return w.must("AuthorizationManager", "AddAuthorizationRole", &types.AddAuthorizationRoleRequestType{
		Name: w.fresh("role"), PrivIds: privileges,
	}).(int32)
}

func (w *world) permit(name string, role int32) {
	w.t.Helper()
	w.must("AuthorizationManager", "SetEntityPermissions", &types.SetEntityPermissionsRequestType{
		Entity: vim.RootFolder(), Permission: []types.Permission{{Principal: name, RoleId: role, Propagate: true}},
	})
}

func (w *world) forbid(name string) {
	w.t.Helper()
	w.must("AuthorizationManager", "RemoveEntityPermission", &types.RemoveEntityPermissionRequestType{
		Entity: vim.RootFolder(), User: name,
	})
}

// enter logs in with any login method: its name and its request.
func (w *world) enter(method string, args any) string {
	w.t.Helper()
	from := w.Peer
	from.Certificates = w.acme
	result, fault := w.API.Do(context.Background(), &vim.Call{
		Object: w.ref("SessionManager"), Name: method, Args: args, Peer: &from, Release: vim.FirstRelease,
		Binding: "matrix",
	})
	if fault != nil {
		w.t.Fatalf("%s: %v", method, fault)
	}
	return result.Token.Reveal()
}

func (w *world) login(name string) string {
	w.t.Helper()
	return w.enter("Login", &types.LoginRequestType{UserName: name, Password: password(name)})
}

func (w *world) loginExtension() string {
	w.t.Helper()
	return w.enter("LoginExtensionByCertificate", &types.LoginExtensionByCertificateRequestType{
		ExtensionKey: extensionKey,
	})
}

// key returns the public id of the token's session.
func (w *world) key(token string) string {
	w.t.Helper()
	s, _ := w.mustAs(token, w.ref("SessionManager"), "currentSession", nil).(types.UserSession)
	if s.Key == "" {
		w.t.Fatal("the session has ended")
	}
	return s.Key
}

func (w *world) terminate(key string) {
	w.t.Helper()
	w.must("SessionManager", "TerminateSession", &types.TerminateSessionRequestType{SessionId: []string{key}})
}

func (w *world) impersonate(token, target string) {
	w.t.Helper()
	w.mustAs(token, w.ref("SessionManager"), "ImpersonateUser", &types.ImpersonateUserRequestType{UserName: target})
}

// privileges returns all privileges.
func (w *world) privileges() []string {
	w.t.Helper()
	var all []string
	for _, p := range w.must("AuthorizationManager", "privilegeList", nil).([]types.AuthorizationPrivilege) {
		all = append(all, p.PrivId)
	}
	return all
}

// caller is a user of the API, with what it may do.
type caller struct {
	name  string
	token string
	live  bool // whether it has a live session
	// has reports whether the caller has a privilege.
	has func(privilege string) bool
	// user is the caller's local user. It is "" if the caller has none or impersonates another
	// user.
	user string
	// objects are the objects of the caller's session, by type. A caller without a session has
	// those of another session.
	objects map[string]reference
	// restore gives the caller its authority back, and returns a function that takes it again. It
	// is nil if nothing was taken.
	restore func() (take func())
}

func (c *caller) String() string { return c.name }

// may reports whether the caller may use the row.
func (c *caller) may(r row) bool {
	switch {
	case !r.needsSession():
		return true
	case !c.live:
		return false
	case own[r.String()] != "":
		return true
	}
	return c.has(r.privilege)
}

// refusal returns the fault with which a row is refused to the caller.
func (c *caller) refusal() string {
	if !c.live {
		return "NotAuthenticated"
	}
	return "NoPermission"
}

// objectsOf returns the objects on which the caller can use the row: the only object of the type,
// and one of the caller's own.
func (c *caller) objectsOf(r row) []reference {
	var all []reference
	if r.object.ID != "" {
		all = append(all, r.object.Ref())
	}
	if ref, ok := c.objects[r.object.Type]; ok {
		all = append(all, ref)
	}
	if len(all) == 0 {
		panic("world.equip does not make an object of the type " + r.object.Type)
	}
	return all
}

// equip gives the token's session an object of each type that sessions own.
func (w *world) equip(token string) map[string]reference {
	w.t.Helper()
	made, root := map[string]reference{}, vim.RootFolder()
	names := &types.CreateFilterRequestType{Spec: spec(root, "name")}
	for _, m := range []struct {
		typ, by, method string
		args            any
	}{
		{"PropertyCollector", "PropertyCollector", "CreatePropertyCollector",
			&types.CreatePropertyCollectorRequestType{}},
		{"PropertyFilter", "PropertyCollector", "CreateFilter", names},
		{"EventHistoryCollector", "EventManager", "CreateCollectorForEvents",
			&types.CreateCollectorForEventsRequestType{}},
		{"ListView", "ViewManager", "CreateListView", &types.CreateListViewRequestType{Obj: []reference{root}}},
		{"ContainerView", "ViewManager", "CreateContainerView", &types.CreateContainerViewRequestType{Container: root}},
	} {
		made[m.typ] = w.mustAs(token, w.ref(m.by), m.method, m.args).(reference)
	}
	// A collector without a filter would wait for ever.
	w.mustAs(token, made["PropertyCollector"], "CreateFilter", names)
	return made
}

// spec returns a filter for properties of one object.
func spec(ref reference, paths ...string) types.PropertyFilterSpec {
	return types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: paths}},
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
	}
}

func all(string) bool  { return true }
func none(string) bool { return false }

func only(privileges ...string) func(string) bool {
	return func(p string) bool { return slices.Contains(privileges, p) }
}

// The privileges of every role that users make, and the privileges of extensions.
var (
	implied   = access.Names(access.SystemAnonymous, access.SystemView, access.SystemRead)
	extending = access.Names(access.SystemAnonymous, access.SystemView, access.ImpersonateUser)
)

// callers returns all kinds of callers for the row.
func (w *world) callers(r row) []*caller {
	w.t.Helper()
	return slices.Concat(w.strangers(), w.members(r), w.taken(), w.actors())
}

// strangers returns callers without a live session.
func (w *world) strangers() []*caller {
	w.t.Helper()
	anonymous := &caller{name: "anonymous", has: none, objects: w.equip(w.admin)}
	ended := &caller{name: "an administrator whose session was ended", token: w.newUser("ended", access.Admin),
		has: none}
	ended.objects = w.equip(ended.token)
	w.terminate(w.key(ended.token))
	return []*caller{anonymous, ended}
}

// newUser makes a user with the role, and a session of this user.
func (w *world) newUser(name string, role int32) (token string) {
	w.t.Helper()
	w.permit(w.user(name), role)
	return w.login(name)
}

// member returns a user with a role and a session that owns objects.
func (w *world) member(name, user string, role int32, has func(string) bool) *caller {
	w.t.Helper()
	token := w.newUser(user, role)
	return &caller{name: name, token: token, live: true, has: has, user: user, objects: w.equip(token)}
}

// members returns callers that have the privileges of their roles.
func (w *world) members(r row) []*caller {
	w.t.Helper()
	others := slices.DeleteFunc(w.privileges(), func(p string) bool { return p == r.privilege })
	lent := &caller{name: "an extension", token: w.loginExtension(), live: true, has: only(extending...)}
	lent.objects = w.equip(lent.token)
	return []*caller{
		w.member("an administrator", "second", access.Admin, all),
		w.member("ReadOnly", "watcher", access.ReadOnly, only(implied...)),
		w.member("a role with the row's privilege alone", "exact", w.role(r.privilege),
			only(append(implied, r.privilege)...)),
		w.member("a role with all privileges but the row's", "others", w.role(others...),
			only(append(implied, others...)...)),
		lent,
	}
}

// taken returns callers with live sessions that lost authority after their login.
func (w *world) taken() []*caller {
	w.t.Helper()
	barred := w.member("NoAccess", "barred", access.ReadOnly, none)
	w.permit("barred", access.NoAccess)
	barred.restore = func() func() {
		w.permit("barred", access.ReadOnly)
		return func() { w.permit("barred", access.NoAccess) }
	}
	bare := w.member("no role at all", "bare", access.ReadOnly, none)
	w.forbid("bare")
	bare.restore = func() func() {
		w.permit("bare", access.ReadOnly)
		return func() { w.forbid("bare") }
	}
	demoted := w.member("an administrator who got NoAccess between two calls", "demoted", access.Admin, none)
	w.mustAs(demoted.token, w.ref("SessionManager"), "sessionList", nil)
	w.permit("demoted", access.NoAccess)
	demoted.restore = func() func() {
		w.permit("demoted", access.Admin)
		return func() { w.permit("demoted", access.NoAccess) }
	}
	return []*caller{barred, bare, demoted}
}

// actors returns callers whose sessions impersonate the administrator.
func (w *world) actors() []*caller {
	w.t.Helper()
	actor := func(name, user string, has func(string) bool) *caller {
		token := w.newUser(user, w.role(string(access.ImpersonateUser)))
		w.impersonate(token, "administrator")
		return &caller{name: name, token: token, live: true, has: has, objects: w.equip(token)}
	}
	acts := actor("an impersonator", "actor", all)
	lost := actor("an impersonator who may not impersonate any more", "former", none)
	role := w.role()
	w.permit("former", role)
	lost.restore = func() func() {
		back := w.role(string(access.ImpersonateUser))
		w.permit("former", back)
		return func() { w.permit("former", role) }
	}
	barred := actor("an impersonator with NoAccess", "expelled", none)
	w.permit("expelled", access.NoAccess)

	token := w.loginExtension()
	w.impersonate(token, "administrator")
	lent := &caller{name: "an extension that impersonates", token: token, live: true, has: all, objects: w.equip(token)}
	return []*caller{acts, lost, barred, lent}
}
