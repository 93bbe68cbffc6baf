package matrix

import (
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
)

// demotions take authority from a session that watches all properties.
var demotions = []struct {
	name string
	live bool
	has  func(string) bool
	make func(w *world, c *caller)
}{
	{"to ReadOnly", true, only(implied...), func(w *world, c *caller) { w.permit(c.user, access.ReadOnly) }},
	{"to NoAccess", true, none, func(w *world, c *caller) { w.permit(c.user, access.NoAccess) }},
	{"to no role at all", true, none, func(w *world, c *caller) { w.forbid(c.user) }},
	{"by the end of its session", false, none, func(w *world, c *caller) { w.terminate(w.key(c.token)) }},
}

// TestAFilterMadeBeforeADemotionDeliversNothingThatMayNotBeRead makes filters on all properties of
// all objects, an unfinished retrieval of them, and a call that waits. It continues them after the
// demotion. The demotion is made on the same server and on another one.
func TestAFilterMadeBeforeADemotionDeliversNothingThatMayNotBeRead(t *testing.T) {
	for _, d := range demotions {
		for _, acts := range []bool{false, true} {
			for _, elsewhere := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, impersonating: %v, on another server: %v", d.name, acts, elsewhere),
					func(t *testing.T) {
						t.Parallel()
						w := newWorld(t)
						by := w
						if elsewhere {
							by = w.beside()
						}
						c := w.watcher(acts)
						c.name = "a watcher demoted " + d.name
						w.mustDeliverNothing(c, func() {
							by.Sync()
							d.make(by, c)
							w.Sync()
							if c.live, c.has = d.live, d.has; acts {
								c.has = none
							}
						})
					})
			}
		}
	}
}

// mustDeliverNothing makes the caller watch everything and continue after the demotion.
func (w *world) mustDeliverNothing(c *caller, demote func()) {
	w.t.Helper()
	specs := w.watchAll(c)
	version, values := w.deliver(c, w.collect(c, "WaitForUpdatesEx", &types.WaitForUpdatesExRequestType{}))
	if version == "" || !values["SessionManager.sessionList"] || !values["ListView.view"] {
		w.t.Fatalf("%s: version %q, values of %v", c, version, values)
	}
	page := w.firstPage(c, specs)
	waiting := w.waitFor(c, version)

	demote()
	w.stir()

	w.deliver(c, <-waiting)
	for _, from := range []string{version, ""} {
		w.deliver(c, w.collect(c, "CheckForUpdates", &types.CheckForUpdatesRequestType{Version: from}))
		w.deliver(c, w.collect(c, "WaitForUpdatesEx", &types.WaitForUpdatesExRequestType{
			Version: from, Options: &types.WaitOptions{MaxWaitSeconds: new(int32)},
		}))
	}
	w.goOn(c, page)
}

// collect calls a method of the property collector.
func (w *world) collect(c *caller, method string, args any) outcome {
	w.t.Helper()
	return w.do(c.token, w.ref("PropertyCollector"), method, args)
}

// watcher returns an administrator, or a caller who impersonates one. A loss applies to the user
// who logged in.
func (w *world) watcher(acts bool) *caller {
	w.t.Helper()
	if !acts {
		return w.member("", "second", access.Admin, all)
	}
	token := w.newUser("actor", w.role(string(access.ImpersonateUser)))
	w.impersonate(token, "administrator")
	return &caller{token: token, live: true, has: all, user: "actor", objects: w.equip(token)}
}

// watchAll makes a filter on all properties of each object that the caller can use.
func (w *world) watchAll(c *caller) []types.PropertyFilterSpec {
	w.t.Helper()
	var specs []types.PropertyFilterSpec
	for _, o := range w.API.Objects() {
		var names []string
		for _, p := range o.Properties {
			names = append(names, p.Name)
		}
		if len(names) == 0 {
			continue
		}
		for _, on := range c.objectsOf(row{object: o}) {
			specs = append(specs, spec(on, names...))
			if got := w.collect(c, "CreateFilter",
				&types.CreateFilterRequestType{Spec: specs[len(specs)-1]}); got.fault != nil {
				w.t.Fatalf("CreateFilter: %s", got)
			}
		}
	}
	return specs
}

