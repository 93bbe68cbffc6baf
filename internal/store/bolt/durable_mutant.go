//go:build mutant_ack

package bolt

import "github.com/vigate/vigate/internal/store"

// durable has a planted bug, for the proof that it is found: the requests are
// answered first, and then made durable.
func (s *Store) durable(g *group, requests []*request) error {
	s.hub.publish(store.Batch{Revision: g.revision, Deltas: g.deltas})
	for _, r := range requests {
		close(r.done)
		r.done = make(chan struct{}) // for the answer that comes later
	}
	return g.tx.Commit()
}
