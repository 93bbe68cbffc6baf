package etcd

import (
	"context"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/store"
)

const (
	// checksPerLag is how many times within MaxLag the store asks etcd for the head.
	checksPerLag = 5
	// minCheck is the shortest time between two such questions.
	minCheck = 10 * time.Millisecond
)

// Lag returns how long ago all streams certainly had everything that the cluster had acknowledged.
// It returns false if there is no stream, or one of them has no whole state yet.
func (s *Store) Lag() (time.Duration, bool) { return s.lags.Most(time.Now()) }

// Fresh returns nil if Lag is at most MaxLag. Otherwise the error is store.ErrUnavailable, and the
// node must not serve: a session that it believes to be alive may have been ended by another node.
func (s *Store) Fresh() error {
	switch lag, ok := s.lags.Most(time.Now()); {
	case !ok:
		return fmt.Errorf("%w: the state of the cluster is not known yet", store.ErrUnavailable)
	case lag > s.opts.MaxLag:
		return fmt.Errorf("%w: this node has not been up to date with the cluster for %v",
			store.ErrUnavailable, lag.Round(time.Millisecond))
	}
	return nil
}

// observeLag asks etcd for the head, again and again, until the store closes.
func (s *Store) observeLag() {
	tick := time.NewTicker(max(s.opts.MaxLag/checksPerLag, minCheck))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if !s.lags.Asking() {
			continue
		}
		s.etcd.RequestProgress(s.ctx)
		// If this fails, there is time to ask once more before the node is too far behind.
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.MaxLag/2)
		asked := time.Now()
		newest, etcd, err := s.newest(ctx)
		cancel()
		if err == nil {
			s.lags.Answered(newest, etcd, asked)
		}
	}
}
