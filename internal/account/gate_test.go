package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func (r *round[T]) len() int { return r.fresh.Len() + r.again.Len() }

// empty checks that the gate keeps nothing of callers that have left.
func empty(t *testing.T, g *gate) {
	t.Helper()
	if g.running != 0 || g.waiting() != 0 {
		t.Errorf("left over: %d running, %d waiting", g.running, g.waiting())
	}
	for _, q := range []*queue{&g.front, &g.behind} {
		if len(q.networks) != 0 || q.turns.len() != 0 {
			t.Errorf("left over: networks %v", q.networks)
		}
	}
}

func TestHashesWaitForAShortTimeAndInAShortQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2, 2*time.Second, pressure{})
		leave, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var late sync.WaitGroup
		for range 2 {
			late.Go(func() {
				if _, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann"); !errors.Is(err, ErrBusy) ||
					time.Since(start) != 2*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		}
		synctest.Wait()
		if _, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann"); !errors.Is(err, ErrBusy) ||
			time.Since(start) != 0 {
			t.Errorf("a full queue: %v after %v", err, time.Since(start))
		}
		late.Wait()

		ctx, hangUp := context.WithCancel(t.Context())
		var gone, next sync.WaitGroup
		gone.Go(func() {
			if _, err := g.enter(ctx, Caller{Network: "ann"}, "ann"); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller who hung up: %v", err)
			}
		})
		synctest.Wait()
		hangUp()
		gone.Wait()
		next.Go(func() {
			leave, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann")
			if err != nil {
				t.Errorf("when it is its turn: %v", err)
				return
			}
			leave()
		})
		synctest.Wait()
		leave()
		next.Wait()
		empty(t, g)
		if g.refused != 3 || g.hashes != 6 {
			t.Errorf("%d of %d hashes refused", g.refused, g.hashes)
		}
	})
}

// ask requests a turn for the name, from a network of the same name. It returns when the turn has come, was
// refused, or is waiting, and appends the outcome to line.
func ask(t *testing.T, g *gate, who string, line *[]string, wg *sync.WaitGroup) {
	t.Helper()
	askFrom(t, g, Caller{Network: who}, who, line, wg)
}

func askFrom(t *testing.T, g *gate, from Caller, who string, line *[]string, wg *sync.WaitGroup) {
	t.Helper()
	wg.Go(func() {
		switch _, err := g.enter(t.Context(), from, who); {
		case err == nil:
			*line = append(*line, who) // no race: the gate has one core, so one caller at a time has a turn
		case errors.Is(err, ErrBusy):
			*line = append(*line, who+" refused")
		default:
			t.Error(err)
		}
	})
	synctest.Wait()
}

func TestWhoFloodsTheGateStandsInItsOwnWayOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 4, time.Minute, pressure{})
		var line []string
		var wg sync.WaitGroup
		for range 6 { // one enters, four wait, one is refused
			ask(t, g, "mallory", &line, &wg)
		}
		ask(t, g, "ann", &line, &wg) // displaces one of mallory's
		ask(t, g, "bob", &line, &wg)
		ask(t, g, "mallory", &line, &wg) // mallory has as many places as any caller that could be displaced
		for range 5 {
			g.next()
			synctest.Wait()
		}
		wg.Wait()
		want := []string{
			"mallory", "mallory refused", "mallory refused", "mallory refused", "mallory refused",
			"mallory", "ann", "bob", "mallory",
		}
		if !slices.Equal(line, want) {
			t.Errorf("turns: %q, want %q", line, want)
		}
		empty(t, g)
		if g.refused != 4 {
			t.Errorf("%d refused", g.refused)
		}
	})
}

