package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// held is a store whose commits of new sessions can wait for each other. So several logins claim their
// places before any of them is written. A hook is called before each commit that ends a session.
type held struct {
	store.Store

	mu   sync.Mutex // guards the fields below
	meet int        // commits of new sessions that are still to wait
	all  chan struct{}
	end  func() error // if set, called before the end of a session is committed
}

func hold(s store.Store) *held { return &held{Store: s} }

// next makes the next n commits of new sessions wait until there are n of them.
func (h *held) next(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.meet, h.all = n, make(chan struct{})
}

func (h *held) onEnd(f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end = f
}

func (h *held) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	for _, c := range changes {
		if c.Record.Kind != store.Session {
			continue
		}
		h.mu.Lock()
		wait, end := h.meet > 0, h.end
		all := h.all
		if c.Op == store.OpPut && wait {
			if h.meet--; h.meet == 0 {
				close(all)
			}
		}
		h.mu.Unlock()
		switch {
		case c.Op == store.OpPut && wait:
			<-all
		case c.Op == store.OpDelete && end != nil:
			if err := end(); err != nil {
				return 0, err
			}
		}
	}
	return h.Store.Commit(ctx, changes...)
}

// nodes are two managers with limits over one store.
type nodes struct {
	a, b  *fixture
	store *held
}

func newNodes(t *testing.T, all, each int) *nodes {
	t.Helper()
	c := newClock()
	h := hold(storetest.NewMemory(c.Now))
	n := &nodes{newFixture(t, h, c), newFixture(t, h, c), h}
	for _, f := range []*fixture{n.a, n.b} {
		f.policy.MaxSessions, f.policy.MaxPerPrincipal = all, each
	}
	return n
}

