// Package lag finds out how far streams of changes are behind the cluster at most.
//
// An open connection does not prove that a stream is up to date, because its member may be cut off
// from the others. Therefore a quorum is asked, again and again, for the revision of the newest
// commit. A stream that has reached it had everything when the question was asked.
//
// All times are of this process's monotonic clock, so they don't depend on the wall clock.
package lag

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

var (
	// ErrBack: the data was replaced by an older state, so a stream must begin anew.
	ErrBack = errors.New("etcd is at an earlier revision than before: its data was replaced")
	// ErrSilent: commits are acknowledged, but the stream does not show them.
	ErrSilent = errors.New("etcd does not deliver committed changes")
)

// Streams are the streams of a store.
type Streams struct {
	max time.Duration

	mu  sync.Mutex // guards the following, and the fields of each Stream
	all map[*Stream]bool
}

// Stream is what is known of one stream.
type Stream struct {
	of       *Streams
	end      context.CancelCauseFunc // ends the present watch
	complete bool                    // a whole state was delivered
	applied  store.Revision
	before   store.Revision // applied, when etcd was last asked
	upToDate time.Time      // when the stream last had everything
	// missing is the oldest newest revision that the stream has not reached yet, and asked is when
	// etcd was asked for it. 0: none.
	missing store.Revision
	asked   time.Time
}

// New returns a Streams without streams. A stream that has lacked an acknowledged commit for half
// of max is ended, so that it can be continued at another member before it is behind by max.
func New(max time.Duration) *Streams { return &Streams{max: max, all: map[*Stream]bool{}} }

// Add adds a stream that has delivered nothing yet.
func (l *Streams) Add() *Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Stream{of: l, end: func(error) {}}
	l.all[s] = true
	return s
}

// Remove removes a stream.
func (l *Streams) Remove(s *Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, s)
}

// Begin records how to end the present watch.
func (s *Stream) Begin(end context.CancelCauseFunc) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.end = end
}

// Whole records that the stream has delivered a state that was complete at a time.
func (s *Stream) Whole(rev store.Revision, at time.Time) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.complete, s.applied, s.upToDate, s.missing = true, rev, at, 0
}

// Reached records that the stream has delivered everything up to a revision.
func (s *Stream) Reached(rev store.Revision) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.applied = rev
	if s.missing != 0 && rev >= s.missing {
		s.upToDate, s.missing = s.asked, 0
	}
}

// Asking records that etcd is about to be asked. It returns false if there is no stream.
func (l *Streams) Asking() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.all {
		s.before = s.applied
	}
	return len(l.all) > 0
}

// Answered records the answer: at the time asked, the newest commit was at most at newest. etcd is
// a revision that etcd had reached.
func (l *Streams) Answered(newest, etcd store.Revision, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.all {
		switch {
		case !s.complete:
		case s.before > etcd:
			s.complete = false
			s.end(ErrBack)
		case s.applied >= newest:
			s.upToDate, s.missing = asked, 0
		case s.missing == 0:
			s.missing, s.asked = newest, asked
		case asked.Sub(s.asked) > l.max/2:
			s.missing, s.asked = newest, asked
			s.end(ErrSilent)
		}
	}
}

// Most returns how far the streams are behind at most, at now. It returns false if there is no stream, or
// one of them has not delivered a whole state.
func (l *Streams) Most(now time.Time) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var most time.Duration
	for s := range l.all {
		if !s.complete {
			return 0, false
		}
		most = max(most, now.Sub(s.upToDate))
	}
	return most, len(l.all) > 0
}