func TestANewcomerHasTheNextTurnWhileAnotherNetworkAlwaysWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 16, time.Minute, pressure{})
		var line []string
		var wg sync.WaitGroup
		for range 8 { // one is served, seven wait
			ask(t, g, "mallory", &line, &wg)
		}
		serve(g, 2) // now mallory has had turns from the queue
		for _, who := range []string{"ann", "bob", "eve"} {
			ask(t, g, who, &line, &wg)
			serve(g, 1)
		}
		serve(g, 5)
		wg.Wait()
		want := []string{
			"mallory", "mallory", "mallory", "ann", "bob", "eve", "mallory", "mallory", "mallory", "mallory", "mallory",
		}
		if !slices.Equal(line, want) {
			t.Errorf("turns: %q, want %q", line, want)
		}
		serve(g, 1)
		empty(t, g)
	})
}

func TestNewcomersDoNotShutOutThoseThatWaitedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 16, time.Minute, pressure{})
		var line []string
		var wg sync.WaitGroup
		for range 4 {
			ask(t, g, "ann", &line, &wg)
		}
		serve(g, 1)
		for i := range 8 { // another newcomer before each turn
			ask(t, g, fmt.Sprint("new ", i), &line, &wg)
			serve(g, 1)
		}
		if n := slices.Index(line[2:], "ann"); n < 0 || n > maxAhead {
			t.Errorf("turns: %q: ann waits for more than %d newcomers", line, maxAhead)
		}
		for g.waiting() > 0 {
			serve(g, 1)
		}
		wg.Wait()
		serve(g, 1)
		empty(t, g)
	})
}

// serve lets n waiting callers have their turns, one after the other.
func serve(g *gate, n int) {
	for range n {
		g.next()
		synctest.Wait()
	}
}

func TestWhoMakesNamesUpOnOneNetworkStandsInTheWayOfThatNetworkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue = 64
		g := newGate(1, queue, time.Minute, pressure{})
		var line []string
		var wg sync.WaitGroup
		mallory, home := Caller{Network: "198.51.100.66"}, Caller{Network: "192.0.2.1"}
		for i := range 1 + queue + 100 {
			askFrom(t, g, mallory, fmt.Sprintf("made up %d", i), &line, &wg)
		}
		if len(line) != 101 { // one is served, 100 are refused
			t.Fatalf("%d of the flood are answered", len(line))
		}
		line = nil
		askFrom(t, g, home, "ann", &line, &wg)
		askFrom(t, g, home, "bob", &line, &wg)
		askFrom(t, g, mallory, "one more", &line, &wg)
		if want := []string{"made up 64 refused", "made up 63 refused", "one more refused"}; !slices.Equal(line, want) {
			t.Errorf("refused: %q, want %q", line, want)
		}
		line = nil
		serve(g, 4) // one of the flood, ann, one of the flood, bob
		if want := []string{"made up 1", "ann", "made up 2", "bob"}; !slices.Equal(line, want) {
			t.Errorf("turns: %q, want %q", line, want)
		}
		serve(g, 1+queue-4)
		wg.Wait()
		empty(t, g)
	})
}

func TestNamesOfOneNetworkTakeTurnsAndTheOneWithMostPlacesLosesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 4, time.Minute, pressure{})
		var line []string
		var wg sync.WaitGroup
		office := Caller{Network: "203.0.113.1"}
		for _, who := range []string{"mallory", "mallory", "mallory", "mallory", "mallory", "ann", "bob", "mallory"} {
			askFrom(t, g, office, who, &line, &wg)
		}
		serve(g, 5)
		wg.Wait()
		want := []string{
			"mallory", "mallory refused", "mallory refused", "mallory refused",
			"mallory", "ann", "bob", "mallory",
		}
		if !slices.Equal(line, want) {
			t.Errorf("turns: %q, want %q", line, want)
		}
		empty(t, g)
	})
}

