package serve

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/recheck"
	"github.com/vigate/vigate/internal/store"
)

// The intervals of the periodic tasks. A crash can lose the activity since the last flush. An
// expired session can't be used whether it was swept or not.
const (
	flushEvery  = 2 * time.Second
	sweepEvery  = time.Second
	ticketEvery = 10 * time.Second
	trimEvery   = time.Minute
	sweepLimit  = 1000 // records per sweep
	reportEvery = 5 * time.Minute
	trimRounds  = 1000 // maximum number of sweeps in one task
	tuneEvery   = 5 * time.Second
	keysEvery   = time.Hour
)

// chore is a periodic task.
type chore struct {
	name  string
	every time.Duration
	do    func(context.Context) error
}

// newChecker returns what looks up the users of live sessions again.
func (n *Node) newChecker() *recheck.Checker {
	return &recheck.Checker{
		Sessions: n.Sessions, Sources: n.sources.Recheck(), Since: n.now(), Logger: n.logger,
		Vouched: n.vouched,
	}
}

// vouched reports whether the domain has a source. The password of a user of an upstream is kept nowhere, so the
// sessions of such users end with the server at which they logged in. In a cluster that may be another server.
func (n *Node) vouched(domain string) bool {
	if front, _, ok := (principal.Name{Domain: domain}).Upstream(); ok {
		return n.fresh != nil && slices.ContainsFunc(n.fronts, func(f *frontServer) bool {
			return f.front.PassThrough() && f.front.Name() == front
		})
	}
	return n.Directory.Source(domain) != nil
}

// housekeeping runs the periodic tasks until ctx ends. Each has its own timer, so that a slow task
// does not delay the others.
func (n *Node) housekeeping(ctx context.Context) {
	chores := []chore{
		{"flush activity", flushEvery, n.Sessions.Flush},
		{"sweep sessions", sweepEvery, n.sweepSessions},
		{"sweep tickets", ticketEvery, n.sweepTickets},
		{"report node", cluster.ReportEvery, n.cluster.Report},
		{"trim events", trimEvery, n.trimEvents},
		{"post the counts of failed logins", reportEvery, n.gate.Flush},
		{"end sessions of principals that lost their access", trimEvery, n.resume},
		{"follow the configuration file", reloadEvery, n.reload.look},
		{"report the state to the service manager", statusEvery, n.reportStatus},
		{"look up the users of live sessions", n.sources.RecheckEvery(), n.users.Check},
	}
	if !n.guest {
		chores = append(chores, chore{"change keys of the token service", keysEvery, n.signing.Ensure},
			chore{"tune the garbage collector", tuneEvery, func(context.Context) error { n.gc.Tune(); return nil }})
	}
	var wg sync.WaitGroup
	if !n.guest {
		// Reading the store has produced about as much garbage as live memory.
		wg.Go(debug.FreeOSMemory)
	}
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

// maySweep reports whether this node may end expired records for all nodes, judging by its own
// clock, and how long after their expiry. On a shared store another node may have prolonged a
// record without having reported it yet, and the nodes' clocks differ slightly.
func (n *Node) maySweep() (grace time.Duration, ok bool) {
	if n.fresh == nil {
		return 0, true
	}
	return cluster.MaxSkew, n.fresh() == nil && n.cluster.MayExpire()
}

// sweepSessions sweeps one part of the sessions. It must be called by one goroutine only, because
// it counts the turns.
func (n *Node) sweepSessions(ctx context.Context) error {
	n.sweeps++
	_, err := n.Sessions.SweepTurn(ctx, n.sweeps)
	return err
}

func (n *Node) sweepTickets(ctx context.Context) error {
	if n.local != nil {
		n.local.Sweep()
	}
	// Logins can spend thousands of proofs a second. All of them expire.
	for range trimRounds {
		removed, err := n.sweepRecords(ctx, store.Ticket, store.Spent, store.Node, store.KeptEvent,
			store.Upstream)
		if err != nil || removed < sweepLimit {
			return err
		}
	}
	return nil
}

// sweepRecords removes expired records of the kinds if this node may decide that they have expired.
func (n *Node) sweepRecords(ctx context.Context, kinds ...store.Kind) (int, error) {
	if _, ok := n.maySweep(); !ok {
		return 0, nil
	}
	return n.Mirror.Sweep(ctx, sweepLimit, kinds...)
}

// trimEvents trims events until nothing is left to trim, because logins can post thousands of
// events a second. Expired events are trimmed only if this node may decide that they have expired.
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

// resume finishes work that a crash interrupted.
func (n *Node) resume(ctx context.Context) error {
	return errors.Join(n.Accounts.Resume(ctx), n.Extensions.Resume(ctx))
}
