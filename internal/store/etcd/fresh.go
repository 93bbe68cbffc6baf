package etcd

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// checksPerLag is how often within MaxLag the store asks etcd how far it is.
const checksPerLag = 5

// freshness knows how late the store's streams are at most.
//
// Time and again a quorum of etcd is asked for the newest commit. A stream that
// has reached it had, at the moment of asking, everything that any node had
// been acknowledged. That a connection is open, or that a member sends messages,
// shows nothing: the member may be cut off from the others. All times are of
// this process's steady clock, which a change of the wall clock does not touch.
type freshness struct {
	mu      sync.Mutex // guards what follows, and what the acquaintances hold
	streams map[*acquaintance]bool
}

// acquaintance is what is known of one stream.
type acquaintance struct {
	f       *freshness
	cancel  context.CancelCauseFunc // ends the present try to follow
	from    *member                 // whom it follows
	is      bool                    // a whole state was passed on
	applied store.Revision
	before  store.Revision // applied, when etcd was last asked
	heard   time.Time      // when it last had everything
	// wanted is the newest commit at a moment of asking that the stream has not
	// reached yet, the oldest such. 0: none.
	wanted store.Revision
	asked  time.Time
}

func (f *freshness) init() { f.streams = map[*acquaintance]bool{} }

func (f *freshness) add() *acquaintance {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &acquaintance{f: f}
	f.streams[a] = true
	return a
}

func (f *freshness) remove(a *acquaintance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.streams, a)
}

func (a *acquaintance) begin(from *member, cancel context.CancelCauseFunc) {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	a.from, a.cancel = from, cancel
}

// whole: the stream has passed on a state that was complete at the time.
func (a *acquaintance) whole(rev store.Revision, at time.Time) {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	a.is, a.applied, a.heard, a.wanted = true, rev, at, 0
}

// reached: the stream has passed on everything up to the revision.
func (a *acquaintance) reached(rev store.Revision) {
	a.f.mu.Lock()
	defer a.f.mu.Unlock()
	a.applied = rev
	if a.wanted != 0 && rev >= a.wanted {
		a.heard, a.wanted = a.asked, 0
	}
}

// ask reports whether there is a stream to ask for.
func (f *freshness) ask() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for a := range f.streams {
		a.before = a.applied
	}
	return len(f.streams) > 0
}

// learned: at the time of asking the newest commit was no newer than that, and
// etcd was at least at its revision.
func (f *freshness) learned(newest, etcd store.Revision, asked time.Time, maxLag time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for a := range f.streams {
		switch {
		case !a.is:
		case a.before > etcd:
			a.is = false
			a.cancel(errBack)
		case a.applied >= newest:
			a.heard, a.wanted = asked, 0
		case a.wanted == 0:
			a.wanted, a.asked = newest, asked
		case asked.Sub(a.asked) > maxLag/2:
			// etcd answers, but its messages don't come: there is time to follow
			// another member before the node is too late to serve.
			a.asked, a.wanted = asked, newest
			a.cancel(errEnded)
		}
	}
}

// lag returns how long ago it is certain that all streams had everything.
func (f *freshness) lag() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lag time.Duration
	for a := range f.streams {
		if !a.is {
			return 0, false
		}
		lag = max(lag, time.Since(a.heard))
	}
	return lag, len(f.streams) > 0
}

// Lag returns how long ago it is certain that the store's streams had
// everything that the cluster had acknowledged, or false while one of them
// holds no whole state, or there is none.
func (s *Store) Lag() (time.Duration, bool) { return s.fresh.lag() }

// Fresh returns nil if Lag is within MaxLag, and otherwise an error that is
// store.ErrUnavailable: a node may then hold sessions for alive that were ended
// elsewhere, and must not serve them.
func (s *Store) Fresh() error {
	switch lag, ok := s.fresh.lag(); {
	case !ok:
		return fmt.Errorf("%w: the state of the cluster is not known yet", store.ErrUnavailable)
	case lag > s.opts.MaxLag:
		return fmt.Errorf("%w: the cluster was last heard of %v ago", store.ErrUnavailable, lag.Round(time.Millisecond))
	}
	return nil
}

// listen asks etcd how far it is until the store closes.
func (s *Store) listen() {
	tick := time.NewTicker(max(s.opts.MaxLag/checksPerLag, minPause))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if !s.fresh.ask() {
			continue
		}
		s.progress()
		// There is time to ask once more before the node is too late to serve.
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.MaxLag/2)
		asked := time.Now()
		newest, etcd, err := s.newest(ctx)
		cancel()
		if err == nil {
			s.fresh.learned(newest, etcd, asked, s.opts.MaxLag)
		}
	}
}

// progress has the watches go on from later after an interruption, so that less
// is compacted before them. Nothing depends on it.
func (s *Store) progress() {
	ctx, cancel := context.WithTimeout(s.ctx, minPause)
	defer cancel()
	for _, x := range s.fresh.followed() {
		if c := x.client.Load(); c != nil {
			_ = c.RequestProgress(clientv3.WithRequireLeader(ctx))
		}
	}
}
