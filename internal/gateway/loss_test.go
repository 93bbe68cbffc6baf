package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/upstream"
)

// read makes one read of some kind, and checks what it gives.
func (c *client) read(n int) error {
	ctx, cancel := context.WithTimeout(c.s.t.Context(), time.Minute)
	defer cancel()
	switch n % 5 {
	case 0:
		name := allNames[n/5%len(allNames)]
		ref, err := object.NewSearchIndex(c.Client.Client).FindByInventoryPath(ctx, "/DC0/vm/"+name)
		if err != nil || ref == nil {
			return fmt.Errorf("find %s: %v, %w", name, ref, err)
		}
		var vm mo.VirtualMachine
		if err := property.DefaultCollector(c.Client.Client).RetrieveOne(ctx, ref.Reference(),
			[]string{"name", "runtime.powerState"}, &vm); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if vm.Name != name || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			return fmt.Errorf("read %s: got %q, %q", name, vm.Name, vm.Runtime.PowerState)
		}
	case 1:
		vms, err := find.NewFinder(c.Client.Client).VirtualMachineList(ctx, "/DC0/vm/*")
		if err != nil || len(vms) != len(allNames) {
			return fmt.Errorf("list machines: %d, %w", len(vms), err)
		}
	case 2:
		now, err := methods.GetCurrentTime(ctx, c.Client)
		if err != nil || now.IsZero() {
			return fmt.Errorf("read the time: %w", err)
		}
	case 4:
		status, answer, err := c.try(recording{c.s, http.DefaultTransport}, envelope(`<Fetch xmlns="urn:vim25">`+
			`<_this type="Folder">`+c.ServiceContent.RootFolder.Value+`</_this><prop>name</prop></Fetch>`))
		if err != nil || status != http.StatusOK || !strings.Contains(answer, ">Datacenters<") {
			return fmt.Errorf("fetch a name: %d %s, %w", status, answer, err)
		}
	case 3:
		me, err := c.SessionManager.UserSession(ctx)
		if err != nil || me == nil || me.Key != c.key {
			return fmt.Errorf("read the session: %+v, %w", me, err)
		}
	}
	return nil
}

func TestClientsThatOwnNothingNoticeNoLossOfUpstreamSessions(t *testing.T) {
	d := newDouble(t)
	d.serial = true
	s := stage(t, d, "    max-sessions: 5\n")
	var clients []*client
	for n := range 8 {
		clients = append(clients, s.login(n))
	}
	var stop atomic.Bool
	var reads atomic.Int64
	var ended sync.WaitGroup
	ended.Go(func() {
		for range 10 {
			before := reads.Load()
			d.endAll()
			s.eventually("reads go on", func() bool { return reads.Load() > before+20 })
		}
		stop.Store(true)
	})
	var calls sync.WaitGroup
	for i, c := range clients {
		calls.Go(func() {
			for n := i; !stop.Load(); n++ {
				if err := c.read(n); err != nil {
					t.Error(err)
					return
				}
				reads.Add(1)
			}
		})
	}
	ended.Wait()
	calls.Wait()
	if d.count("Login") < 3 {
		t.Errorf("only %d logins: nothing was lost", d.count("Login"))
	}
}

