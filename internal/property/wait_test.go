package property

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/session"
)

func TestTheFirstUpdateIsTheWholeState(t *testing.T) {
	f := newFixture(t)
	f.message("hello")
	ann := f.login("ann")
	ref := ann.filter(false, spec(sessionManager, "message", "sessionList", "currentSession.userName"))
	set := ann.check("")
	o := ann.only(set)
	if set.FilterSet[0].Filter != ref || o.Kind != types.ObjectUpdateKindEnter || o.Obj != sessionManager {
		t.Errorf("got %+v", set)
	}
	want := []types.PropertyChange{
		{Name: "message", Op: types.PropertyChangeOpAssign, Val: "hello"},
		{Name: "currentSession.userName", Op: types.PropertyChangeOpAssign, Val: `VSPHERE.LOCAL\ann`},
	}
	if !slices.Equal(o.ChangeSet, want) {
		t.Errorf("changes %+v", o.ChangeSet)
	}
	if len(o.MissingSet) != 1 || o.MissingSet[0].Path != "sessionList" {
		t.Errorf("missing %+v", o.MissingSet)
	}
	if again := ann.check(set.Version); again != nil {
		t.Errorf("nothing changed, but %+v was reported", again)
	}
}

func TestVersionsFollowOneAnother(t *testing.T) {
	f := newFixture(t)
	f.message("1")
	ann := f.login("ann")
	ann.filter(false, spec(sessionManager, "message"))
	told := func(version, want string) string {
		t.Helper()
		set := ann.check(version)
		if got := ann.only(set).ChangeSet[0].Val; got != want {
			t.Errorf("after %q: got %v, want %v", version, got, want)
		}
		return set.Version
	}
	v1 := told("", "1")
	f.message("2")
	v2 := told(v1, "2")
	if again := told(v1, "2"); again != v2 {
		t.Errorf("asked twice, nothing new since: version %s, was %s", again, v2)
	}
	if set := ann.check(v2); set != nil {
		t.Errorf("got %+v", set)
	}
	f.message("3")
	v3 := told(v1, "3") // the response with v2 was lost
	if v3 == v2 {
		t.Error("another state has the same version")
	}
	ann.fails("InvalidCollectorVersion", pc, "CheckForUpdates", &types.CheckForUpdatesRequestType{Version: v2})
	f.message("4")
	v4 := told(v3, "4")
	ann.fails("InvalidCollectorVersion", pc, "CheckForUpdates", &types.CheckForUpdatesRequestType{Version: v1})
	for _, v := range []string{"0", "x", "-1", "99", v4 + " ", "0" + v4, strings.Repeat("0", 1<<20) + v4} {
		ann.fails("InvalidCollectorVersion", pc, "WaitForUpdatesEx", &types.WaitForUpdatesExRequestType{Version: v})
	}
	v5 := told("", "4")
	if v5 == v4 {
		t.Error("a client that starts over gets another version")
	}
	ann.fails("InvalidCollectorVersion", pc, "WaitForUpdates", &types.WaitForUpdatesRequestType{Version: v4})
	if other := ann.collector(); other.check("") != nil {
		t.Error("a collector without filters reports updates")
	}
}

func TestUpdatesAreTruncatedAndContinued(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	ann.filter(false, types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "ManagedObject"}},
		ObjectSet: []types.ObjectSpec{{Obj: sessionManager}, {Obj: rootFolder}, {Obj: authorization}},
	})
	ann.filter(false, spec(sessionManager, "message"))
	version := ""
	var got []types.ManagedObjectReference
	for i := range 2 {
		a := <-ann.wait(version, &types.WaitOptions{MaxObjectUpdates: 2})
		n := 0
		for _, s := range a.set.FilterSet {
			for _, o := range s.ObjectSet {
				n++
				got = append(got, o.Obj)
			}
		}
		if n != 2 || *a.set.Truncated != (i == 0) {
			t.Errorf("part %d: %+v", i, a.set)
		}
		version = a.set.Version
	}
	if want := []types.ManagedObjectReference{sessionManager, rootFolder, authorization,
		sessionManager}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if set := ann.check(version); set != nil {
		t.Errorf("got %+v", set)
	}
	ann.fails("InvalidArgument", pc, "WaitForUpdatesEx",
		&types.WaitForUpdatesExRequestType{Options: &types.WaitOptions{MaxObjectUpdates: -1}})
	ann.fails("InvalidArgument", pc, "WaitForUpdatesEx",
		&types.WaitForUpdatesExRequestType{Options: &types.WaitOptions{MaxWaitSeconds: types.NewInt32(-1)}})
}

func TestAWaitEndsAtTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		admin := f.login("Administrator")
		for _, w := range []struct {
			on     types.ManagedObjectReference
			path   string
			change func()
		}{
			{sessionManager, "message", func() { f.message("news") }},
			{sessionManager, "sessionList", func() { f.login("ann") }},
			{sessionManager, "currentSession", func() { f.setLocale(admin, "de") }},
			{types.ManagedObjectReference{Type: "EventManager", Value: "EventManager"}, "latestEvent",
				func() { f.message("more") }},
			{authorization, "roleList", func() {
				_, err := f.Access.AddRole(t.Context(), access.Server(event.By("test")), "role", nil)
				f.must(err)
			}},
			{types.ManagedObjectReference{Type: "ExtensionManager", Value: "ExtensionManager"}, "extensionList",
				func() { f.register("com.vigate.a") }},
			{rootFolder, "permission", func() { f.grant("bob", access.ReadOnly) }},
			{sessionManager, "currentSession.locale", func() { f.setLocale(admin, "en") }},
		} {
			c := admin.collector()
			c.filter(false, spec(w.on, w.path))
			set := c.check("")
			got := c.wait(set.Version, nil)
			synctest.Wait()
			select {
			case a := <-got:
				t.Fatalf("%s: the wait ended before the change: %+v", w.path, a)
			default:
			}
			w.change()
			synctest.Wait()
			select {
			case a := <-got:
				if a.fault != nil {
					t.Fatalf("%s: %v", w.path, a.fault)
				}
				if o := c.only(a.set); o.Kind != types.ObjectUpdateKindModify || len(o.ChangeSet) != 1 ||
					o.ChangeSet[0].Name != w.path {
					t.Errorf("%s: got %+v", w.path, o)
				}
			default:
				t.Fatalf("%s: the wait did not end at the change", w.path)
			}
		}
	})
}

func TestAWaitEndsAtItsTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := newFixture(t).login("ann")
		ann.filter(false, spec(sessionManager, "message"))
		version := ann.check("").Version
		for _, seconds := range []int32{0, 1, 600} {
			began := time.Now()
			a := <-ann.wait(version, &types.WaitOptions{MaxWaitSeconds: &seconds})
			if took := time.Since(began); a.set != nil || a.fault != nil || took != time.Duration(seconds)*time.Second {
				t.Errorf("%d s: %+v after %v", seconds, a, took)
			}
		}
	})
}

func TestAWaitEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := newFixture(t).login("ann")
		ann.filter(false, spec(sessionManager, "message"))
		got := ann.wait(ann.check("").Version, nil)
		synctest.Wait()
		ann.end()
		synctest.Wait()
		select {
		case a := <-got:
			if a.fault == nil || a.fault.Kind() != "NotAuthenticated" {
				t.Errorf("got %+v", a)
			}
		default:
			t.Error("the wait goes on")
		}
	})
}

func TestAWaitEndsWhenItsSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := newFixture(t).login("ann")
		ann.filter(false, spec(sessionManager, "message"))
		version := ann.check("").Version
		began := time.Now()
		got := ann.wait(version, nil)
		<-time.After(20 * time.Minute)
		ann.one(sessionManager, "defaultLocale")
		a := <-got
		if a.fault == nil || a.fault.Kind() != "NotAuthenticated" {
			t.Errorf("got %+v", a)
		}
		if took := time.Since(began); took != 50*time.Minute {
			t.Errorf("the session that was used after 20 minutes ended after %v", took)
		}
	})
}

func TestAWaitIsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ann := f.login("ann")
		own := ann.collector()
		var waits []<-chan answer
		for _, c := range []*client{ann, own} {
			c.filter(false, spec(sessionManager, "message"))
			waits = append(waits, c.wait(c.check("").Version, nil))
		}
		ctx, cancel := context.WithCancel(context.Background())
		cut := ann.waitContext(ctx, "1", nil)
		synctest.Wait()
		f.login("bob").void(pc, "CancelWaitForUpdates", &types.CancelWaitForUpdatesRequestType{})
		synctest.Wait()
		cancel()
		if a := <-cut; a.fault == nil || a.fault.Kind() != "RequestCanceled" {
			t.Errorf("got %+v", a)
		}
		ann.void(pc, "CancelWaitForUpdates", &types.CancelWaitForUpdatesRequestType{})
		if a := <-waits[0]; a.fault == nil || a.fault.Kind() != "RequestCanceled" {
			t.Errorf("got %+v", a)
		}
		synctest.Wait()
		select {
		case a := <-waits[1]:
			t.Fatalf("another collector's wait ended: %+v", a)
		default:
		}
		own.void(own.pc, "DestroyPropertyCollector", &types.DestroyPropertyCollectorRequestType{})
		if a := <-waits[1]; a.fault == nil || a.fault.Kind() != "ManagedObjectNotFound" {
			t.Errorf("got %+v", a)
		}
		// A wait that begins after the cancellation is not canceled.
		if a := <-ann.wait("1", &types.WaitOptions{MaxWaitSeconds: types.NewInt32(1)}); a.fault != nil {
			t.Errorf("got %+v", a)
		}
	})
}

func TestWaitsEndWhenTheServerShutsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ann := f.login("ann")
		ann.filter(false, spec(sessionManager, "message"))
		version := ann.check("").Version
		got := ann.wait(version, nil)
		old := make(chan string)
		go func() {
			_, fault := ann.try(pc, "WaitForUpdates", &types.WaitForUpdatesRequestType{Version: version})
			old <- fault.Kind()
		}()
		synctest.Wait()
		f.Drain()
		if a := <-got; a.set != nil || a.fault != nil {
			t.Errorf("got %+v", a)
		}
		if kind := <-old; kind != "RequestCanceled" {
			t.Errorf("got %v", kind)
		}
	})
}

func TestAFilterCreatedDuringAWaitIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := newFixture(t).login("ann")
		got := ann.wait("", nil)
		synctest.Wait()
		ref := ann.filter(false, spec(sessionManager, "message"))
		a := <-got
		if ann.only(a.set).Kind != types.ObjectUpdateKindEnter || a.set.FilterSet[0].Filter != ref {
			t.Errorf("got %+v", a.set)
		}
		got = ann.wait(a.set.Version, nil)
		synctest.Wait()
		second := ann.filter(false, spec(rootFolder, "name"))
		if a = <-got; ann.only(a.set).Obj != rootFolder || a.set.FilterSet[0].Filter != second {
			t.Errorf("got %+v", a.set)
		}
		ann.void(second, "DestroyPropertyFilter", &types.DestroyPropertyFilterRequestType{})
		ann.fails("ManagedObjectNotFound", second, "DestroyPropertyFilter", &types.DestroyPropertyFilterRequestType{})
		if set := ann.check(a.set.Version); set != nil {
			t.Errorf("a destroyed filter was reported: %+v", set)
		}
	})
}

func TestAWaitCountsWhenItBeginsAndWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		ann := f.login("ann")
		ann.filter(false, spec(sessionManager, "message"))
		version := ann.check("").Version
		before := ann.live.Session().CallCount
		got := ann.wait(version, nil)
		synctest.Wait()
		if n := ann.live.Session().CallCount - before; n != 1 {
			t.Errorf("counted %d at the begin", n)
		}
		f.message("x")
		<-got
		if n := ann.live.Session().CallCount - before; n != 2 {
			t.Errorf("counted %d in all", n)
		}
	})
}

func TestAPropertyThatMayNoLongerBeReadIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.grant("ann", access.Admin)
		ann := f.login("ann")
		ann.filter(true, spec(sessionManager, "sessionList"))
		set := ann.check("")
		if o := ann.only(set); len(o.ChangeSet) != 1 {
			t.Fatalf("got %+v", o)
		}
		got := ann.wait(set.Version, nil)
		synctest.Wait()
		f.grant("ann", access.ReadOnly)
		a := <-got
		if o := ann.only(a.set); len(o.ChangeSet) != 0 || len(o.MissingSet) != 1 ||
			o.MissingSet[0].Path != "sessionList" {
			t.Errorf("got %+v", o)
		}
		got = ann.wait(a.set.Version, nil)
		synctest.Wait()
		f.login("bob") // ann may not see this session
		synctest.Wait()
		select {
		case a := <-got:
			t.Fatalf("a change that the client may not see was reported: %+v", a)
		default:
		}
		f.grant("ann", access.Admin)
		a = <-got
		o := ann.only(a.set)
		if len(o.ChangeSet) != 1 || o.ChangeSet[0].Op != types.PropertyChangeOpAssign || len(o.MissingSet) != 0 {
			t.Fatalf("got %+v", o)
		}
		if n := len(o.ChangeSet[0].Val.(types.ArrayOfUserSession).UserSession); n != 2 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestUseOfASessionIsNoChangeOfIt(t *testing.T) {
	f := newFixture(t)
	admin := f.login("Administrator")
	admin.filter(false, spec(sessionManager, "currentSession", "sessionList"))
	counts := admin.collector()
	counts.filter(false, spec(sessionManager, "currentSession.callCount"))
	v, w := admin.check("").Version, counts.check("").Version
	f.must(f.Sessions.Flush(t.Context()))
	if set := admin.check(v); set != nil {
		t.Errorf("got %+v", set)
	}
	if o := counts.only(counts.check(w)); o.ChangeSet[0].Name != "currentSession.callCount" {
		t.Errorf("got %+v", o)
	}
}

