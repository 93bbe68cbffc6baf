//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/vigate/vigate/bench/figure"
	"github.com/vigate/vigate/bench/load"
)

// The cost of a password's hash in vigate.
const (
	hashTime   = 2
	hashMemory = 19 * 1024 // KiB
	hashLanes  = 1
	hashKey    = 32
)

func hashOnce() {
	argon2.IDKey([]byte(adminPassword), make([]byte, 16), hashTime, hashMemory, hashLanes, hashKey)
}

// bareHashes returns the number of hashes per second that all cores compute if they do nothing
// else.
func bareHashes(d time.Duration) float64 {
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range runtime.NumCPU() {
		wg.Go(func() {
			for time.Since(began) < d {
				hashOnce()
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

// bareHash returns the time of one hash on an idle machine, in seconds.
func bareHash() float64 {
	var all figure.Series
	for range 5 {
		began := time.Now()
		hashOnce()
		all = append(all, time.Since(began).Seconds())
	}
	return all.Median()
}

// loggers is the number of concurrent logins. It is enough to keep every core busy.
var loggers = 4 * runtime.NumCPU()

// stormers is the number of concurrent logins of a storm. It is more than the queue for hashes
// holds.
const stormers = 128

// outcome counts the results of a storm's attempts.
type outcome struct{ in, refused atomic.Int64 }

// storm logs in repeatedly until ctx ends. An overloaded server may answer 503 with a time after
// which to try again, which storm obeys.
func storm(ctx context.Context, s *server, request []byte, o *outcome) error {
	errs := make([]error, stormers)
	var wg sync.WaitGroup
	for i := range stormers {
		wg.Go(func() {
			c, err := load.Dial(ctx, s.target())
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			errs[i] = c.Deadline(time.Now().Add(5 * time.Minute))
			for errs[i] == nil && ctx.Err() == nil {
				errs[i] = o.attempt(ctx, c, request)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (o *outcome) attempt(ctx context.Context, c *load.Conn, request []byte) error {
	a, err := c.Do(request)
	if err != nil {
		return err
	}
	switch a.Status {
	case http.StatusOK:
		o.in.Add(1)
	case http.StatusServiceUnavailable:
		o.refused.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(a.RetryAfter):
		}
	default:
		return fmt.Errorf("log in: status %d", a.Status)
	}
	return nil
}

// logins measures P8.
func logins(ctx context.Context, r *rig) ([]figure.Figure, error) {
	if err := r.basic(ctx); err != nil {
		return nil, err
	}
	d := 2 * r.Duration // longer, because hashes are slow
	var bare, rates, idle, stormy, in figure.Series
	for range r.Rounds {
		bare = append(bare, bareHashes(d))
		res, err := load.Run(ctx, load.Config{Target: r.vigate.target(), Conns: loggers, Warm: r.Warm, Duration: d},
			load.Requests(loginRequest(), http.StatusOK))
		if err != nil {
			return nil, fmt.Errorf("log in: %w", err)
		}
		rates = append(rates, res.Rate)
	}
	var refused figure.Series
	for range r.Rounds {
		v, err := r.measure(ctx, r.vigate, r.vigate.target(), 16, readSession(r.token))
		if err != nil {
			return nil, err
		}
		idle = append(idle, v.rate)
		var o outcome
		began := time.Now()
		if v, err = r.underStorm(ctx, &o); err != nil {
			return nil, err
		}
		took := time.Since(began).Seconds()
		stormy = append(stormy, v.rate)
		in, refused = append(in, float64(o.in.Load())/took), append(refused, float64(o.refused.Load())/took)
	}
	return []figure.Figure{
		{ID: "P8", What: fmt.Sprintf("password login c=%d, against bare Argon2id", loggers), Unit: "logins/s",
			Floor: bare, Vigate: rates, Against: "floor", Ratio: rates.Over(bare), Goal: figure.AtLeast(0.95)},
		{ID: "P8", What: fmt.Sprintf("P1 c=16 while %d clients log in without end", stormers), Unit: "req/s",
			Floor: idle, Vigate: stormy, Against: "idle", Ratio: stormy.Over(idle), Goal: figure.AtLeast(0.5),
			Note: fmt.Sprintf("idle in the floor's column; %s logins/s got in, %s were told to come back",
				figure.Number(in.Median()), figure.Number(refused.Median()))},
	}, nil
}

// underStorm measures P1 during a storm.
func (r *rig) underStorm(ctx context.Context, o *outcome) (sample, error) {
	stormCtx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- storm(stormCtx, r.vigate, loginRequest(), o) }()
	v, err := r.measure(ctx, r.vigate, r.vigate.target(), 16, readSession(r.token))
	stop()
	return v, errors.Join(err, <-done)
}
