package login

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// SpentID identifies a proof that may be used once, such as a token.
type SpentID [sha256.Size]byte

// NewSpentID returns the id of the proof with this id of this kind from this issuer. Proofs of
// different kinds or issuers have different ids.
func NewSpentID(kind, issuer, id string) SpentID {
	h := sha256.New()
	for _, part := range []string{kind, issuer, id} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash never fails
		_, _ = h.Write([]byte(part))
	}
	return SpentID(h.Sum(nil))
}

// Spend returns the change that spends a proof. It is for session.Grant.Changes: the commit that
// starts the session spends the proof, or nothing does. If the proof is spent already, the commit
// fails with a conflict. The record is kept until end, from when on the proof must be refused by its
// own time.
func Spend(kind, issuer, id string, end time.Time) store.Change {
	spent := NewSpentID(kind, issuer, id)
	return store.Create(store.Spent, hex.EncodeToString(spent[:]), nil, end)
}

// Spent is the view of the proofs that were spent, on any node. A method that takes proofs that may be
// used once returns ErrRejected if Has returns true, and adds Spend to its grant otherwise. If two
// logins use one proof at the same time, the Gate asks the method again for the one whose commit fails,
// and Has then returns true.
//
// How many proofs it holds is bounded by their expiry: the sweep of expired records removes them. The
// zero value is empty and ready for use. It is safe for concurrent use.
type Spent struct {
	mu  sync.RWMutex // guards what follows
	ids map[SpentID]struct{}
	// loading is the state that is being loaded, see reset; nil if none is.
	loading map[SpentID]struct{}
}

// Has reports whether the proof is spent. It may report true for a proof whose record has expired.
func (s *Spent) Has(id SpentID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, has := s.ids[id]
	return has
}

// View returns the view through which the mirror feeds s.
func (s *Spent) View() store.View {
	return store.NewView([]store.Kind{store.Spent}, s.reset, s.put, s.delete, s.whole)
}

// reset implements the view's Reset. Until whole, the proofs that were spent before count as spent.
func (s *Spent) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loading = map[SpentID]struct{}{}
}

// put implements the view's Put.
func (s *Spent) put(r store.Record) {
	id, ok := parseSpentID(r.ID)
	if !ok {
		return // of another version
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil {
		s.ids = map[SpentID]struct{}{}
	}
	s.ids[id] = struct{}{}
	if s.loading != nil {
		s.loading[id] = struct{}{}
	}
}

// delete implements the view's Delete.
func (s *Spent) delete(_ store.Kind, record string) {
	id, ok := parseSpentID(record)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
	delete(s.loading, id)
}

// whole implements the view's Whole.
func (s *Spent) whole() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loading != nil {
		s.ids, s.loading = s.loading, nil
	}
}

func parseSpentID(s string) (id SpentID, ok bool) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}
