package event

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/store"
)

// staging gathers a whole state, in any order, in memory that is bounded by what
// the log keeps.
type staging struct {
	quotas    [shares]quota
	events    int // of all quotas
	entries   []stagedEntry
	dead      map[string]stagedEntry // by id: of entries that have to make room, without their texts
	gone      map[string]bool        // ids of entries that were deleted
	kept      map[uint64]entry
	numbering numbering
}

// stagedEntry is an entry without a number, with what orders it.
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

// shrink sorts the entries and leaves the newest of each part of the log.
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
			q.events = most.events // no older one either
			id := strings.Clone(e.id())
			s.dead[id] = stagedEntry{entry{stored: id, idLen: e.idLen, share: e.share}, e.revision, e.bytes}
			e.stored = ""
		}
	}
	s.entries = slices.DeleteFunc(s.entries, func(e stagedEntry) bool { return e.stored == "" })
}

// window is the state that was gathered, with its numbers.
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
		w.settle(i)
	}
	return w
}
