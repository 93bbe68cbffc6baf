package account

import "container/list"

// maxAhead is how many newcomers in a row are served before callers that have been served already.
const maxAhead = 4

// round is an order of turns. Newcomers are served before callers that have been served and wait
// again, so a flood that always has callers in the queue does not delay another client's first
// login. At most maxAhead newcomers in a row are preferred, so a stream of newcomers does not
// starve the others. The zero round is empty.
type round[T any] struct {
	fresh list.List // not served yet, the earliest first
	again list.List // served before, the next first
	ahead int       // number of newcomers that were served last in a row
}

func (r *round[T]) add(v T) *list.Element { return r.fresh.PushBack(v) }

// next returns the element whose turn is next. The round must not be empty.
func (r *round[T]) next() T {
	if r.fresh.Len() == 0 || r.ahead >= maxAhead && r.again.Len() > 0 {
		r.ahead = 0
		return r.again.Front().Value.(T)
	}
	r.ahead++
	return r.fresh.Front().Value.(T)
}

// served moves an element that was just served behind the others, and returns its new element.
func (r *round[T]) served(e *list.Element) *list.Element {
	v := e.Value
	r.remove(e)
	return r.again.PushBack(v)
}

// remove removes an element from its list.
func (r *round[T]) remove(e *list.Element) {
	r.fresh.Remove(e)
	r.again.Remove(e)
}

// backward yields all elements in the reverse order of their turns.
func (r *round[T]) backward(yield func(T) bool) {
	for _, l := range [...]*list.List{&r.again, &r.fresh} {
		for e := l.Back(); e != nil; e = e.Prev() {
			if !yield(e.Value.(T)) {
				return
			}
		}
	}
}