func TestAClientThatOwnedSomethingOnALostSessionLogsInAgain(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	a, b := s.login(1), s.login(2)
	v, err := view.NewManager(a.Client.Client).CreateContainerView(s.ctx(), a.ServiceContent.RootFolder, nil, true)
	s.must(err)
	d.endAll()
	s.must(b.read(0))
	_, err = v.Find(s.ctx(), []string{"VirtualMachine"}, property.Match{"name": "*"})
	if !isFault[types.NotAuthenticated](err) {
		t.Errorf("its view is gone: %v", err)
	}
	if active, err := a.SessionManager.UserSession(s.ctx()); err != nil || active != nil {
		t.Errorf("its session goes on: %+v, %v", active, err)
	}
	again := s.login(1)
	if got, err := again.names(); err != nil || !slices.Equal(got, allNames) {
		t.Errorf("after another login: %q, %v", got, err)
	}
	if n := s.owned(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestWhatIsGoneWithItsSessionIsNotTakenForAnother(t *testing.T) {
	d := newDouble(t)
	var s *scene
	var ends atomic.Bool
	s = stage(t, d, "", func(o *gateway.Options) {
		choose := o.Choose
		o.Choose = func(l *session.Live) (*upstream.Account, error) {
			if ends.Load() { // after the call was admitted
				s.must(o.End(s.ctx(), l))
			}
			return choose(l)
		}
	})
	c := s.login(1)
	v, err := view.NewManager(c.Client.Client).CreateListView(s.ctx(), nil)
	s.must(err)
	ends.Store(true)
	if err := v.Destroy(s.ctx()); !isFault[types.NotAuthenticated](err) {
		t.Errorf("the view: %v", err)
	}
}

// waiting starts a wait of a client and returns its outcome.
func (c *client) waiting(ctx context.Context) <-chan error {
	c.s.t.Helper()
	pc, err := property.DefaultCollector(c.Client.Client).Create(c.s.ctx())
	c.s.must(err)
	s := c.s
	_, err = pc.CreateFilter(s.ctx(), types.CreateFilter{Spec: types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
		ObjectSet: []types.ObjectSpec{{Obj: c.machine("DC0_H0_VM0")}},
	}})
	s.must(err)
	first, err := methods.WaitForUpdatesEx(s.ctx(), c.Client, &types.WaitForUpdatesEx{This: pc.Reference()})
	s.must(err)
	before := s.double.count("WaitForUpdatesEx")
	done := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(ctx, c.Client, &types.WaitForUpdatesEx{
			This: pc.Reference(), Version: first.Returnval.Version,
		})
		done <- err
	}()
	s.eventually("the upstream gets the wait", func() bool { return s.double.count("WaitForUpdatesEx") > before })
	return done
}

func TestAWaitEndsAtTheUpstreamWhenItsClientGoes(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	ctx, cancel := context.WithCancel(s.ctx())
	done := c.waiting(ctx)
	cancel()
	if err := <-done; err == nil {
		t.Error("the wait has an answer")
	}
	s.eventually("the wait is cancelled at the upstream", func() bool { return d.count("CancelWaitForUpdates") == 1 })
}

func TestAWaitEndsWhenItsSessionEnds(t *testing.T) {
	for name, end := range map[string]func(*scene, *client){
		"logout": func(s *scene, c *client) { s.must(c.Logout(s.ctx())) },
		"loss": func(s *scene, c *client) {
			s.double.endAll()
			s.must(s.login(3).read(0)) // it finds out
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDouble(t)
			s := stage(t, d, "    max-sessions: 1\n")
			c := s.login(1)
			done := c.waiting(s.ctx())
			end(s, c)
			if err := <-done; !isFault[types.NotAuthenticated](err) {
				t.Errorf("the wait ends with %v", err)
			}
			s.eventually("nothing is left", func() bool { return s.owned() == 0 })
		})
	}
}

func TestACallWithAnUnknownOutcomeIsNotMadeAgain(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	vm := object.NewVirtualMachine(c.Client.Client, c.machine("DC0_H0_VM0"))
	d.set(func() {
		d.intercept = func(method string, w http.ResponseWriter, _ *http.Request) bool {
			if method == "PowerOffVM_Task" || method == "QueryOptions" {
				panic(http.ErrAbortHandler)
			}
			return false
		}
	})
	_, err := vm.PowerOff(s.ctx())
	if !isFault[types.SystemError](err) || d.count("PowerOffVM_Task") != 1 {
		t.Errorf("a change: %v, made %d times", err, d.count("PowerOffVM_Task"))
	}
	_, err = methods.QueryOptions(s.ctx(), c.Client, &types.QueryOptions{This: *c.ServiceContent.Setting, Name: "x"})
	if err == nil || d.count("QueryOptions") != 2 {
		t.Errorf("a read: %v, made %d times", err, d.count("QueryOptions"))
	}
}

// doubts makes the double refuse the next calls of a method as not authenticated, although their session lives, as
// a server may that ends sessions while it serves calls on them.
func (d *double) doubts(method string, calls int64) {
	var left atomic.Int64
	left.Store(calls)
	d.set(func() {
		d.intercept = func(m string, w http.ResponseWriter, _ *http.Request) bool {
			if m != method || left.Add(-1) < 0 {
				return false
			}
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, envelope(`<S:Fault xmlns:S="http://schemas.xmlsoap.org/soap/envelope/">`+
				`<faultcode>ServerFaultCode</faultcode><faultstring></faultstring><detail>`+
				`<NotAuthenticatedFault xmlns="urn:vim25" xsi:type="NotAuthenticated" `+
				`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><object type="Folder">group-d1</object>`+
				`<privilegeId>System.View</privilegeId></NotAuthenticatedFault></detail></S:Fault>`))
			return true
		}
	})
}

