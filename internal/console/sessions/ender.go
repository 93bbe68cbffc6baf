package sessions

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/vim"
)

const (
	// enders is how many calls end sessions at the same time, so that their commits share the cost of the disk.
	enders = 8
	// maxChunk is how many sessions one call ends at most.
	maxChunk = 50
	// progressPace is the shortest time between two reports of the progress.
	progressPace = 300 * time.Millisecond
)

// result is what became of the sessions.
type result struct {
	All     int
	Ended   int
	Gone    int    // they ended by themselves
	Refused int    // the server did not end them
	Problem string // why not the first of them
}

// Done returns how many sessions were tried.
func (r result) Done() int { return r.Ended + r.Gone + r.Refused }

// Left returns how many sessions were not tried.
func (r result) Left() int { return max(0, r.All-r.Done()) }

// ender ends many sessions.
type ender struct {
	x      *console.Request
	result result
}

// step is what one call has done.
type step struct {
	result
	last bool // no other call would succeed
}

// run ends the sessions. It calls report now and then, and stops when the client has gone.
func (e *ender) run(keys []string, report func(result)) {
	ctx, stop := context.WithCancel(e.x.Context())
	defer stop()
	chunks, steps := make(chan []string), make(chan step)
	var work sync.WaitGroup
	for range enders {
		work.Go(func() {
			for chunk := range chunks {
				steps <- e.chunk(ctx, chunk)
			}
		})
	}
	go func() {
		defer close(steps)
		defer work.Wait()
		defer close(chunks)
		// Few sessions are ended one by one, so that it is known of each what became of it.
		for chunk := range slices.Chunk(keys, min(maxChunk, 1+len(keys)/(8*enders))) {
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				return
			}
		}
	}()
	r := &e.result
	r.All = r.Gone + len(keys)
	reported := time.Now()
	for s := range steps {
		r.Ended, r.Gone, r.Refused = r.Ended+s.Ended, r.Gone+s.Gone, r.Refused+s.Refused
		if r.Problem == "" {
			r.Problem = s.Problem
		}
		if s.last {
			stop()
		}
		if now := time.Now(); now.Sub(reported) >= progressPace {
			reported = now
			report(*r)
		}
	}
}

// chunk ends some sessions with one call. The server ends them in order, up to the first that it can't end, and does
// not say which that is. Then each gets a call of its own.
func (e *ender) chunk(ctx context.Context, keys []string) step {
	err := e.terminate(ctx, keys...)
	if err == nil || len(keys) == 1 || hopeless(err) {
		return e.step(err, len(keys))
	}
	// The sessions that are gone, up to the first that still exists, were ended by the call. One of them may have
	// ended by itself, and the call stopped there.
	var sum step
	unknown, known := 0, false
	for _, key := range keys {
		if ctx.Err() != nil {
			break
		}
		one := e.terminate(ctx, key)
		if isGone(one) && !known {
			unknown++
			continue
		}
		known = true
		sum.add(e.step(one, 1))
	}
	if unknown > 0 && isGone(err) {
		unknown--
		sum.Gone++
	}
	sum.Ended += unknown
	return sum
}

func (s *step) add(o step) {
	s.Ended, s.Gone, s.Refused = s.Ended+o.Ended, s.Gone+o.Gone, s.Refused+o.Refused
	if s.Problem == "" {
		s.Problem = o.Problem
	}
	s.last = s.last || o.last
}

// step returns what a call for n sessions has done.
func (e *ender) step(err error, n int) step {
	fault, is := errors.AsType[*vim.Fault](err)
	switch {
	case err == nil:
		return step{result: result{Ended: n}}
	case isGone(err):
		return step{result: result{Gone: n}}
	case is && hopeless(err):
		return step{result{Problem: fault.Text(e.x.Language())}, true}
	case is:
		return step{result: result{Refused: n, Problem: fault.Text(e.x.Language())}}
	}
	return step{last: true}
}

func (e *ender) terminate(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := e.x.Do(managerType, "TerminateSession", &types.TerminateSessionRequestType{SessionId: keys})
	return err
}

// isGone reports whether the server no longer knew the session.
func isGone(err error) bool {
	fault, is := errors.AsType[*vim.Fault](err)
	return is && vim.IsFault[*types.NotFound](fault)
}

// hopeless reports whether other sessions could not be ended either: the server has no room, or the caller's session
// or privilege is gone.
func hopeless(err error) bool {
	fault, is := errors.AsType[*vim.Fault](err)
	return !is || fault.Detail == nil || vim.IsFault[*types.NoPermission](fault) ||
		vim.IsFault[*types.NotAuthenticated](fault)
}
