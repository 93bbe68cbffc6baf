package budget

import (
	"context"
	"errors"
	"testing"
)

// enter waits for a turn beside the test, once it is known to be in the queue.
func enter(t *testing.T, turns *Turns, ctx context.Context, who string) <-chan error {
	t.Helper()
	p, err := turns.join(who)
	if err != nil || p == nil {
		t.Fatalf("got place %v, %v, want a place in the queue", p, err)
	}
	got := make(chan error, 1)
	go func() {
		select {
		case <-p.turn:
			got <- nil
		case <-ctx.Done():
			if !turns.giveUp(who, p) {
				turns.Leave()
			}
			got <- ctx.Err()
		}
	}()
	return got
}

func TestPrincipalsTakeTurnsHoweverManyRequestsOneHas(t *testing.T) {
	turns := NewTurns(1)
	if err := turns.Enter(t.Context(), "eve"); err != nil {
		t.Fatal(err)
	}
	var eve []<-chan error
	for range 10 {
		eve = append(eve, enter(t, turns, t.Context(), "eve"))
	}
	ann := enter(t, turns, t.Context(), "ann")
	if !turns.Contended() {
		t.Error("nobody waits")
	}
	turns.Leave()
	<-eve[0]
	turns.Leave()
	if err := <-ann; err != nil { // second in turn, and not eleventh
		t.Fatal(err)
	}
	for _, e := range eve[1:] {
		turns.Leave()
		<-e
	}
	turns.Leave()
	if running, waiting := turns.Load(); running != 0 || waiting != 0 || turns.Contended() || len(turns.queues) != 0 {
		t.Errorf("%d run and %d wait", running, waiting)
	}
}

func TestOnePrincipalsQueueIsBounded(t *testing.T) {
	turns := NewTurns(1)
	if err := turns.Enter(t.Context(), "eve"); err != nil {
		t.Fatal(err)
	}
	for range maxWaitingEach {
		enter(t, turns, t.Context(), "eve")
	}
	if err := turns.Enter(t.Context(), "eve"); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	for i := range maxWaiting - maxWaitingEach {
		enter(t, turns, t.Context(), "other "+string(rune(0x4e00+i)))
	}
	if err := turns.Enter(t.Context(), "ann"); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestARequestThatGoesLeavesTheQueueAndPassesItsTurnOn(t *testing.T) {
	turns := NewTurns(1)
	if err := turns.Enter(t.Context(), "eve"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- turns.Enter(ctx, "eve") }()
	ann := enter(t, turns, t.Context(), "ann")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	turns.Leave()
	if err := <-ann; err != nil {
		t.Error(err)
	}
	turns.Leave()
	if running, waiting := turns.Load(); running != 0 || waiting != 0 {
		t.Errorf("%d run and %d wait", running, waiting)
	}
}
