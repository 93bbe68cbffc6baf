package session

import "slices"

// facts are the parts that the sessions of one user with one client have in common. They are
// immutable: a session that changes gets other facts.
type facts struct {
	identity Identity
	origin   *Identity
	locale   string
	messages string
	agent    string
	method   string
	front    string
	extra    string // see Session
	name     string // canonical form of identity.Name
	shown    string // identity.Name for the session's client
	owner    string // principal.Name.Key of the principal that logged in, to which limits apply
}

// copy returns a copy for a caller that may change it.
func (i *Identity) copy() Identity {
	c := *i
	c.Groups = slices.Clone(i.Groups)
	return c
}

// pool keeps one copy of a value that many sessions share, for as long as one of them uses it. It
// finds a value by its encoded bytes in the record, so that a value in the pool need not be decoded
// again.
type pool[T any] struct{ all map[string]*pooled[T] }

type pooled[T any] struct {
	value T
	bytes string
	uses  int // number of users, changed only by the pool
}

// take returns the value that raw encodes. It calls decode if the pool does not have it.
func (p *pool[T]) take(raw []byte, decode func(string) (T, error)) (*pooled[T], error) {
	if s := p.all[string(raw)]; s != nil {
		s.uses++
		return s, nil
	}
	s := &pooled[T]{bytes: string(raw), uses: 1}
	var err error
	if s.value, err = decode(s.bytes); err != nil {
		return nil, err
	}
	if p.all == nil {
		p.all = map[string]*pooled[T]{}
	}
	p.all[s.bytes] = s
	return s, nil
}

// drop releases a value. Callers call it once for each take.
func (p *pool[T]) drop(s *pooled[T]) {
	if s.uses--; s.uses == 0 {
		delete(p.all, s.bytes)
	}
}
