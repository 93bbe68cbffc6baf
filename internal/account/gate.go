package account

import (
	"context"
	"sync/atomic"
	"time"
)

// gate lets as many hashes be computed at once as there are cores, and some more
// wait for their turn, for a short while. A hash takes all of a core and 19 MiB:
// without a bound strangers could have all of the machine.
type gate struct {
	slots    chan struct{} // one element for each hash being computed
	waiting  atomic.Int64
	limit    int64
	patience time.Duration
}

func newGate(cores int, queue int64, patience time.Duration) *gate {
	return &gate{slots: make(chan struct{}, cores), limit: queue, patience: patience}
}

// enter returns when it is the caller's turn; the caller must call leave. ErrBusy
// where too many wait already or the turn doesn't come in time.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.limit {
		return ErrBusy
	}
	late := time.NewTimer(g.patience)
	defer late.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-late.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.slots }