func TestACallThatALivingSessionIsRefusedIsMadeOnceMore(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	owner, reader := s.login(1), s.login(2)
	root := owner.ServiceContent.RootFolder
	v, err := view.NewManager(owner.Client.Client).CreateContainerView(s.ctx(), root, nil, true)
	s.must(err)
	for name, c := range map[string]*client{"a client that owns a view": owner, "one that owns nothing": reader} {
		before, logins := d.count("PowerOffVM_Task"), d.count("Login")
		vm := object.NewVirtualMachine(c.Client.Client, c.machine(allNames[0]))
		d.doubts("PowerOffVM_Task", 1)
		if _, err := vm.PowerOff(s.ctx()); err != nil {
			t.Errorf("%s: refused once: %v", name, err)
		}
		if n := d.count("PowerOffVM_Task") - before; n != 2 {
			t.Errorf("%s: refused once: the upstream got %d calls, want 2", name, n)
		}
		d.doubts("PowerOffVM_Task", 100)
		if _, err := vm.PowerOff(s.ctx()); !isFault[types.NotAuthenticated](err) {
			t.Errorf("%s: always refused: got %v, want what the upstream says", name, err)
		}
		if n := d.count("PowerOffVM_Task") - before; n != 4 {
			t.Errorf("%s: always refused: the upstream got %d calls, want 2", name, n-2)
		}
		if n := d.count("Login") - logins; n != 0 {
			t.Errorf("%s: %d logins, although the session lives", name, n)
		}
	}
	if _, err := v.Find(s.ctx(), []string{"VirtualMachine"}, property.Match{"name": "*"}); err != nil {
		t.Errorf("the view of a session that lives is gone: %v", err)
	}
}

func TestAWaitThatIsMadeOnceMoreGivesItsPlaceBack(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "    max-waits: 1\n    wait-timeout: 1s\n")
	c := s.login(1)
	pc, err := property.DefaultCollector(c.Client.Client).Create(s.ctx())
	s.must(err)
	_, err = pc.CreateFilter(s.ctx(), types.CreateFilter{Spec: types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
		ObjectSet: []types.ObjectSpec{{Obj: c.machine(allNames[0])}},
	}})
	s.must(err)
	for n := range 3 {
		before := d.count("WaitForUpdatesEx")
		d.doubts("WaitForUpdatesEx", 1)
		_, err := methods.WaitForUpdatesEx(s.ctx(), c.Client, &types.WaitForUpdatesEx{This: pc.Reference()})
		if calls := d.count("WaitForUpdatesEx") - before; err != nil || calls != 2 {
			t.Fatalf("wait %d, refused once: %v, made %d times, want 2", n, err, calls)
		}
	}
	s.eventually("no wait is left", func() bool { return s.up.State().Waits == 0 })
}

// A server may stop for ever if it ends a view and the session of the view at the same time. The simulator does.
func TestASessionIsLoggedOutAfterTheLastCallOfTheFrontOnIt(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	c := s.login(1)
	_, err := view.NewManager(c.Client.Client).CreateContainerView(s.ctx(), c.ServiceContent.RootFolder, nil, true)
	s.must(err)
	l, err := s.vigate.Sessions.Find(c.key)
	s.must(err)
	up := s.front.OnSession(l)
	if up == nil {
		t.Fatal("the client owns nothing")
	}
	begun, free, out := make(chan struct{}), make(chan struct{}), make(chan struct{})
	d.set(func() {
		d.intercept = func(method string, _ http.ResponseWriter, _ *http.Request) bool {
			switch method {
			case "DestroyView":
				close(begun)
				<-free
			case "Logout":
				close(out)
			}
			return false
		}
	})
	s.must(c.Logout(s.ctx()))
	<-begun
	drained := make(chan error, 1)
	go func() { drained <- s.up.Drain(s.ctx()) }()
	<-up.Gone()
	select {
	case <-out:
		t.Error("the session is logged out while its view is destroyed")
	case <-time.After(100 * time.Millisecond):
	}
	close(free)
	if err := <-drained; err != nil || d.count("Logout") != 1 {
		t.Errorf("the end of the upstream: %v, and %d logouts", err, d.count("Logout"))
	}
	if done, ok := up.Begin(); ok {
		done()
		t.Error("a call begins on a session that has ended")
	}
}
