package account

import "container/list"

// maxAhead is how many newcomers in a row have their turn before those that have
// had one already.
const maxAhead = 4

// round is an order of turns. Newcomers come before those that have had a turn
// and wait for another one, so a flood that always has callers in the queue does
// not delay the first login of somebody else. At most maxAhead newcomers go ahead
// in a row, so a stream of them does not shut out those that were there before.
// The zero round is empty.
type round[T any] struct {
	fresh list.List // T that had no turn yet, the earliest first
	again list.List // T that had a turn, the one whose turn comes next first
	ahead int       // newcomers in a row that had the latest turns
}

func (r *round[T]) len() int { return r.fresh.Len() + r.again.Len() }

func (r *round[T]) add(v T) *list.Element { return r.fresh.PushBack(v) }

// next returns the one whose turn is next. The round is not empty.
func (r *round[T]) next() T {
	if r.fresh.Len() == 0 || r.ahead >= maxAhead && r.again.Len() > 0 {
		r.ahead = 0
		return r.again.Front().Value.(T)
	}
	r.ahead++
	return r.fresh.Front().Value.(T)
}

// served puts the one that has just had its turn behind the others, and returns
// its new element.
func (r *round[T]) served(e *list.Element) *list.Element {
	v := e.Value
	r.remove(e)
	return r.again.PushBack(v)
}

// remove takes an element out of the list that it stands in.
func (r *round[T]) remove(e *list.Element) {
	r.fresh.Remove(e)
	r.again.Remove(e)
}

// backward yields all, those that waited longest for a turn last.
func (r *round[T]) backward(yield func(T) bool) {
	for _, l := range [...]*list.List{&r.again, &r.fresh} {
		for e := l.Back(); e != nil; e = e.Prev() {
			if !yield(e.Value.(T)) {
				return
			}
		}
	}
}