func TestClocksAreNotReportedAsChanges(t *testing.T) {
	ann := newFixture(t).login("ann")
	ann.filter(false, spec(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}))
	set := ann.check("")
	if len(ann.only(set).ChangeSet) < 3 {
		t.Errorf("got %+v", set)
	}
	if again := ann.check(set.Version); again != nil {
		t.Errorf("got %+v", again)
	}
}

func TestFiltersAndCollectorsEndWithTheirSession(t *testing.T) {
	f := newFixture(t)
	ann := f.login("ann")
	own := ann.collector()
	first, second := ann.filter(false, spec(sessionManager, "message")), own.filter(true, spec(rootFolder, "name"))
	if got := ann.one(pc, "filter").(types.ArrayOfManagedObjectReference).ManagedObjectReference; !slices.Equal(got,
		[]types.ManagedObjectReference{first}) {
		t.Errorf("filters of the default collector: %v", got)
	}
	if got := call[bool](ann, second, "partialUpdates", nil); !got {
		t.Error("partialUpdates is lost")
	}
	if got := call[types.PropertyFilterSpec](ann, second, "spec", nil); got.ObjectSet[0].Obj != rootFolder {
		t.Errorf("spec is %+v", got)
	}
	bob := f.login("bob")
	if got := call[[]types.ManagedObjectReference](bob, pc, "filter", nil); len(got) != 0 {
		t.Errorf("another session's filters: %v", got)
	}
	bob.fails("ManagedObjectNotFound", first, "DestroyPropertyFilter", &types.DestroyPropertyFilterRequestType{})
	ann.fails("NotSupported", pc, "DestroyPropertyCollector", &types.DestroyPropertyCollectorRequestType{})
	own.void(own.pc, "DestroyPropertyCollector", &types.DestroyPropertyCollectorRequestType{})
	own.fails("ManagedObjectNotFound", own.pc, "CheckForUpdates", &types.CheckForUpdatesRequestType{})
	own.fails("ManagedObjectNotFound", second, "DestroyPropertyFilter", &types.DestroyPropertyFilterRequestType{})
	if f.Instance(ann.live, first) == nil {
		t.Error("the filter of another collector is gone")
	}
	ann.end()
	if f.Instance(ann.live, first) != nil {
		t.Error("the filter outlives its session")
	}
	if n := f.owners(); n != 0 {
		t.Errorf("%d sessions are remembered", n)
	}
}

// A thousand clients wait for the service message. One change reaches all of them, and the end of
// their sessions ends all waits. The waits must use little memory.
func TestOneChangeWakesAThousandWaiters(t *testing.T) {
	f := newFixture(t)
	before := runtime.NumGoroutine()
	aThousandWait(t, f, "to all", before) // allocates what is allocated only once
	memory := heap()
	waiting := aThousandWait(t, f, "to all again", before) - memory
	// The logins and the ends of a round leave their events, about 1.5 MiB.
	if left := heap() - memory; left > 2<<20 || left > waiting/2 {
		t.Errorf("a thousand waiters held %d KiB and left %d KiB", waiting>>10, left>>10)
	}
}

// aThousandWait lets a thousand clients wait, changes the message once and then ends their
// sessions. It returns the memory in use while they waited.
func aThousandWait(t *testing.T, f *fixture, text string, before int) (waiting int64) {
	t.Helper()
	const n = 1000
	clients := make([]*client, n)
	waits := make([]<-chan answer, n)
	for i := range clients {
		c := f.login("ann").collector()
		c.filter(false, spec(sessionManager, "message"))
		clients[i], waits[i] = c, c.waits(c.check("").Version)
	}
	waiting = heap()
	f.message(text)
	for i, w := range waits {
		a := <-w
		if a.fault != nil || f.anonymous().only(a.set).ChangeSet[0].Val != text {
			t.Fatalf("waiter %d: %+v", i, a)
		}
		waits[i] = clients[i].waits(a.set.Version)
	}
	if _, err := f.Sessions.EndAll(t.Context(), func(*session.Session) bool { return true },
		session.Logout); err != nil {
		t.Fatal(err)
	}
	for i, w := range waits {
		if a := <-w; a.fault == nil || a.fault.Kind() != "NotAuthenticated" {
			t.Fatalf("waiter %d: %+v", i, a)
		}
	}
	soon(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
	if n := f.owners(); n != 0 {
		t.Errorf("%d sessions are remembered", n)
	}
	return waiting
}

// heap returns the memory in use in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // collects objects that the first collection has finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
