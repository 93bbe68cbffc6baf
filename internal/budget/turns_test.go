package budget

import (
	"context"
	"errors"
	"testing"
)

// enter starts a goroutine that waits for a turn, and returns when it is in the queue.
func enter(t *testing.T, turns *Turns, ctx context.Context, who string) <-chan error {
	t.Helper()
	p, err := turns.join(who, MaxWaitingEach)
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
				turns.Release()
			}
			got <- ctx.Err()
		}
	}()
	return got
}

func TestPrincipalsTakeTurnsIndependentlyOfTheirNumberOfRequests(t *testing.T) {
	turns := NewTurns(1)
	if err := turns.Acquire(t.Context(), "eve", MaxWaitingEach); err != nil {
		t.Fatal(err)
	}
	var eve []<-chan error
	for range 10 {
		eve = append(eve, enter(t, turns, t.Context(), "eve"))
	}
	ann := enter(t, turns, t.Context(), "ann")
	if !turns.Contended() {
		t.Error("no request waits")
	}
	turns.Release()
	<-eve[0]
	turns.Release()
	if err := <-ann; err != nil { // second in the order of turns, not eleventh
		t.Fatal(err)
	}
	for _, e := range eve[1:] {
		turns.Release()
		<-e
	}
	turns.Release()
	if running, waiting := turns.Load(); running != 0 || waiting != 0 || turns.Contended() || len(turns.queues) != 0 {
		t.Errorf("%d run and %d wait", running, waiting)
	}
}

func TestOnePrincipalsQueueIsBounded(t *testing.T) {
	turns := NewTurns(1)
	if err := turns.Acquire(t.Context(), "eve", MaxWaitingEach); err != nil {
		t.Fatal(err)
	}
	for range MaxWaitingEach {
		enter(t, turns, t.Context(), "eve")
	}
	if err := turns.Acquire(t.Context(), "eve", MaxWaitingEach); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	for i := range maxWaiting - MaxWaitingEach {
		enter(t, turns, t.Context(), "other "+string(rune(0x4e00+i)))
	}
	if err := turns.Acquire(t.Context(), "ann", MaxWaitingEach); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestACancelledRequestLeavesTheQueueAndPassesItsTurnOn(t *testing.T) {
	turns := NewTurns(1)
	if err := turns.Acquire(t.Context(), "eve", MaxWaitingEach); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- turns.Acquire(ctx, "eve", MaxWaitingEach) }()
	ann := enter(t, turns, t.Context(), "ann")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	turns.Release()
	if err := <-ann; err != nil {
		t.Error(err)
	}
	turns.Release()
	if running, waiting := turns.Load(); running != 0 || waiting != 0 {
		t.Errorf("%d run and %d wait", running, waiting)
	}
}