func TestWhoIsBehindHasATurnOnlyWhenNobodyElseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 4, time.Minute, pressure{})
		var line []string
		var wg sync.WaitGroup
		locked := func(i int) Caller { return Caller{Network: fmt.Sprint("198.51.100.", i), Behind: true} }
		for i := range 5 { // the first one enters, since nobody waits
			askFrom(t, g, locked(i), fmt.Sprint("locked ", i), &line, &wg)
		}
		askFrom(t, g, locked(9), "locked 9", &line, &wg) // no better right to a place than the others
		for _, who := range []string{"ann", "bob", "carol", "dave"} {
			ask(t, g, who, &line, &wg) // displaces one that is behind
		}
		askFrom(t, g, locked(0), "locked 0 again", &line, &wg)
		ask(t, g, "eve", &line, &wg) // all places are taken by callers that are not behind
		serve(g, 1)
		askFrom(t, g, locked(1), "locked 1 again", &line, &wg)
		ask(t, g, "frank", &line, &wg)
		serve(g, 1+4)
		wg.Wait()
		want := []string{
			"locked 0", "locked 9 refused",
			"locked 4 refused", "locked 3 refused", "locked 2 refused", "locked 1 refused",
			"locked 0 again refused", "eve refused",
			"ann", "locked 1 again refused", "bob", "carol", "dave", "frank",
		}
		if !slices.Equal(line, want) {
			t.Errorf("turns: %q, want %q", line, want)
		}
		empty(t, g)
	})
}

func TestATurnThatComesAsItsCallerGoesIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 4, time.Minute, pressure{})
		for range 1000 {
			leave, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann")
			if err != nil {
				t.Fatal(err)
			}
			ctx, hangUp := context.WithCancel(t.Context())
			var gone sync.WaitGroup
			gone.Go(func() {
				if leave, err := g.enter(ctx, Caller{Network: "bob"}, "bob"); err == nil {
					leave()
				}
			})
			synctest.Wait()
			gone.Go(hangUp)
			gone.Go(leave)
			gone.Wait()
		}
		empty(t, g)
	})
}

func TestHashingKeepsToAQuarterOfTheMachineWhileThereIsOtherWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Uint64
		g := newGate(4, 100, time.Minute, pressure{requests: requests.Load, now: time.Now})
		m := &Manager{gate: g}
		// during makes 40 logins a second for half a second, and other requests beside them.
		during := func(others uint64) (slots int) {
			for range 20 {
				requests.Add(1 + others)
				leave, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann")
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(25 * time.Millisecond)
				leave()
			}
			return m.Load().Slots
		}
		for _, step := range []struct {
			what   string
			others uint64
			want   int
		}{
			{"logins alone", 0, 4},
			{"logins with what comes with a login", 4, 4},
			{"logins beside reads", 20, 2},
			{"logins alone again", 0, 4},
		} {
			if got := during(step.others); got != step.want {
				t.Errorf("%s: %d slots, want %d", step.what, got, step.want)
			}
		}
		<-time.After(time.Minute) // all have rested
		during(20)
		<-time.After(25 * time.Millisecond)
		var wg sync.WaitGroup
		began, ends := time.Now(), make(chan time.Duration, 4)
		for range 4 {
			wg.Go(func() {
				leave, err := g.enter(t.Context(), Caller{Network: "ann"}, "ann")
				if err != nil {
					t.Error(err)
					return
				}
				<-time.After(25 * time.Millisecond)
				leave()
				ends <- time.Since(began)
			})
		}
		synctest.Wait()
		if l := m.Load(); l.Running != 2 || l.Waiting != 2 {
			t.Errorf("under pressure: %+v", l)
		}
		wg.Wait()
		close(ends)
		for end := range ends { // two hash and rest for the same time, then the other two hash
			if end != 25*time.Millisecond && end != 75*time.Millisecond {
				t.Errorf("a hash under pressure ended after %v", end)
			}
		}
		<-time.After(25 * time.Millisecond)
		empty(t, g)

		<-time.After(time.Hour)
		requests.Add(1_000_000)
		if got := m.Load().Slots; got != 4 {
			t.Errorf("after an hour of reads and no login: %d slots, which tells nothing of now", got)
		}
	})
}

func TestRefusedLoginsAreNoReasonToHashMore(t *testing.T) {
	now := time.Now()
	var requests uint64
	p := pressure{requests: func() uint64 { return requests }, now: func() time.Time { return now }}
	p.high(0, 0)
	now = now.Add(pressureEvery)
	requests = 1100 // 1,000 refused logins and 100 reads
	if !p.high(1000, 1000) {
		t.Error("reads are overlooked among refused logins")
	}
}
