package event

import (
	"cmp"
	"maps"
	"slices"
)

// window is the newest events in memory, and which older ones the store still
// holds.
type window struct {
	keep int
	// entries ascend by seq. The part that is in use is never written to, so
	// that a reader's snapshot needs no lock: entries are appended behind it,
	// cut off before it, and otherwise copied.
	entries []entry
	// cut is how many entries before entries are still held by its array.
	cut int
	// gone are entries that were deleted, until the next snapshot leaves them
	// out: a sweep deletes many at once, and one copy serves for all.
	gone map[uint64]bool
	// excess are the numbers, ascending, of stored events that have no place
	// among the newest keep.
	excess []uint64
}

// add takes an entry and reports whether readers can now see it.
func (w *window) add(e entry) bool {
	n := len(w.entries)
	switch {
	case n == 0 || e.seq > w.entries[n-1].seq:
		w.entries = append(w.entries, e)
	case n == w.keep && e.seq < w.entries[0].seq:
		w.addExcess(e.seq)
		return false
	default: // out of order, or once more: a store's right, but rare
		i, found := w.search(e.seq)
		w.entries, w.cut = slices.Clone(w.entries), 0
		if found {
			w.entries[i] = e
		} else {
			w.entries = slices.Insert(w.entries, i, e)
		}
		delete(w.gone, e.seq)
	}
	for len(w.entries) > w.keep {
		if first := w.entries[0].seq; w.gone[first] {
			delete(w.gone, first)
		} else {
			w.addExcess(first)
		}
		w.cutFirst()
	}
	return true
}

// cutFirst drops the oldest entry. Its memory is returned when an eighth of
// the array is unused.
func (w *window) cutFirst() {
	w.entries = w.entries[1:]
	w.cut++
	if w.cut > 64+len(w.entries)/8 {
		w.entries = append(make([]entry, 0, len(w.entries)+len(w.entries)/8+1), w.entries...)
		w.cut = 0
	}
}

// remove reports whether an entry other than the oldest has gone.
func (w *window) remove(seq uint64) bool {
	if i, found := w.search(seq); found {
		if i == 0 {
			w.cutFirst()
			return false
		}
		if w.gone == nil {
			w.gone = map[uint64]bool{}
		}
		w.gone[seq] = true
		return true
	}
	if i, found := slices.BinarySearch(w.excess, seq); found {
		if i == 0 {
			w.excess = w.excess[1:]
		} else {
			w.excess = slices.Delete(w.excess, i, i+1)
		}
	}
	return false
}

// last is the number of the newest entry; 0: there is none.
func (w *window) last() uint64 {
	if n := len(w.entries); n > 0 {
		return w.entries[n-1].seq
	}
	return 0
}

func (w *window) addExcess(seq uint64) {
	if i, found := slices.BinarySearch(w.excess, seq); !found {
		w.excess = slices.Insert(w.excess, i, seq)
	}
}

func (w *window) search(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(w.entries, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

// snapshot returns the entries, which nobody writes to any more.
func (w *window) snapshot() []entry {
	if len(w.gone) > 0 {
		left := make([]entry, 0, len(w.entries))
		for _, e := range w.entries {
			if !w.gone[e.seq] {
				left = append(left, e)
			}
		}
		w.entries, w.cut, w.gone = left, 0, nil
	}
	return w.entries[:len(w.entries):len(w.entries)]
}

// staging gathers a whole state, in any order, in memory that is bounded by
// the number of events to keep.
type staging struct {
	keep    int
	entries []entry
	gone    map[uint64]bool
	excess  map[uint64]bool
}

func newStaging(keep int) *staging {
	return &staging{keep: keep, gone: map[uint64]bool{}, excess: map[uint64]bool{}}
}

func (s *staging) add(e entry) {
	delete(s.gone, e.seq)
	s.entries = append(s.entries, e)
	if len(s.entries) >= 2*s.keep {
		s.shrink()
	}
}

func (s *staging) remove(seq uint64) {
	s.gone[seq] = true
	delete(s.excess, seq)
}

// shrink sorts the entries and leaves the newest keep.
func (s *staging) shrink() {
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool { return s.gone[e.seq] })
	slices.SortStableFunc(s.entries, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	// Of an event that came twice, the later stands.
	slices.Reverse(s.entries)
	s.entries = slices.CompactFunc(s.entries, func(a, b entry) bool { return a.seq == b.seq })
	slices.Reverse(s.entries)
	if n := len(s.entries) - s.keep; n > 0 {
		for _, e := range s.entries[:n] {
			s.excess[e.seq] = true
		}
		s.entries = slices.Delete(s.entries, 0, n)
	}
}

// window is the state that was gathered.
func (s *staging) window() window {
	s.shrink()
	return window{
		keep:    s.keep,
		entries: slices.Clip(slices.Clone(s.entries)),
		excess:  slices.Sorted(maps.Keys(s.excess)),
	}
}
