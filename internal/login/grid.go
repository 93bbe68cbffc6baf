package login

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The bounds of logins with a Delayed credential that are checked or wait for their answer. A login that
// waits holds its request, and nothing else. docs/operations.md lists them.
const (
	maxDelayed        = 8192 // in all
	maxNetworkDelayed = 2048 // of one network
)

// grid delays the answers to failed logins to fixed times: whole multiples of a period after the request
// arrived. So the time of an answer does not tell which source refused the credential, nor why.
//
// A failed login waits after it was decided, counted and posted: it holds no lock and no turn. The number of logins
// is bounded before they are checked. A bound on waiting logins would reveal which of the refused logins had failed.
type grid struct {
	every time.Duration // 0: answers are not delayed
	now   func() time.Time
	wait  func(context.Context, time.Duration) error

	mu       sync.Mutex // guards what follows
	total    int
	networks map[string]int // logins by network
}

// enter admits a login, or returns ErrBusy. The caller must call leave when the login is answered.
func (g *grid) enter(network string) (leave func(), _ error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxDelayed || g.networks[network] >= maxNetworkDelayed {
		return nil, fmt.Errorf("log in: too many at once: %w", ErrBusy)
	}
	g.total++
	g.networks[network]++
	return func() { g.leave(network) }, nil
}

func (g *grid) leave(network string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.networks[network]--; g.networks[network] == 0 {
		delete(g.networks, network)
	}
}

// delay waits for the next time of an answer to a request that arrived then, or until ctx ends.
func (g *grid) delay(ctx context.Context, arrived time.Time) {
	took := max(g.now().Sub(arrived), 0)
	if took > 0 && took%g.every == 0 {
		return
	}
	_ = g.wait(ctx, g.every-took%g.every) // if ctx ends, nobody waits for the answer
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
