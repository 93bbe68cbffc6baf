//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/wire"
)

// cycle holds the requests that clone a session of a server.
type cycle struct {
	acquire []byte
	ticket  func([]byte) (string, error)
	clone   func(ticket string) []byte
}

func jsonCycle(token string) cycle {
	return cycle{
		acquire: wire.Post(wire.SessionManager+"AcquireCloneTicket", token, ""),
		ticket:  wire.JSONTicket,
		clone: func(ticket string) []byte {
			return wire.Post(wire.SessionManager+"CloneSession", "", fmt.Sprintf(`{"cloneTicket":%q}`, ticket))
		},
	}
}

func soapCycle(cookie string) cycle {
	return cycle{
		acquire: wire.SOAPMethod(cookie, "AcquireCloneTicket", ""),
		ticket:  wire.SOAPTicket,
		clone: func(ticket string) []byte {
			return wire.SOAPMethod("", "CloneSession", "<cloneTicket>"+ticket+"</cloneTicket>")
		},
	}
}

// step returns a step that does one cycle: it acquires a ticket and clones the session with it. The
// new session exists when the response arrives.
func (y cycle) step(count *atomic.Int64) func(int, *load.Conn) (load.Step, error) {
	return func(_ int, c *load.Conn) (load.Step, error) {
		c.Keep = true
		return func() error {
			a, err := c.Do(y.acquire)
			if err != nil {
				return err
			}
			ticket, err := y.ticket(a.Body)
			if err != nil {
				return fmt.Errorf("acquire ticket: status %d: %w: %.200s", a.Status, err, a.Body)
			}
			if a, err = c.Do(y.clone(ticket)); err != nil {
				return err
			}
			if a.Status != http.StatusOK {
				return fmt.Errorf("clone session: status %d: %.200s", a.Status, a.Body)
			}
			count.Add(1)
			return nil
		}, nil
	}
}

const cloners = 64

// cloneRate returns a server's cycles per second and, for vigate, the number of commits that shared
// a transaction of the store.
func (r *rig) cloneRate(ctx context.Context, s *server, y cycle) (rate, shared float64, err error) {
	var before, after uint64
	if s.data != "" {
		if before, err = s.transactions(); err != nil {
			return 0, 0, err
		}
	}
	var count atomic.Int64
	res, err := load.Run(ctx, load.Config{Target: s.target(), Conns: cloners, Warm: r.Warm, Duration: r.Duration},
		y.step(&count))
	if err != nil {
		return 0, 0, fmt.Errorf("clone sessions of %s: %w", s.name, err)
	}
	if s.data != "" {
		if after, err = s.transactions(); err != nil {
			return 0, 0, err
		}
		shared = 2 * float64(count.Load()) / float64(max(after-before, 1))
	}
	return res.Rate, shared, nil
}

// clones measures P4.
func clones(ctx context.Context, r *rig) ([]figure.Figure, error) {
	if err := r.basic(ctx); err != nil {
		return nil, err
	}
	cookie, err := peerLogin(ctx, r.peer)
	if err != nil {
		return nil, err
	}
	var peer, json, soap, shared figure.Series
	for range r.Rounds {
		rate, _, err := r.cloneRate(ctx, r.peer, soapCycle(cookie))
		if err != nil {
			return nil, err
		}
		peer = append(peer, rate)
		rate, n, err := r.cloneRate(ctx, r.vigate, jsonCycle(r.token))
		if err != nil {
			return nil, err
		}
		json, shared = append(json, rate), append(shared, n)
		if r.soap {
			if rate, _, err = r.cloneRate(ctx, r.vigate, soapCycle(r.token)); err != nil {
				return nil, err
			}
			soap = append(soap, rate)
		}
	}
	if err := r.profileClones(ctx); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("AcquireCloneTicket + CloneSession c=%d, ", cloners)
	all := []figure.Figure{
		{ID: "P4", What: what + "VI JSON", Unit: "cycles/s", Peer: peer, Vigate: json, Against: "peer",
			Ratio: json.Over(peer), Goal: figure.AtLeast(5),
			Note: "the peer over SOAP, in memory"},
		{ID: "P4", What: "commits that share an fsync", Unit: "commits", Vigate: shared, Goal: figure.AtLeast(16)},
	}
	if r.soap {
		all = append(all, figure.Figure{ID: "P4", What: what + "SOAP", Unit: "cycles/s", Peer: peer, Vigate: soap,
			Against: "peer", Ratio: soap.Over(peer)})
	}
	return all, nil
}

func (r *rig) profileClones(ctx context.Context) error {
	if r.Profile == "" {
		return nil
	}
	long := *r
	long.Duration = profileTime
	return long.profile(ctx, r.vigate, "p4", func() error {
		_, _, err := long.cloneRate(ctx, r.vigate, jsonCycle(r.token))
		return err
	})
}
