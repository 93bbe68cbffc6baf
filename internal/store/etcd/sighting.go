package etcd

import (
	"sync"

	"github.com/vigate/vigate/internal/store"
)

// sightings are the kinds' counters as the streams show them: what is appended
// is written together with the counter, so that the record tells both the
// counter's number and its revision. Without them the first commit after one of
// another node would always fail, to learn where the counter is.
//
// They are guesses that spare a try. A transaction holds the counter to them,
// so that a wrong one costs what it would have spared; and each is tried once,
// so that it costs that once.
type sightings struct {
	mu   sync.Mutex // guards seen
	seen map[store.Kind]counter
}

func (s *sightings) init() { s.seen = map[store.Kind]counter{} }

// sequenceLen is how long the ids are that store.SequenceID gives.
const sequenceLen = 16

// see takes note of a record that was created, which may have been appended.
func (s *sightings) see(r store.Record) {
	if len(r.ID) != sequenceLen {
		return
	}
	n, err := store.Sequence(r.ID)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int64(r.Revision)
	if c := s.seen[r.Kind]; at > c.rev || at == c.rev && n > c.n {
		s.seen[r.Kind] = counter{n, at}
	}
}

// take returns the last that was seen of the kind's counter since it was taken.
func (s *sightings) take(k store.Kind) (counter, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.seen[k]
	delete(s.seen, k)
	return c, ok
}
