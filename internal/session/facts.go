package session

import "slices"

// facts are what the sessions of one user with one client have in common. They
// never change: a session that changes gets others.
type facts struct {
	identity Identity
	origin   *Identity
	locale   string
	messages string
	agent    string
	method   string
	extra    string // see Session
	name     string // identity.Name as it is shown
	owner    string // principal.Name.Key of who really logged in: the name that limits go by
}

// copy is the identity for a caller who may change it.
func (i *Identity) copy() Identity {
	c := *i
	c.Groups = slices.Clone(i.Groups)
	return c
}

// pool keeps what many sessions have in common once, and as long as one of them
// has it. It is found by its bytes in the record, so what is in the pool is not
// decoded again.
type pool[T any] struct{ all map[string]*pooled[T] }

type pooled[T any] struct {
	value T
	bytes string
	uses  int // the pool's
}

// take returns what raw stands for. decode is asked if nobody has it yet.
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

// drop is to be called for each take once.
func (p *pool[T]) drop(s *pooled[T]) {
	if s.uses--; s.uses == 0 {
		delete(p.all, s.bytes)
	}
}
