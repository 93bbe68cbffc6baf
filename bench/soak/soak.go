//go:build linux

// Package soak holds a server under full load, with all that makes sessions come
// and go, and tells whether it grows or answers what it should not.
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

// Config is what to load, and how.
type Config struct {
	Target load.Target
	Admin  string // address of the listener for metrics
	PID    int
	Store  string // the store's file
	Log    string // the file that the server logs to

	User, Password string // of an administrator
	// Idle is after how long without a call the server ends a session.
	Idle time.Duration

	Duration time.Duration
	// Patience is for how long the load goes on after Duration while something that
	// it asks for has not happened, or samples are few.
	Patience time.Duration
	Every    time.Duration // between two samples
	Line     time.Duration // between two lines of Out
	// Clones is how many sessions a second are cloned. It is a fixed number, since
	// it settles how many are live: else a machine with more to give would look
	// like a server that grows.
	Clones int
	Out    io.Writer
}

// soak is a run.
type soak struct {
	Config
	tally *tally
	ends  chan held // sessions that the administrator is to terminate
	began time.Time
}

// settle is how long the server may take, beside the sessions' time, until all
// that the load has left is gone.
const settle = 3 * time.Minute

// Run loads the server and returns what it found. An error is that of the run
// itself: what the server did wrong is in the report.
func Run(ctx context.Context, c Config) (*Report, error) {
	s := &soak{Config: c, tally: newTally(), ends: make(chan held, 64)}
	watch, err := newWatch(ctx, c)
	if err != nil {
		return nil, err
	}
	defer watch.close()
	if err := s.empty(ctx, watch); err != nil {
		return nil, fmt.Errorf("wait for the sessions of before to end: %w", err)
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

// workers are the load: each goes on until its context ends.
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

// fewSamples are too few to tell anything.
const fewSamples = 10

// observe takes samples until the load is to end.
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
		// Not cut off by the load's end: the server would log that.
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

// empty waits until no session is left.
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
			return fmt.Errorf("%.0f are left: %w", v.Sessions, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// quiet waits until the server holds no more goroutines and files than before
// the load, and returns what it holds in the end.
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
