package passthrough

import (
	"container/list"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/principal"
)

// Bounds of the memory. A name takes a few hundred bytes.
const (
	maxKnown     = 10_000 // names that the upstream has accepted a password of
	maxStrangers = 2_000  // other names, which anybody can make up
	maxRefused   = 8      // passwords of one name
)

// digest is the hash of a password.
type digest []byte

func (d digest) equal(o digest) bool { return subtle.ConstantTimeCompare(d, o) == 1 }

// name is what is remembered of one name. All spellings of a user that login.UpstreamUser makes equal
// are one name.
type name struct {
	key  string
	salt []byte

	// The following fields belong to names, and are guarded by its mutex.
	uses  int           // callers that use it now; it stays while there are any
	known bool          // the upstream has accepted a password
	place *list.Element // in the list of known or of other names

	mu       sync.Mutex // guards what follows
	user     User
	right    digest    // the password that was accepted last; nil: none is believed
	typed    string    // the name with which it came, without its domain
	until    time.Time // the time from which on right is not used any more
	wrong    []refusal
	deciding chan struct{} // closed when the try in progress ends; nil: there is none
}

// refusal is a password that the upstream has refused.
type refusal struct {
	digest
	until time.Time
}

// verdict is what is known of a password.
type verdict int

const (
	unknown  verdict = iota // the caller has the turn to try it
	accepted                // it is right
	refused                 // it is wrong, and was tried a moment ago
	waits                   // another password of the name is being tried
)

// begin returns what is known of a password of the name as it was typed. If that is nothing, the caller gets
// the turn, which accept, refuse or undecided gives back; or a channel that is closed when the turn of another
// ends. A password is right only for the spelling with which it was accepted, because some upstreams tell names
// apart by their case. It is wrong for all spellings, because an upstream that does not would count each try.
func (n *name) begin(d digest, typed string, now time.Time) (User, verdict, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = slices.DeleteFunc(n.wrong, func(r refusal) bool { return !now.Before(r.until) })
	if n.right != nil && !now.Before(n.until) {
		n.right = nil
	}
	switch {
	case n.right != nil && n.right.equal(d) && n.typed == typed:
		return n.user, accepted, nil
	case slices.ContainsFunc(n.wrong, d.isOf):
		return User{}, refused, nil
	case n.deciding != nil:
		return User{}, waits, n.deciding
	}
	n.deciding = make(chan struct{})
	return User{}, unknown, nil
}

func (d digest) isOf(r refusal) bool { return d.equal(r.digest) }

// decided ends the turn. The caller holds mu.
func (n *name) decided() {
	close(n.deciding)
	n.deciding = nil
}

// undecided gives the turn back: nobody knows whether the password is right.
func (n *name) undecided() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.decided()
}

// accept notes that the password is right.
func (n *name) accept(d digest, typed string, user User, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.user, n.right, n.typed, n.until = user, d, typed, until
	n.wrong = slices.DeleteFunc(n.wrong, d.isOf)
	n.decided()
}

// refuse notes that the password is wrong.
func (n *name) refuse(d digest, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = slices.DeleteFunc(n.wrong, d.isOf)
	if len(n.wrong) >= maxRefused {
		n.wrong = slices.Delete(n.wrong, 0, 1)
	}
	n.wrong = append(n.wrong, refusal{d, until})
	n.decided()
}

// forget forgets the right password if it is that of the user with the folded name.
func (n *name) forget(user string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.right != nil && principal.Fold(n.user.Name) == user {
		n.right = nil
	}
}

// names are the names that something is remembered of.
type names struct {
	mu        sync.Mutex // guards what follows
	byKey     map[string]*name
	known     *list.List // of *name, the least recently used first
	strangers *list.List
}

func newNames() names {
	return names{byKey: map[string]*name{}, known: list.New(), strangers: list.New()}
}

// get returns the name with the key, which the caller gives back with done. It returns nil if there are
// too many names that are all in use.
func (s *names) get(key string) *name {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byKey[key]
	if n == nil {
		if !s.room(s.strangers, maxStrangers) {
			return nil
		}
		n = &name{key: key, salt: newSalt()}
		n.place = s.strangers.PushBack(n)
		s.byKey[key] = n
	}
	s.list(n).MoveToBack(n.place)
	n.uses++
	return n
}

func (s *names) done(n *name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.uses--
}

// know notes that the upstream has accepted a password of the name, so that names that strangers make up
// can't push it out.
func (s *names) know(n *name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.known || !s.room(s.known, maxKnown) {
		return
	}
	s.strangers.Remove(n.place)
	n.known, n.place = true, s.known.PushBack(n)
}

func (s *names) list(n *name) *list.List {
	if n.known {
		return s.known
	}
	return s.strangers
}

// room removes the least recently used name of a full list that nobody uses. It reports whether the list
// has room for another one. The caller holds mu.
func (s *names) room(in *list.List, most int) bool {
	if in.Len() < most {
		return true
	}
	for e := in.Front(); e != nil; e = e.Next() {
		if n := e.Value.(*name); n.uses == 0 {
			in.Remove(e)
			delete(s.byKey, n.key)
			return true
		}
	}
	return false
}

func (s *names) all() []*name {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*name, 0, len(s.byKey))
	for _, n := range s.byKey {
		all = append(all, n)
	}
	return all
}
