package owned_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/gateway/owned"
	"github.com/vigate/vigate/internal/session"
)

// upstream is an upstream session.
type upstream struct {
	mu   sync.Mutex // guards pins
	pins int
	gone chan struct{}
}

func newUpstream() *upstream { return &upstream{gone: make(chan struct{})} }

func (u *upstream) add(n int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pins += n
	return u.pins
}

func (u *upstream) Pin()                  { u.add(1) }
func (u *upstream) Unpin()                { u.add(-1) }
func (u *upstream) Gone() <-chan struct{} { return u.gone }

// registry is the API of a front.
type registry struct {
	mu  sync.Mutex // guards what follows
	n   int
	all map[types.ManagedObjectReference]interface{ Close() }
	err error
}

func (r *registry) NewInstance(_ *session.Live, typ string, v any, _ int64) (types.ManagedObjectReference, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return types.ManagedObjectReference{}, r.err
	}
	r.n++
	ref := types.ManagedObjectReference{Type: typ, Value: fmt.Sprintf("session[client]%d", r.n)}
	r.all[ref] = v.(interface{ Close() })
	return ref, nil
}

func (r *registry) Destroy(ref types.ManagedObjectReference) {
	r.mu.Lock()
	v := r.all[ref]
	delete(r.all, ref)
	r.mu.Unlock()
	if v != nil {
		v.Close()
	}
}

// end ends the client session.
func (r *registry) end() {
	r.mu.Lock()
	all := r.all
	r.all = map[types.ManagedObjectReference]interface{ Close() }{}
	r.mu.Unlock()
	for _, v := range all {
		v.Close()
	}
}

type object = owned.Object[*upstream]

// scene is a table with one client.
type scene struct {
	*owned.Table[*upstream]
	registry *registry
	live     *session.Live
	left     chan []*object
	lost     chan *session.Live
}

func newScene() *scene {
	s := &scene{
		registry: &registry{all: map[types.ManagedObjectReference]interface{ Close() }{}}, live: new(session.Live),
		left: make(chan []*object, 9), lost: make(chan *session.Live, 9),
	}
	s.Table = owned.New(owned.Hooks[*upstream]{
		Registry: s.registry, Ended: func(_ *upstream, left []*object) { s.left <- left },
		Lost: func(l *session.Live) { s.lost <- l },
	})
	return s
}

