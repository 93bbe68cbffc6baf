// Package load is the benchmark's load generator. It opens a number of keep-alive connections, each
// with one request in flight, and measures latencies. The load is the same for every server.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Config configures a run.
type Config struct {
	Target   Target
	Conns    int
	Warm     time.Duration // warm-up before the measured time
	Duration time.Duration // measured time
}

// Step does one unit of measured work on its connection, such as a request.
type Step func() error

// Result describes the work within the measured time.
type Result struct {
	Rate      float64 // steps per second
	Steps     uint64
	Latencies *Histogram // durations of steps
}

// Run opens the connections and repeats the step of each. Before the measured time, prepare creates
// the step of connection i. An error of any step ends the run.
func Run(ctx context.Context, cfg Config, prepare func(i int, c *Conn) (Step, error)) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	steps := make([]Step, cfg.Conns)
	for i := range steps {
		c, err := Dial(ctx, cfg.Target)
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		if err := c.Deadline(time.Now().Add(cfg.Warm + cfg.Duration + time.Minute)); err != nil {
			return Result{}, err
		}
		if steps[i], err = prepare(i, c); err != nil {
			return Result{}, err
		}
	}
	histograms := make([]*Histogram, cfg.Conns)
	from := time.Now().Add(cfg.Warm)
	until := from.Add(cfg.Duration)
	var wg sync.WaitGroup
	for i, step := range steps {
		wg.Go(func() {
			h := new(Histogram)
			histograms[i] = h
			if err := repeat(ctx, step, from, until, h); err != nil {
				cancel(fmt.Errorf("connection %d: %w", i, err))
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	all := new(Histogram)
	for _, h := range histograms {
		all.Merge(h)
	}
	if all.Total() == 0 {
		return Result{}, errors.New("no step ended within the measured time")
	}
	return Result{float64(all.Total()) / cfg.Duration.Seconds(), all.Total(), all}, nil
}

// repeat repeats the step and counts the executions that end within the measured time.
func repeat(ctx context.Context, step Step, from, until time.Time, h *Histogram) error {
	for at := time.Now(); at.Before(until) && ctx.Err() == nil; {
		if err := step(); err != nil {
			return err
		}
		end := time.Now()
		if !end.Before(from) && end.Before(until) {
			h.Add(end.Sub(at))
		}
		at = end
	}
	return nil
}

// Requests returns a prepare function for Run. Its steps send the same request and expect the
// status and a body.
func Requests(request []byte, status int) func(int, *Conn) (Step, error) {
	return func(_ int, c *Conn) (Step, error) {
		return func() error {
			a, err := c.Do(request)
			if err == nil && (a.Status != status || a.Length == 0) {
				err = fmt.Errorf("got status %d with %d bytes", a.Status, a.Length)
			}
			return err
		}, nil
	}
}
