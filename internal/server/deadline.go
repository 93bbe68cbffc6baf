package server

import (
	"errors"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lazyDeadline is a connection whose read deadline is set where it begins to
// count. net/http moves it six times for a request, and each time costs as much
// as finding the session; but between two reads only the newest matters, and one
// that is later than what is set matters when that has passed. So a read runs
// under the newest deadline or an earlier one, which it outlives.
type lazyDeadline struct {
	net.Conn
	opened time.Time // what is not after it has passed

	reading atomic.Int32 // reads under way
	want    atomic.Int64 // the deadline that was asked for; see instant
	set     atomic.Int64 // the connection's
	mu      sync.Mutex   // held to set the connection's
}

// Deadlines as numbers in their order: how long after the connection was opened,
// by the clock that nobody sets, counted from passed.
const (
	never  int64 = 0 // there is none
	passed int64 = -math.MaxInt64
)

func (l *lazyDeadline) instant(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return passed + max(0, int64(t.Sub(l.opened)))
}

func (l *lazyDeadline) time(instant int64) time.Time {
	if instant == never {
		return time.Time{}
	}
	return l.opened.Add(time.Duration(instant - passed))
}

// Read reads, under the deadline that was asked for last.
func (l *lazyDeadline) Read(b []byte) (int, error) {
	l.reading.Add(1)
	defer l.reading.Add(-1)
	for {
		want, set := l.want.Load(), l.set.Load()
		if want == passed {
			return 0, os.ErrDeadlineExceeded
		}
		if want < set || set == passed {
			if err := l.apply(); err != nil {
				return 0, err
			}
		}
		n, err := l.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !l.early() {
			return n, err
		}
		if err := l.apply(); err != nil {
			return 0, err
		}
	}
}

// early: the deadline that was asked for has not come.
func (l *lazyDeadline) early() bool {
	want := l.want.Load()
	return want == never || time.Until(l.time(want)) > 0
}

// apply sets the connection's deadline to the newest.
func (l *lazyDeadline) apply() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Who moves it meanwhile may still see the one that was set, and leave it at that.
	for want := l.want.Load(); want != l.set.Load(); want = l.want.Load() {
		if err := l.Conn.SetReadDeadline(l.time(want)); err != nil {
			return err
		}
		l.set.Store(want)
	}
	return nil
}

// SetReadDeadline sets the deadline of reads, of those under way too.
func (l *lazyDeadline) SetReadDeadline(t time.Time) error {
	want := l.instant(t)
	l.want.Store(want)
	// A read that begins now sees it. One under way need not hear that it has
	// more time until its own deadline comes.
	if l.reading.Load() == 0 || want >= l.set.Load() {
		return nil
	}
	return l.apply()
}
