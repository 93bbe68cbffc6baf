//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
	"github.com/vigate/vigate/bench/token"
)

// tokens measures P11: the methods of logins by tokens and tickets, and reads during a flood of hostile
// tokens.
func tokens(ctx context.Context, r *rig) ([]figure.Figure, error) {
	var all []figure.Figure
	for _, m := range []struct {
		what, path, benchmark string
		logins                int
		most                  float64 // ms
	}{
		{"SAML bearer token", "internal/login/samltoken", "^BenchmarkBearerLogin$", 1000, 2},
		{"Kerberos ticket", "internal/login/sspi", "^BenchmarkLogin$", 2000, 1},
		{"JWT", "internal/login/jwt", "^BenchmarkLogin$/^RS256$", 4000, 0.5},
	} {
		var took figure.Series
		for range r.Rounds {
			d, err := token.Cost(ctx, "..", r.dir, m.path, m.benchmark, m.logins)
			if err != nil {
				return nil, err
			}
			took = append(took, d.Seconds()*1000)
		}
		all = append(all, figure.Figure{ID: "P11", What: "login by " + m.what + " besides the commit, processor",
			Unit: "ms", Vigate: took, Goal: figure.AtMost(m.most)})
	}
	flood, err := r.hostile(ctx)
	return append(all, flood...), err
}

// hostile compares P1 during a flood of hostile tokens with P1 on an idle server. No address is locked.
func (r *rig) hostile(ctx context.Context) ([]figure.Figure, error) {
	file, err := token.Issuer(r.dir)
	if err != nil {
		return nil, err
	}
	s, err := r.launchVigate("tokens", "--config", file, "--lockout-address-failures", "1000000",
		"--log-level", "error")
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	own, err := login(ctx, s)
	if err != nil {
		return nil, err
	}
	var idle, flooded, refused figure.Series
	for range r.Rounds {
		v, err := r.measure(ctx, s, s.target(), 16, readSession(own))
		if err != nil {
			return nil, err
		}
		idle = append(idle, v.rate)
		floodCtx, stop := context.WithCancel(ctx)
		var n atomic.Int64
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- floodTokens(floodCtx, s, &n) }()
		v, err = r.measure(ctx, s, s.target(), 16, readSession(own))
		stop()
		if err := errors.Join(err, <-done); err != nil {
			return nil, err
		}
		flooded = append(flooded, v.rate)
		refused = append(refused, float64(n.Load())/time.Since(began).Seconds())
	}
	return []figure.Figure{{ID: "P11", What: "P1 c=16 while 16 clients send hostile tokens", Unit: "req/s", Floor: idle,
		Vigate: flooded, Against: "idle", Ratio: flooded.Over(idle), Goal: figure.AtLeast(0.5),
		Note: fmt.Sprintf("idle in the floor's column; %s tokens/s of 46 kB refused", figure.Number(refused.Median()))},
	}, r.stop(s)
}

// floodTokens sends hostile tokens until ctx ends, and counts the refused ones.
func floodTokens(ctx context.Context, s *server, refused *atomic.Int64) error {
	requests := token.Hostile()
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			c, err := load.Dial(ctx, s.target())
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			errs[i] = c.Deadline(time.Now().Add(5 * time.Minute))
			for errs[i] == nil && ctx.Err() == nil {
				var a load.Answer
				if a, errs[i] = c.Do(requests[i%len(requests)]); errs[i] != nil {
					return
				}
				switch a.Status {
				case http.StatusUnauthorized, http.StatusInternalServerError: // in the Automation API, and in SOAP
					refused.Add(1)
				case http.StatusServiceUnavailable:
				default:
					errs[i] = fmt.Errorf("send hostile token: status %d", a.Status)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
