package vim_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/vim"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// request is the request of the methods in this file.
type request struct {
	Units int
	Leave chan struct{}
}

// toil returns an object whose method works for the requested units and then calls more.
func toil(f *vimtest.Fixture, more func(*request)) types.ManagedObjectReference {
	o := &vim.Object{Type: "Toil", ID: "toil", Methods: []vim.Method{
		vim.NewVoid("Work", vim.View, func(ctx context.Context, c *vim.Call, r *request) error {
			if err := f.Work(ctx, c, r.Units); err != nil {
				return err
			}
			more(r)
			return nil
		}),
	}}
	f.Must(f.Add(o))
	return o.Ref()
}

// call is a call that runs in another goroutine.
type call struct {
	*request
	done chan *vim.Fault
}

func (c call) end(t *testing.T) {
	t.Helper()
	close(c.Leave)
	if fault := <-c.done; fault != nil {
		t.Error(fault)
	}
}

func begin(f *vimtest.Fixture, token string, on types.ManagedObjectReference, units int) call {
	r := call{&request{units, make(chan struct{})}, make(chan *vim.Fault, 1)}
	go func() {
		c := &vim.Call{Object: on, Name: "Work", Args: r.request, Token: secret.New(token), Release: vim.FirstRelease,
			Binding: "test"}
		_, fault := f.Do(context.Background(), c)
		c.Answered()
		r.done <- fault
	}()
	return r
}

func TestLongWorkTakesTurnsAndShortWorkDoesNot(t *testing.T) {
	f := newFixture(t)
	entered := make(chan *request)
	on := toil(f.Fixture, func(r *request) {
		entered <- r
		<-r.Leave
	})
	const long = 1_000_000
	slots := max(1, runtime.GOMAXPROCS(0)/2)
	var running []call
	for range slots {
		running = append(running, begin(f.Fixture, f.Ann, on, long))
		<-entered
	}
	waiting := begin(f.Fixture, f.Admin, on, long)
	for f.WaitingForTurns() == 0 {
		runtime.Gosched()
	}
	short := begin(f.Fixture, f.Admin, on, 100)
	if <-entered != short.request { // all turns are taken
		t.Error("a long call has a turn more than there are")
	}
	short.end(t)
	running[0].end(t)
	if <-entered != waiting.request {
		t.Error("another call had the turn")
	}
	for _, c := range append(running[1:], waiting) {
		c.end(t)
	}
	if n := f.WaitingForTurns(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

func TestATurnIsGivenBackWhateverBecomesOfTheCall(t *testing.T) {
	f := newFixture(t)
	on := toil(f.Fixture, func(*request) { panic("a bug") })
	for range 10 * runtime.GOMAXPROCS(0) {
		func() {
			defer func() { _ = recover() }()
			c := &vim.Call{Object: on, Name: "Work", Args: &request{Units: 1_000_000}, Token: secret.New(f.Ann),
				Release: vim.FirstRelease, Binding: "test"}
			_, _ = f.Do(context.Background(), c)
		}()
	}
	if running, _ := f.Turns(); running != 0 {
		t.Errorf("%d turns are taken", running)
	}
}

func TestALongListIsCountedUntilItIsSent(t *testing.T) {
	f := newFixture(t)
	key := f.Session(f.Admin)
	const n = 3000
	for i := range n {
		who := f.Session([]string{f.Ann, f.Admin}[i%2]).Identity()
		_, _, err := f.Sessions.Start(t.Context(), session.Grant{Identity: who, Method: "test"})
		f.Must(err)
	}
	read := func(name string) *vim.Call {
		c := &vim.Call{Object: f.Ref("SessionManager"), Name: name, Read: true, Token: secret.New(f.Admin),
			Release: vim.FirstRelease, Binding: "test"}
		if _, fault := f.Do(context.Background(), c); fault != nil {
			t.Fatal(fault)
		}
		return c
	}
	list := read("sessionList")
	if held := f.Held(key)[budget.Answers]; held < n*8 || held > n*100 {
		t.Errorf("the list weighs %d", held)
	}
	if list.Answered(); f.Held(key)[budget.Answers] != 0 {
		t.Errorf("%v is left", f.Held(key))
	}
}

func TestLargeArgumentsAreDecodedInTurnsAndSmallOnesAtOnce(t *testing.T) {
	f := newFixture(t)
	from := func(address string) *vim.Call {
		return &vim.Call{Peer: &peer.Peer{Address: address}, Binding: "test"}
	}
	const small, large = 64 << 10, 64<<10 + 1
	var running []func()
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		done, fault := f.Decode(t.Context(), from("192.0.2.1"), large)
		if fault != nil {
			t.Fatal(fault)
		}
		running = append(running, done)
	}
	next := make(chan func())
	go func() {
		done, fault := f.Decode(t.Context(), from("192.0.2.2"), large)
		if fault != nil {
			t.Error(fault)
		}
		next <- done
	}()
	for f.WaitingForTurns() == 0 {
		runtime.Gosched()
	}
	done, fault := f.Decode(t.Context(), from("192.0.2.1"), small)
	if fault != nil {
		t.Fatal(fault)
	}
	done()
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	if _, fault := f.Decode(gone, from("192.0.2.3"), large); fault == nil {
		t.Error("a client that has hung up has a turn")
	}
	running[0]()
	for _, done := range append(running[1:], <-next) {
		done()
	}
	if running, waiting := f.Turns(); running != 0 || waiting != 0 {
		t.Errorf("%d turns are taken and %d wait", running, waiting)
	}
}

// A list that a call has read stays in memory until the call has processed it. If the call waited for
// another turn in the meantime, there could be as many lists as calls.
func TestACallKeepsTheTurnInWhichItReadsALongList(t *testing.T) {
	f := newFixture(t)
	entered := make(chan int)
	leave := make(chan struct{})
	o := &vim.Object{Type: "Reader", ID: "reader", Methods: []vim.Method{
		vim.NewVoid("Read", vim.View, func(ctx context.Context, c *vim.Call, r *request) error {
			for step := range r.Units {
				if err := f.Work(ctx, c, 100_000); err != nil {
					return err
				}
				entered <- step
				<-leave
			}
			return nil
		}),
	}}
	f.Must(f.Add(o))
	done := make(chan *vim.Fault)
	read := func(token string, steps int) {
		go func() {
			c := &vim.Call{Object: o.Ref(), Name: "Read", Args: &request{Units: steps}, Token: secret.New(token),
				Release: vim.FirstRelease, Binding: "test"}
			_, fault := f.Do(context.Background(), c)
			c.Answered()
			done <- fault
		}()
	}
	slots := max(1, runtime.GOMAXPROCS(0)/2)
	for range slots {
		read(f.Ann, 3)
		if step := <-entered; step != 0 {
			t.Fatalf("step %d", step)
		}
	}
	read(f.Admin, 1) // it waits, so that the turns are contended
	for f.WaitingForTurns() == 0 {
		runtime.Gosched()
	}
	for range 2 * slots {
		leave <- struct{}{}
		if step := <-entered; step == 0 {
			t.Error("a call gave its turn away between two looks at its list")
		}
	}
	for range slots {
		leave <- struct{}{}
	}
	if step := <-entered; step != 0 {
		t.Errorf("step %d", step)
	}
	leave <- struct{}{}
	for range slots + 1 {
		if fault := <-done; fault != nil {
			t.Error(fault)
		}
	}
}
