package event

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/store"
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
	// gone are the numbers of entries that were deleted, until the next snapshot
	// leaves them out: one copy serves for all.
	gone map[uint64]bool
	// excess are the stored records before entries, in their order.
	excess []place

	numbers   store.Numberer
	numbering numbering
}

// place is where a record stands that is not held in memory.
type place struct {
	seq uint64
	id  string
}

// numbering is the store's, with the revision of its record; 0: there is none.
type numbering struct {
	store.Numbering
	at      store.Revision
	damaged error // why the record can't be read
}

// add takes the entry that comes after all others and returns it with its number.
func (w *window) add(e entry) entry {
	e.seq = w.numbers.Next(e.id())
	w.entries = append(w.entries, e)
	for len(w.entries) > w.keep {
		first := &w.entries[0]
		if w.gone[first.seq] {
			delete(w.gone, first.seq)
		} else {
			// Without the clone the place would keep the event's text in memory.
			w.excess = append(w.excess, place{first.seq, strings.Clone(first.id())})
		}
		w.cutFirst()
	}
	return e
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

// remove drops the record. Records are removed from the front, so that it is
// found at once; nodes of an earlier version may remove others. It reports whether
// an entry other than the oldest has gone.
func (w *window) remove(id string) bool {
	if i := slices.IndexFunc(w.excess, func(p place) bool { return p.id == id }); i == 0 {
		w.excess = w.excess[1:]
		return false
	} else if i > 0 {
		w.excess = slices.Delete(w.excess, i, i+1)
		return false
	}
	i := slices.IndexFunc(w.entries, func(e entry) bool { return e.id() == id })
	switch {
	case i < 0:
		return false
	case i == 0 && len(w.gone) == 0:
		w.cutFirst()
		return false
	}
	if w.gone == nil {
		w.gone = map[uint64]bool{}
	}
	w.gone[w.entries[i].seq] = true
	return true
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
	keep      int
	entries   []stagedEntry
	gone      map[string]bool           // ids of entries that were deleted
	excess    map[string]store.Revision // records before entries
	numbering numbering
}

// stagedEntry is an entry without a number, with what orders it.
type stagedEntry struct {
	entry
	revision store.Revision
}

func (s *stagedEntry) record() store.Record { return store.Record{ID: s.id(), Revision: s.revision} }

func newStaging(keep int) *staging {
	return &staging{keep: keep, gone: map[string]bool{}, excess: map[string]store.Revision{}}
}

func (s *staging) add(e entry, at store.Revision) {
	s.entries = append(s.entries, stagedEntry{e, at})
	if len(s.entries) >= 2*s.keep {
		s.shrink()
	}
}

func (s *staging) remove(id string) {
	if _, is := s.excess[id]; is {
		delete(s.excess, id)
	} else {
		s.gone[id] = true
	}
}

// shrink sorts the entries and leaves the newest keep.
func (s *staging) shrink() {
	s.entries = slices.DeleteFunc(s.entries, func(e stagedEntry) bool { return s.gone[e.id()] })
	clear(s.gone)
	slices.SortFunc(s.entries, func(a, b stagedEntry) int { return store.Before(a.record(), b.record()) })
	if n := len(s.entries) - s.keep; n > 0 {
		for i := range s.entries[:n] {
			e := &s.entries[i]
			s.excess[strings.Clone(e.id())] = e.revision
		}
		s.entries = slices.Delete(s.entries, 0, n)
	}
}

// window is the state that was gathered, with its numbers.
func (s *staging) window() window {
	s.shrink()
	w := window{keep: s.keep, numbering: s.numbering, numbers: s.numbering.Numberer()}
	before := make([]store.Record, 0, len(s.excess))
	for id, at := range s.excess {
		before = append(before, store.Record{ID: id, Revision: at})
	}
	slices.SortFunc(before, store.Before)
	w.excess = make([]place, len(before))
	for i, r := range before {
		w.excess[i] = place{w.numbers.Next(r.ID), r.ID}
	}
	w.entries = make([]entry, len(s.entries))
	for i, e := range s.entries {
		e.seq = w.numbers.Next(e.id())
		w.entries[i] = e.entry
	}
	return w
}

// oldest returns up to limit of the first records: those that have no place among
// the newest, and if they have expired at now also those after them. Now 0: none
// has. The last of them has the number.
func (w *window) oldest(limit int, now int64) (ids []string, last uint64) {
	last = w.numbering.Removed
	for _, p := range w.excess[:min(limit, len(w.excess))] {
		ids, last = append(ids, p.id), p.seq
	}
	for _, e := range w.snapshot() {
		if len(ids) == limit || now == 0 || !e.expired(now) {
			break
		}
		ids, last = append(ids, strings.Clone(e.id())), e.seq
	}
	return ids, last
}

// after is the index of the first entry behind the position.
func after(entries []entry, at uint64) int {
	i, found := slices.BinarySearchFunc(entries, at, func(e entry, at uint64) int { return cmp.Compare(e.seq, at) })
	if found {
		i++
	}
	return i
}