func (s *scene) hold(t *testing.T, u *upstream) *upstream {
	t.Helper()
	got, err := s.Hold(t.Context(), s.live, func() (*upstream, error) { return u, nil })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAClientStaysOnItsUpstreamSessionAsLongAsItOwnsSomething(t *testing.T) {
	s, first, second := newScene(), newUpstream(), newUpstream()
	s.hold(t, first)
	if got := s.hold(t, second); got != first || first.add(0) != 1 {
		t.Error("two calls that make something are on two sessions")
	}
	o, err := s.Add(s.live, object{Type: "ListView", Real: "session[up]real"})
	if err != nil {
		t.Fatal(err)
	}
	s.Release(s.live)
	s.Release(s.live)
	if u, pinned := s.Session(s.live); !pinned || u != first || s.Find(s.live, o.ID) != o ||
		s.FindReal(s.live, "session[up]real") != o {
		t.Error("the client has left its session")
	}
	s.Remove(o)
	if _, pinned := s.Session(s.live); pinned || first.add(0) != 0 || s.Find(s.live, o.ID) != nil {
		t.Error("the client stays although it owns nothing")
	}
	if got := s.hold(t, second); got != second {
		t.Error("the client does not change its session")
	}
	s.Release(s.live)
}

func TestCallsSideBySideWaitForTheChoiceOfOneSession(t *testing.T) {
	s, u := newScene(), newUpstream()
	var calls sync.WaitGroup
	var mu sync.Mutex // guards chosen
	chosen := 0
	for range 20 {
		calls.Go(func() {
			got, err := s.Hold(t.Context(), s.live, func() (*upstream, error) {
				mu.Lock()
				defer mu.Unlock()
				chosen++
				return u, nil
			})
			if err != nil || got != u {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	calls.Wait()
	for range 20 {
		s.Release(s.live)
	}
	if chosen != 1 || u.add(0) != 0 {
		t.Errorf("chosen %d times, %d pins", chosen, u.add(0))
	}
}

func TestAnObjectWithoutASessionInItsIDBelongsToItsClientToo(t *testing.T) {
	s, u := newScene(), newUpstream()
	s.hold(t, u)
	o, err := s.Add(s.live, object{Type: "HttpNfcLease", Real: "52e4a1c0"})
	if err != nil || o.ID != "52e4a1c0" {
		t.Fatal(o, err)
	}
	s.Release(s.live)
	if got, foreign := s.Called(s.live, "52e4a1c0"); got != o || foreign {
		t.Error("its client can't call it")
	}
	if _, foreign := s.Called(new(session.Live), "52e4a1c0"); !foreign {
		t.Error("another one can call it")
	}
	s.Remove(o)
	if got, foreign := s.Called(s.live, "52e4a1c0"); got != nil || foreign {
		t.Error("it is still there")
	}
}

func TestAFailedChoiceLeavesNothingBehind(t *testing.T) {
	s, u := newScene(), newUpstream()
	busy := errors.New("busy")
	_, err := s.Hold(t.Context(), s.live, func() (*upstream, error) { return nil, busy })
	if !errors.Is(err, busy) {
		t.Errorf("got %v", err)
	}
	if s.hold(t, u) != u {
		t.Error("no second choice")
	}
	s.Release(s.live)
}

// The server goes on after a panic of a call. So must the calls of the client that wait for what that call began.
func TestACallThatPanicsKeepsNoOtherWaiting(t *testing.T) {
	s, u := newScene(), newUpstream()
	panics := func(call func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		call()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel() // who has to wait fails at once
	panics(func() { _, _ = s.Hold(t.Context(), s.live, func() (*upstream, error) { panic("choose") }) })
	if got, err := s.Hold(ended, s.live, func() (*upstream, error) { return u, nil }); err != nil || got != u {
		t.Fatalf("after a choice that panicked: %v, %v", got, err)
	}
	defer s.Release(s.live)
	panics(func() { _, _ = s.Default(t.Context(), s.live, "front", func() (string, error) { panic("make") }) })
	made := func() (string, error) { return "session[up]collector", nil }
	if c, err := s.Default(ended, s.live, "front", made); err != nil || c == nil {
		t.Errorf("after a collector that panicked: %v, %v", c, err)
	}
}

func TestFiltersEndWithTheirCollector(t *testing.T) {
	s := newScene()
	s.hold(t, newUpstream())
	defer s.Release(s.live)
	c, err := s.Default(t.Context(), s.live, "front", func() (string, error) { return "session[up]collector", nil })
	if err != nil || c.ID != "front" || s.HasDefault(s.live) != c {
		t.Fatal(c, err)
	}
	f, err := s.Add(s.live, object{Type: method.Filter, Real: "session[up]filter", Parent: c})
	if err != nil || len(s.IDs(s.live, c, method.Filter)) != 1 {
		t.Fatal(f, err)
	}
	s.Remove(c)
	if s.Find(s.live, f.ID) != nil || s.HasDefault(s.live) != nil || len(s.registry.all) != 0 {
		t.Error("something outlives the collector")
	}
	_, err = s.Add(s.live, object{Type: method.Filter, Real: "session[up]late", Parent: c})
	if !errors.Is(err, owned.ErrGone) {
		t.Errorf("a filter of a collector that is gone: %v", err)
	}
}

func TestTheEndOfAClientSessionLeavesItsRootsToBeDestroyed(t *testing.T) {
	s, u := newScene(), newUpstream()
	s.hold(t, u)
	c, err := s.Default(t.Context(), s.live, "front", func() (string, error) { return "session[up]collector", nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(s.live, object{Type: method.Filter, Real: "session[up]filter", Parent: c}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	w, err := s.BeginWait(c, func(w *owned.Wait[*upstream], cause error) { stopped <- cause })
	if err != nil || !w.Latest() {
		t.Fatal(err)
	}
	s.Release(s.live)
	s.registry.end()
	left := <-s.left
	if len(left) != 1 || left[0] != c || u.add(0) != 1 {
		t.Errorf("left is %v, pins %d", left, u.add(0))
	}
	if cause := <-stopped; !errors.Is(cause, owned.ErrGone) || w.Latest() {
		t.Errorf("the wait ends with %v", cause)
	}
	w.End()
	s.Released(left)
	if objects, clients := s.Owned(); u.add(0) != 0 || objects != 0 || clients != 0 {
		t.Errorf("pins %d, %d objects of %d clients", u.add(0), objects, clients)
	}
}

func TestALostSessionIsLostForThoseThatOwnSomethingThere(t *testing.T) {
	s, u := newScene(), newUpstream()
	s.hold(t, u)
	if _, err := s.Add(s.live, object{Type: "ListView", Real: "session[up]real"}); err != nil {
		t.Fatal(err)
	}
	other := new(session.Live)
	if _, err := s.Hold(t.Context(), other, func() (*upstream, error) { return u, nil }); err != nil {
		t.Fatal(err)
	}
	close(u.gone)
	if l := <-s.lost; l != s.live {
		t.Error("another client is lost")
	}
	if _, err := s.Hold(t.Context(), s.live, nil); !errors.Is(err, owned.ErrGone) {
		t.Errorf("the client goes on: %v", err)
	}
	next := newUpstream()
	got, err := s.Hold(t.Context(), other, func() (*upstream, error) { return next, nil })
	if err != nil || got != next {
		t.Errorf("a client that owned nothing stays on a dead session: %v", err)
	}
	select {
	case l := <-s.lost:
		t.Errorf("%p is lost too", l)
	default:
	}
}

func TestTheOldestOfTooManyUnfinishedRetrievalsEnds(t *testing.T) {
	s, u := newScene(), newUpstream()
	var removed []string
	for n := range 20 {
		_, old, err := s.AddToken(s.live, u, object{Real: fmt.Sprint(n), Via: "reader"})
		if err != nil {
			t.Fatal(err)
		}
		if old != nil {
			removed = append(removed, old.Real)
		}
	}
	if fmt.Sprint(removed) != "[0 1 2 3]" {
		t.Errorf("removed are %v", removed)
	}
}

func TestAnObjectThatCannotBeRegisteredIsNotOwned(t *testing.T) {
	s, u := newScene(), newUpstream()
	s.hold(t, u)
	s.registry.err = errors.New("too many")
	if _, err := s.Add(s.live, object{Type: "ListView", Real: "session[up]real"}); err == nil {
		t.Error("no error")
	}
	s.Release(s.live)
	if u.add(0) != 0 || s.Owns(s.live) {
		t.Error("the client owns something")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Hold(ctx, s.live, func() (*upstream, error) { return nil, ctx.Err() }); err == nil {
		t.Error("no error")
	}
}
