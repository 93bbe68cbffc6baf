package account

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// empty holds a gate to keep nothing of who has gone.
func empty(t *testing.T, g *gate) {
	t.Helper()
	if g.running != 0 || g.waiting != 0 || len(g.queues) != 0 || len(g.turns) != 0 {
		t.Errorf("left over: %d running, %d waiting, queues %v, turns %v", g.running, g.waiting, g.queues, g.turns)
	}
}

func TestHashesWaitForAShortTimeAndInAShortQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2, 2*time.Second, pressure{})
		leave, err := g.enter(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var late sync.WaitGroup
		for range 2 {
			late.Go(func() {
				if _, err := g.enter(t.Context(), "ann"); !errors.Is(err, ErrBusy) || time.Since(start) != 2*time.Second {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		}
		synctest.Wait()
		if _, err := g.enter(t.Context(), "ann"); !errors.Is(err, ErrBusy) || time.Since(start) != 0 {
			t.Errorf("a full queue: %v after %v", err, time.Since(start))
		}
		late.Wait()

		ctx, hangUp := context.WithCancel(t.Context())
		var gone, next sync.WaitGroup
		gone.Go(func() {
			if _, err := g.enter(ctx, "ann"); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller who hung up: %v", err)
			}
		})
		synctest.Wait()
		hangUp()
		gone.Wait()
		next.Go(func() {
			leave, err := g.enter(t.Context(), "ann")
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

// ask asks for a turn, waits until it has come or not, and tells in line.
func ask(t *testing.T, g *gate, who string, line *[]string, wg *sync.WaitGroup) {
	t.Helper()
	wg.Go(func() {
		switch _, err := g.enter(t.Context(), who); {
		case err == nil:
			*line = append(*line, who) // one at a time: the gate has one core
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
		ask(t, g, "ann", &line, &wg) // in place of one of them
		ask(t, g, "bob", &line, &wg)
		ask(t, g, "mallory", &line, &wg) // has as many as would be taken from another
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

func TestATurnThatComesAsItsCallerGoesIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 4, time.Minute, pressure{})
		for range 1000 {
			leave, err := g.enter(t.Context(), "ann")
			if err != nil {
				t.Fatal(err)
			}
			ctx, hangUp := context.WithCancel(t.Context())
			var gone sync.WaitGroup
			gone.Go(func() {
				if leave, err := g.enter(ctx, "bob"); err == nil {
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
		// For half a second 40 logins a second, and others beside them.
		during := func(others uint64) (slots int) {
			for range 20 {
				requests.Add(1 + others)
				leave, err := g.enter(t.Context(), "ann")
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
				leave, err := g.enter(t.Context(), "ann")
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
		for end := range ends { // two hash and rest as long, then the others hash
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
	requests = 1100 // 1,000 logins refused, 100 reads
	if !p.high(1000, 1000) {
		t.Error("reads are overlooked among refused logins")
	}
}
