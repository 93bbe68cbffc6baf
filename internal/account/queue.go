package account

import "container/list"

// queue holds callers that wait for their turn. Networks are served in turn, and within a network
// its names; callers with the same name and network are served in the order of arrival. The zero
// queue is empty. Callers of its methods hold the gate's mutex.
type queue struct {
	waiting  int
	networks map[string]*network
	turns    round[*network] // none is empty
}

// network holds the waiting callers of one network.
type network struct {
	key     string
	of      *queue
	turn    *list.Element
	waiting int
	lines   map[string]*line
	turns   round[*line] // none is empty
}

// line holds the callers that wait for one name from one network.
type line struct {
	name   string
	of     *network
	turn   *list.Element
	places list.List // *place, the earliest first
}

// place is one waiting caller.
type place struct {
	outcome chan error // buffered: nil when it is its turn, or ErrBusy
	of      *line
	element *list.Element // nil once the place is out of the queue
}

// add returns a new place at the end of its line.
func (q *queue) add(from, name string) *place {
	n := q.networks[from]
	if n == nil {
		if q.networks == nil {
			q.networks = map[string]*network{}
		}
		n = &network{key: from, of: q, lines: map[string]*line{}}
		n.turn = q.turns.add(n)
		q.networks[from] = n
	}
	l := n.lines[name]
	if l == nil {
		l = &line{name: name, of: n}
		l.turn = n.turns.add(l)
		n.lines[name] = l
	}
	p := &place{outcome: make(chan error, 1), of: l}
	p.element = l.places.PushBack(p)
	q.waiting++
	n.waiting++
	return p
}

// remove takes the place out of the queue. It returns false if the place was out already.
func (p *place) remove() bool {
	if p.element == nil {
		return false
	}
	l, n := p.of, p.of.of
	q := n.of
	l.places.Remove(p.element)
	p.element = nil
	if l.places.Len() == 0 {
		n.turns.remove(l.turn)
		delete(n.lines, l.name)
	}
	q.waiting--
	if n.waiting--; n.waiting == 0 {
		q.turns.remove(n.turn)
		delete(q.networks, n.key)
	}
	return true
}

// take removes and returns the place whose turn it is, or nil if nobody waits.
func (q *queue) take() *place {
	if q.waiting == 0 {
		return nil
	}
	n := q.turns.next()
	l := n.turns.next()
	n.turn, l.turn = q.turns.served(n.turn), n.turns.served(l.turn)
	p := l.places.Front().Value.(*place)
	p.remove()
	return p
}

// loser returns the place that a newcomer may replace: the latest one of the network that has the
// most places or, if the newcomer's network has about as many, of the name that has the most places
// in its network. It returns nil if the newcomer's own name has about as many places.
func (q *queue) loser(from, name string) *place {
	own, line := q.networks[from], (*line)(nil)
	if own != nil {
		line = own.lines[name]
	}
	if n := q.largest(); n != nil && n.waiting > own.size()+1 {
		return n.largest().last()
	}
	if own == nil {
		return nil
	}
	if l := own.largest(); l.size() > line.size()+1 {
		return l.last()
	}
	return nil
}

// largest returns the network with the most places, or nil if nobody waits. Of networks with
// equally many it returns the one whose turn is last.
func (q *queue) largest() *network {
	var most *network
	for n := range q.turns.backward {
		if n.waiting > most.size() {
			most = n
		}
	}
	return most
}

// largest returns the line with the most places. Of lines with equally many it returns the one
// whose turn is last.
func (n *network) largest() *line {
	var most *line
	for l := range n.turns.backward {
		if l.size() > most.size() {
			most = l
		}
	}
	return most
}

// size returns the number of places. A nil network has none.
func (n *network) size() int {
	if n == nil {
		return 0
	}
	return n.waiting
}

// size returns the number of places. A nil line has none.
func (l *line) size() int {
	if l == nil {
		return 0
	}
	return l.places.Len()
}

// last returns the place of the caller that came last.
func (l *line) last() *place { return l.places.Back().Value.(*place) }
