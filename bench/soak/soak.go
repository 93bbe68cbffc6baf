//go:build linux

// Package soak keeps a server under full load for a long time, with every kind of call that creates
// and ends sessions. Its [Report] says whether the server's memory and other resources grow, and
// whether it returned wrong responses.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/bench/load"
)

// Config configures a run.
type Config struct {
	Target load.Target
	Admin  string // address of the listener for metrics
	PID    int
	Store  string // the store's file
	Log    string // the server's log file

	User, Password string // credentials of an administrator
	// Idle is the server's idle timeout of sessions.
	Idle time.Duration

	Duration time.Duration
	// Patience is the maximum time for which the load continues after Duration until every kind of
	// call has happened and there are enough samples.
	Patience time.Duration
	Every    time.Duration // between two samples
	Line     time.Duration // between two lines of Out
	// Clones is the number of sessions that are cloned per second. It is fixed because it
	// determines the number of live sessions: otherwise a machine that becomes faster would look
	// like a server that grows.
	Clones int
	Out    io.Writer
}

// soak is a run.
type soak struct {
	Config
	tally *tally
	ends  chan held // sessions for the administrator to terminate
	began time.Time
}

// settle is how long the server may take, in addition to the lifetime of the sessions, until
// everything that the load has created is gone.
const settle = 3 * time.Minute

// Run runs the load and returns a report, which contains the server's errors. Run returns an error
// only if the run itself fails.
func Run(ctx context.Context, c Config) (*Report, error) {
	s := &soak{Config: c, tally: newTally(), ends: make(chan held, 64)}
	watch, err := newWatch(ctx, c)
	if err != nil {
		return nil, err
	}
	defer watch.close()
	if err := s.empty(ctx, watch); err != nil {
		return nil, fmt.Errorf("wait for earlier sessions to end: %w", err)
	}
	idle, err := watch.sample(ctx)
	if err != nil {
		return nil, err
	}
	rep := &Report{Idle: idle, Tally: s.tally}
	s.say("before the load  %v", idle)
	s.began = time.Now()
	loadCtx, stop := context.WithTimeout(ctx, c.Duration+c.Patience)
	defer stop()
	var wg sync.WaitGroup
	for _, w := range s.workers() {
		wg.Go(func() { w(loadCtx) })
	}
	err = s.observe(loadCtx, watch, rep)
	stop()
	wg.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	s.say("the load has ended; waiting for what it left to end")
	if err := s.empty(ctx, watch); err != nil {
		rep.Left = fmt.Sprintf("sessions did not end: %v", err)
	}
	if rep.After, err = s.quiet(ctx, watch, idle); err != nil {
		return nil, err
	}
	rep.Logged, err = logged(c.Log)
	return rep, err
}

// workers returns the functions that generate the load. Each runs until its context ends.
func (s *soak) workers() []func(context.Context) {
	cores := runtime.NumCPU()
	var all []func(context.Context)
	add := func(n int, w func(context.Context, int)) {
		for i := range n {
			all = append(all, func(ctx context.Context) { w(ctx, i) })
		}
	}
	add(4*cores, s.logger)
	add(cloners, s.cloner)
	add(2*cores, s.reader)
	add(6, s.waiter)
	add(1, s.terminator)
	add(2, s.guesser)
	return all
}

// fewSamples is the minimum number of samples.
const fewSamples = 10

// observe takes samples until the load must end.
func (s *soak) observe(ctx context.Context, w *watch, rep *Report) error {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	line := s.Line
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// The end of the load does not cancel the request, because the server would log that.
		v, err := w.sample(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		v.At = time.Since(s.began)
		rep.Samples = append(rep.Samples, v)
		if v.At >= s.Duration && len(rep.Samples) >= fewSamples && len(s.tally.missing()) == 0 {
			return nil
		}
		if v.At >= line {
			line += s.Line
			s.say("%6s  %v  %s", v.At.Round(time.Second), v, s.tally.line())
		}
	}
}

// empty waits until there are no sessions.
func (s *soak) empty(ctx context.Context, w *watch) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute+s.Idle)
	defer cancel()
	for {
		v, err := w.sample(ctx)
		if err != nil {
			return err
		}
		if v.Sessions == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%.0f sessions remain: %w", v.Sessions, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// quiet waits until the server has no more goroutines and open files than before the load. It
// returns the last sample.
func (s *soak) quiet(ctx context.Context, w *watch, idle Sample) (Sample, error) {
	until := time.Now().Add(settle)
	for {
		v, err := w.sample(ctx)
		if err != nil || v.Goroutines <= idle.Goroutines && v.Files <= idle.Files || time.Now().After(until) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *soak) say(format string, args ...any) {
	fmt.Fprintln(s.Out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}
