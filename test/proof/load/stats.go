package load

import (
	"fmt"
	"sync/atomic"
)

// Stats counts events of the load.
type Stats struct {
	Logins, Clones, Ends, Uses, Refusals, Busy, Unsure, NoAnswer, Orphans atomic.Int64
	// Full counts calls that a limit refused. FullOfUser counts those that a user's own limit
	// refused.
	Full, FullOfUser atomic.Int64
	LastBusy         atomic.Pointer[string]
}

// Acknowledged returns how many operations have succeeded so far.
func (s *Stats) Acknowledged() int64 { return s.Changes() + s.Uses.Load() }

// Changes returns how many of them changed something.
func (s *Stats) Changes() int64 { return s.Logins.Load() + s.Clones.Load() + s.Ends.Load() }

// Pressed reports whether each limit was reached.
func (s *Stats) Pressed() bool {
	ofUser := s.FullOfUser.Load()
	return ofUser > 0 && s.Full.Load() > ofUser
}

func (s *Stats) String() string {
	return fmt.Sprintf("%d logins, %d clones, %d ends, %d uses, %d refusals; %d at a limit, "+
		"%d of them at their user's, %d told to wait, %d told that the outcome is unknown, "+
		"%d without an answer, %d sessions that no client was told of",
		s.Logins.Load(), s.Clones.Load(), s.Ends.Load(), s.Uses.Load(), s.Refusals.Load(), s.Full.Load(),
		s.FullOfUser.Load(), s.Busy.Load(), s.Unsure.Load(), s.NoAnswer.Load(), s.Orphans.Load())
}
