package serve

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/store"
)

// How often each chore runs. Activity may be lost by a crash for as long as
// flushing waits; expired sessions are dead at their time whether swept or not.
const (
	flushEvery  = 2 * time.Second
	sweepEvery  = time.Second
	ticketEvery = 10 * time.Second
	trimEvery   = time.Minute
	sweepLimit  = 1000 // records of one sweep
	reportEvery = 5 * time.Minute
	trimRounds  = 1000 // sweeps of one trim of events, at most
	tuneEvery   = 5 * time.Second
)

// housekeeping runs the chores until ctx ends, each on its own clock, so that a
// slow one holds up no other.
func (n *Node) housekeeping(ctx context.Context) {
	chores := []struct {
		name  string
		every time.Duration
		do    func(context.Context) error
	}{
		{"flush activity", flushEvery, n.Sessions.Flush},
		{"sweep sessions", sweepEvery, n.sweepSessions},
		{"sweep tickets", ticketEvery, n.sweepTickets},
		{"report node", cluster.ReportEvery, n.cluster.Report},
		{"trim events", trimEvery, n.trimEvents},
		{"post failed logins that were counted", reportEvery, n.API.Gate.Flush},
		{"tune the garbage collector", tuneEvery, func(context.Context) error { n.gc.tune(); return nil }},
		{"end sessions of those who lost their access", trimEvery, n.resume},
	}
	var wg sync.WaitGroup
	// Reading the store has left about as much garbage as it has filled tables.
	wg.Go(debug.FreeOSMemory)
	for _, c := range chores {
		wg.Go(func() {
			tick := time.NewTicker(c.every)
			defer tick.Stop()
			for {
				if err := c.do(ctx); err != nil && ctx.Err() == nil {
					n.logger.Error("chore failed and will be tried again", "chore", c.name, "err", err)
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Wait()
}

// sweepSessions is called by one goroutine, which counts the turns.
func (n *Node) sweepSessions(ctx context.Context) error {
	n.sweeps++
	_, err := n.Sessions.SweepTurn(ctx, n.sweeps)
	return err
}

func (n *Node) sweepTickets(ctx context.Context) error {
	if n.local != nil {
		n.local.Sweep()
	}
	_, err := n.sweepRecords(ctx, store.Ticket, store.Spent, store.Node, store.KeptEvent)
	return err
}

// sweepRecords removes what has expired, where this node may say so.
func (n *Node) sweepRecords(ctx context.Context, kinds ...store.Kind) (int, error) {
	if _, ok := n.maySweep(); !ok {
		return 0, nil
	}
	return n.Mirror.Sweep(ctx, sweepLimit, kinds...)
}

// trimEvents goes on until nothing is left to trim: logins can post thousands of
// events a second. Events that have expired are trimmed if this node may end what
// has expired by its clock.
func (n *Node) trimEvents(ctx context.Context) error {
	for range trimRounds {
		_, expired := n.maySweep()
		trimmed, err := n.Events.Trim(ctx, n.Mirror, sweepLimit, expired)
		if err != nil || trimmed < sweepLimit {
			return err
		}
	}
	return nil
}

// resume does what a crash has kept an earlier run from doing.
func (n *Node) resume(ctx context.Context) error {
	return errors.Join(n.Accounts.Resume(ctx), n.Extensions.Resume(ctx))
}
