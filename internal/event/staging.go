package event

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/store"
)

// staging collects a whole new state of the log. The records may arrive in any order. Its memory is
// proportional to the limits of the log.
type staging struct {
	quotas    [shares]quota
	events    int // total of the quotas
	entries   []stagedEntry
	dead      map[string]stagedEntry // evicted entries by id, without their content
	gone      map[string]bool        // ids of deleted entries
	kept      map[uint64]entry
	numbering numbering
}

// stagedEntry is an entry without a number. Its id and revision determine the order.
type stagedEntry struct {
	entry
	revision store.Revision
	bytes    int
}

func (s *stagedEntry) record() store.Record { return store.Record{ID: s.id(), Revision: s.revision} }

func inOrder(a, b stagedEntry) int { return store.Before(a.record(), b.record()) }

func newStaging(quotas [shares]quota) *staging {
	s := &staging{quotas: quotas, dead: map[string]stagedEntry{}, gone: map[string]bool{}, kept: map[uint64]entry{}}
	for _, q := range quotas {
		s.events += q.events
	}
	return s
}

func (s *staging) add(e entry, at store.Revision) {
	s.entries = append(s.entries, stagedEntry{e, at, e.size()})
	if len(s.entries) >= 2*s.events {
		s.shrink()
	}
}

func (s *staging) remove(id string) {
	if _, is := s.dead[id]; is {
		delete(s.dead, id)
	} else {
		s.gone[id] = true
	}
}

// shrink sorts the entries and keeps the newest of each part of the log.
func (s *staging) shrink() {
	s.entries = slices.DeleteFunc(s.entries, func(e stagedEntry) bool { return s.gone[e.id()] })
	clear(s.gone)
	slices.SortFunc(s.entries, inOrder)
	var have [shares]quota
	for i := range slices.Backward(s.entries) {
		e := &s.entries[i]
		q, most := &have[e.share], s.quotas[e.share]
		if q.events++; q.events <= most.events {
			q.bytes += e.bytes
		}
		if q.events > most.events || q.bytes > most.bytes {
			q.events = most.events // all older events are evicted as well
			id := strings.Clone(e.id())
			s.dead[id] = stagedEntry{entry{stored: id, idLen: e.idLen, share: e.share}, e.revision, e.bytes}
			e.stored = ""
		}
	}
	s.entries = slices.DeleteFunc(s.entries, func(e stagedEntry) bool { return e.stored == "" })
}

// window returns the collected state with the numbers of the events.
func (s *staging) window() window {
	s.shrink()
	w := newWindow(s.quotas)
	w.numbering, w.numbers, w.trimmed = s.numbering, s.numbering.Numberer(), s.numbering.Removed
	for _, e := range s.kept {
		w.kept[e.seq] = true
		w.parts[e.share].append(e)
	}
	for i := range w.parts {
		slices.SortFunc(w.parts[i].entries, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	}
	before := make([]stagedEntry, 0, len(s.dead))
	for _, e := range s.dead {
		before = append(before, e)
	}
	slices.SortFunc(before, inOrder)
	for len(before)+len(s.entries) > 0 {
		if len(s.entries) == 0 || len(before) > 0 && inOrder(before[0], s.entries[0]) < 0 {
			d := before[0]
			before = before[1:]
			p := &w.parts[d.share]
			p.displaced = w.numbers.Next(d.id())
			p.dead = append(p.dead, place{p.displaced, d.id(), d.bytes})
			continue
		}
		w.add(s.entries[0].entry)
		s.entries = s.entries[1:]
	}
	for i := range shares {
		w.evict(i)
	}
	return w
}