// sync waits until each node has applied the commits of both.
func (n *nodes) sync(t *testing.T) {
	t.Helper()
	for _, f := range []*fixture{n.a, n.b} {
		if err := f.mirror.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

type started struct {
	l     *Live
	token Token
	err   error
}

// race starts the grants at the same time: the first on node a, the second on node b, and so on.
func (n *nodes) race(ctx context.Context, grants ...Grant) []started {
	n.store.next(len(grants))
	got := make([]started, len(grants))
	var wg sync.WaitGroup
	for i, g := range grants {
		f := []*fixture{n.a, n.b}[i%2]
		wg.Go(func() { got[i].l, got[i].token, got[i].err = f.Start(ctx, g) })
	}
	wg.Wait()
	return got
}

func limitOf(err error) string {
	var limit *LimitError
	if errors.As(err, &limit) {
		return fmt.Sprintf("%s %d of %d", limit.Limit, limit.Live, limit.Max)
	}
	return fmt.Sprint(err)
}

func TestOfTwoNodesThatRaceForTheLastPlaceOneGetsIt(t *testing.T) {
	for what, limits := range map[string][2]int{"all": {3, 100}, "each": {100, 3}} {
		t.Run(what, func(t *testing.T) {
			n := newNodes(t, limits[0], limits[1])
			n.a.start(t, "alice")
			n.b.start(t, "alice")
			n.sync(t)
			for range 20 {
				got := n.race(t.Context(), named("alice"), named("alice"))
				won, lost := got[0], got[1]
				if won.err != nil {
					won, lost = lost, won
				}
				want := map[string]string{"all": "sessions 3 of 3", "each": "user 3 of 3"}[what]
				if won.err != nil || limitOf(lost.err) != want {
					t.Fatalf("%v and %v, want one session and %q", got[0].err, got[1].err, want)
				}
				if lost.l != nil || !lost.token.IsZero() {
					t.Error("who was refused got a session")
				}
				n.sync(t)
				for _, f := range []*fixture{n.a, n.b} {
					if f.Size() != 3 || !f.live(won.token) {
						t.Errorf("%d sessions, the winner's among them: %t", f.Size(), f.live(won.token))
					}
				}
				if err := n.a.End(t.Context(), n.a.found(won.token.Reveal()), event.Event{Type: "test"}); err != nil {
					t.Fatal(err)
				}
				n.sync(t)
			}
			if in, out := len(n.a.posted("UserLoginSessionEvent")),
				len(n.a.posted("UserLogoutSessionEvent")); in != 42 || out != 20 {
				t.Errorf("%d logins and %d logouts posted, want 42 and the 20 of those that stepped back", in, out)
			}
		})
	}
}

func TestManyLoginsOnTwoNodesNeverExceedTheLimits(t *testing.T) {
	for what, c := range map[string]struct{ all, each, least, most int }{
		"one limit": {10, 100, 10, 10},
		// A login that the limit per user refuses counts against the limit of all until it is rolled back.
		"both": {10, 6, 6, 10},
	} {
		t.Run(what, func(t *testing.T) {
			n := newNodes(t, c.all, c.each)
			var grants []Grant
			for i := range 16 { // each node gets no more than it would accept alone
				grants = append(grants, named([]string{"alice", "bob"}[i/2%2]))
			}
			in := 0
			for _, s := range n.race(t.Context(), grants...) {
				var limit *LimitError
				if s.err == nil {
					in++
				} else if !errors.As(s.err, &limit) {
					t.Error(s.err)
				}
			}
			n.sync(t)
			if in < c.least || in > c.most || n.a.Size() != in || n.b.Size() != in {
				t.Errorf("%d got in, the nodes have %d and %d; want %d to %d", in, n.a.Size(), n.b.Size(), c.least,
					c.most)
			}
		})
	}
}

func TestATicketIsGivenBackWhenItsSessionWasBeyondTheLimit(t *testing.T) {
	n := newNodes(t, 100, 2)
	l, _ := n.a.start(t, "alice")
	n.sync(t)
	var texts []secret.Text
	var grants []Grant
	for _, f := range []*fixture{n.a, n.b} {
		text, err := f.AcquireCloneTicket(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		g, err := f.CloneGrant(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		texts, grants = append(texts, text), append(grants, g)
	}
	n.a.clock.Advance(time.Minute)
	got := n.race(t.Context(), grants...)
	won, lost := 0, 1
	if got[0].err != nil {
		won, lost = 1, 0
	}
	if got[won].err != nil || limitOf(got[lost].err) != "user 2 of 2" {
		t.Fatalf("%v and %v", got[0].err, got[1].err)
	}
	n.sync(t) // a node may not know yet what the other has committed
	if _, err := n.a.CloneGrant(t.Context(), texts[won]); !errors.Is(err, ErrBadTicket) {
		t.Errorf("the spent ticket: %v", err)
	}
	again, err := n.b.CloneGrant(t.Context(), texts[lost])
	if err != nil {
		t.Fatalf("the ticket given back: %v", err)
	}
	was, is := grants[lost].Tickets[0], again.Tickets[0]
	if was.ID != is.ID || string(was.Value) != string(is.Value) || !was.Expires.Equal(is.Expires) {
		t.Errorf("given back as %+v, was %+v", is, was)
	}
	if err := n.a.End(t.Context(), n.a.found(got[won].token.Reveal()), event.Event{Type: "test"}); err != nil {
		t.Fatal(err)
	}
	n.sync(t)
	if _, _, err := n.b.Start(t.Context(), again); err != nil {
		t.Errorf("there is room, and the ticket was given back: %v", err)
	}
	n.sync(t)
	if _, err := n.a.CloneGrant(t.Context(), texts[lost]); !errors.Is(err, ErrBadTicket) {
		t.Errorf("the ticket after it was spent: %v", err)
	}
}

func TestExpiredSessionsMakeRoomForOneBeyondTheLimit(t *testing.T) {
	n := newNodes(t, 2, 2)
	n.a.start(t, "alice")
	n.sync(t)
	n.a.clock.Advance(time.Hour)
	for i, s := range n.race(t.Context(), named("alice"), named("alice")) {
		if s.err != nil {
			t.Errorf("login %d: %v", i, s.err)
		}
	}
	n.sync(t)
	if n.a.Size() != 2 {
		t.Errorf("%d sessions, want the 2 new ones", n.a.Size())
	}
}

func TestASessionBeyondTheLimitEndsThoughItsCallerIsGone(t *testing.T) {
	n := newNodes(t, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	n.store.onEnd(func() error { cancel(); return nil })
	got := n.race(ctx, named("alice"), named("alice"))
	refused, held := 0, 0
	for _, s := range got {
		switch {
		case s.err == nil:
			held++
		case limitOf(s.err) == "sessions 1 of 1":
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%v and %v, want one at the limit", got[0].err, got[1].err)
	}
	n.sync(t)
	// The second login's caller may give up before this node has seen the login. Then its session is ended too.
	if n.a.Size() != held {
		t.Errorf("%d sessions, and %d are somebody's", n.a.Size(), held)
	}
}

func TestASessionThatCouldNotBeEndedAgainIsNobodysUntilItExpires(t *testing.T) {
	n := newNodes(t, 1, 1)
	n.store.onEnd(func() error { return store.ErrUnavailable })
	got := n.race(t.Context(), named("alice"), named("alice"))
	won, lost := got[0], got[1]
	if won.err != nil {
		won, lost = lost, won
	}
	if won.err != nil || !errors.Is(lost.err, store.ErrUncertain) || !lost.token.IsZero() {
		t.Fatalf("%v and %v", got[0].err, got[1].err)
	}
	n.store.onEnd(nil)
	n.sync(t)
	if n.a.Size() != 2 {
		t.Fatalf("%d sessions, want the one that nobody holds too", n.a.Size())
	}
	if _, _, err := n.a.Start(t.Context(), named("alice")); limitOf(err) != "sessions 2 of 1" {
		t.Errorf("a login meanwhile: %v", err)
	}
	n.a.clock.Advance(time.Hour)
	n.a.start(t, "alice")
	if n.a.Size() != 1 {
		t.Errorf("%d sessions after all expired, want 1", n.a.Size())
	}
}

func TestASessionBeyondTheLimitMayBeEndedByAnother(t *testing.T) {
	n := newNodes(t, 1, 1)
	ended := make(chan error, 1)
	n.store.onEnd(func() error {
		n.store.onEnd(nil)
		// Another caller ends all sessions at this moment.
		_, err := n.a.EndAll(context.Background(), func(*Session) bool { return true }, Logout)
		ended <- err
		return nil
	})
	got := n.race(t.Context(), named("alice"), named("alice"))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, s := range got {
		switch {
		case limitOf(s.err) == "sessions 1 of 1":
			refused++
		case s.err != nil && !errors.Is(s.err, ErrNoSession): // the accepted login may see its end
			t.Error(s.err)
		}
	}
	if refused != 1 {
		t.Errorf("%v and %v, want one at the limit", got[0].err, got[1].err)
	}
	n.sync(t)
	if n.a.Size() != 0 || n.b.Size() != 0 {
		t.Errorf("%d and %d sessions are left", n.a.Size(), n.b.Size())
	}
}

func TestAPlaceIsNotJudgedWhileAStateIsLoaded(t *testing.T) {
	n := newNodes(t, 1, 1)
	table := NewTable(nil)
	policy := *n.a.policy
	late, _ := n.b.start(t, "alice") // the snapshot contains its record later
	key, err := newKey(n.a.random)
	if err != nil {
		t.Fatal(err)
	}
	c, err := table.reserve(key, late.Session().Identity.Name.Key(), policy)
	if err != nil {
		t.Fatal(err)
	}
	record := func(k Key) store.Record {
		s := late.Session()
		s.Key = k
		s.token[0] ^= k[0]
		return store.Record{Kind: store.Session, ID: k.String(), Value: s.encode(), Revision: 1}
	}
	table.reset()
	table.put(record(key))
	if table.fits(c) {
		t.Error("judged to fit by a part of the state")
	}
	table.put(record(late.Key()))
	table.whole()
	if limit := table.exceeded(c.owner, policy); limit == nil {
		t.Error("two sessions are within a limit of one")
	}
}

func TestALimitLoweredBelowWhatThereIsEndsNothing(t *testing.T) {
	f := newFixture(t, nil, nil)
	var tokens []Token
	for range 3 {
		_, token := f.start(t, "alice")
		tokens = append(tokens, token)
	}
	f.policy.MaxSessions = 2
	if _, _, err := f.Start(t.Context(), named("bob")); limitOf(err) != "sessions 3 of 2" {
		t.Errorf("a login beyond the new limit: %v", err)
	}
	for _, token := range tokens {
		if !f.live(token) {
			t.Error("a session was ended by a new limit")
		}
	}
}