// deliver checks what a response tells the caller. It returns the version and the properties that
// have values.
func (w *world) deliver(c *caller, got outcome) (version string, values map[string]bool) {
	w.t.Helper()
	values = map[string]bool{}
	if got.fault != nil {
		if got.fault.Kind() != c.refusal() {
			w.t.Errorf("%s: got %s", c, got)
		}
		return "", values
	}
	set, _ := got.value.(types.UpdateSet)
	for _, f := range set.FilterSet {
		for _, o := range f.ObjectSet {
			for _, change := range o.ChangeSet {
				w.mayKnow(c, o.Obj, change.Name)
				values[o.Obj.Type+"."+change.Name] = change.Val != nil
			}
		}
	}
	return set.Version, values
}

// mayKnow checks that the caller may read a property that it received.
func (w *world) mayKnow(c *caller, ref reference, path string) {
	w.t.Helper()
	name := path
	if i := strings.IndexAny(path, ".["); i >= 0 {
		name = path[:i]
	}
	if r := w.named(ref.Type + "." + name); !c.may(r) {
		w.t.Errorf("%s: it received %s", c, r)
	}
}

// firstPage begins a retrieval and returns the token of its next page.
func (w *world) firstPage(c *caller, specs []types.PropertyFilterSpec) string {
	w.t.Helper()
	result, _ := w.collect(c, "RetrievePropertiesEx", &types.RetrievePropertiesExRequestType{
		SpecSet: specs, Options: types.RetrieveOptions{MaxObjects: 1},
	}).value.(types.RetrieveResult)
	if len(result.Objects) != 1 || result.Token == "" {
		w.t.Fatalf("the first page is %+v", result)
	}
	return result.Token
}

// goOn gets the rest of a retrieval until it is refused or complete.
func (w *world) goOn(c *caller, page string) {
	w.t.Helper()
	for range 100 {
		got := w.collect(c, "ContinueRetrievePropertiesEx", &types.ContinueRetrievePropertiesExRequestType{Token: page})
		result, _ := got.value.(types.RetrieveResult)
		for _, o := range result.Objects {
			for _, p := range o.PropSet {
				w.mayKnow(c, o.Obj, p.Name)
			}
		}
		if page = result.Token; page == "" {
			return
		}
	}
	w.t.Errorf("%s: the retrieval does not end", c)
}

// waitFor starts a call that waits for changes since the version. It returns when the call is known
// to wait.
func (w *world) waitFor(c *caller, version string) <-chan outcome {
	w.t.Helper()
	key := w.key(c.token)
	calls := func() int64 {
		for _, s := range w.sessions() {
			if s.Key == key {
				return s.CallCount
			}
		}
		return -1
	}
	before := calls()
	out := make(chan outcome, 1)
	go func() {
		out <- w.collect(c, "WaitForUpdatesEx", &types.WaitForUpdatesExRequestType{Version: version})
	}()
	// The session's call count includes a wait from its beginning.
	for end := time.Now().Add(5 * time.Minute); calls() <= before; runtime.Gosched() {
		if time.Now().After(end) {
			w.t.Fatal("the wait does not begin")
		}
	}
	return out
}

func (w *world) sessions() []types.UserSession {
	w.t.Helper()
	var list []types.UserSession
	all, _ := w.must("SessionManager", "sessionList", nil).(iter.Seq[types.UserSession])
	for s := range all {
		list = append(list, s)
	}
	return list
}

// stir changes something in each watched property.
func (w *world) stir() {
	w.t.Helper()
	w.must("SessionManager", "UpdateServiceMessage",
		&types.UpdateServiceMessageRequestType{Message: w.fresh("a secret ")})
	w.must("ExtensionManager", "RegisterExtension", &types.RegisterExtensionRequestType{
		Extension: extension(w.fresh("com.example.x")),
	})
	w.must("OptionManager", "UpdateOptions", requests["OptionManager.UpdateOptions"](w, nil))
	w.newUser(w.fresh("visitor"), w.role())
}
