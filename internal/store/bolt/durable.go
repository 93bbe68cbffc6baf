//go:build !mutant_ack

package bolt

// durable makes what the requests of a group wrote durable. Nobody is told of it
// before.
func (s *Store) durable(g *group, _ []*request) error { return g.tx.Commit() }
