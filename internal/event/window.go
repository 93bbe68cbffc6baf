package event

import (
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/store"
)

// window holds the events in memory and lists the other records of the log in the store.
//
// The store holds events as records of two kinds. All events are appended as store.Event, whose
// records are removed only in their order. If an event must stay longer than newer ones, Trim moves
// it to store.KeptEvent, where its id is its number.
type window struct {
	parts [shares]part
	// kept has the numbers of the events in parts that are stored as store.KeptEvent.
	kept map[uint64]bool
	// stale has the numbers of events that are still stored as store.KeptEvent but no longer belong
	// to a part.
	stale []uint64
	// trimmed is the number of the last event that was removed from store.Event.
	trimmed uint64

	numbers   store.Numberer
	numbering numbering
}

// part holds the events of one share of the log.
type part struct {
	quota
	size int // size of the entries in bytes
	// entries is sorted by seq. Its elements are never modified, so that a reader's snapshot needs
	// no lock: entries are appended at the end and cut off at the beginning. For any other change,
	// the slice is copied.
	entries []entry
	// cut is the number of entries that were cut off and are still in the array.
	cut int
	// gone has the numbers of deleted entries. The next snapshot removes all of them with one copy.
	gone map[uint64]bool
	// dead lists, in their order, the records of store.Event whose events were evicted. displaced
	// is the number of the last evicted event.
	dead      []place
	displaced uint64
}

// place identifies a stored record whose event is not in memory.
type place struct {
	seq  uint64
	id   string
	size int
}

// numbering is the store's Numbering with the revision of its record.
type numbering struct {
	store.Numbering
	at      store.Revision // 0 if there is no record
	damaged error          // the error if the record is unreadable
}

func newWindow(quotas [shares]quota) window {
	w := window{kept: map[uint64]bool{}}
	for s := range w.parts {
		w.parts[s].quota = quotas[s]
	}
	return w
}

// add adds the newest entry and returns it with its number.
func (w *window) add(e entry) entry {
	e.seq = w.numbers.Next(e.id())
	w.parts[e.share].append(e)
	w.evict(e.share)
	return e
}

// keep adds an event that is stored as store.KeptEvent. It reports whether readers did not see the
// event before.
func (w *window) keep(e entry) bool {
	p := &w.parts[e.share]
	i, found := index(p.entries, e.seq)
	switch {
	case found && p.gone[e.seq]:
		delete(p.gone, e.seq)
		p.size += e.size()
	case found:
		w.kept[e.seq] = true
		return false
	case e.seq <= p.displaced:
		w.stale = append(w.stale, e.seq)
		return false
	default:
		p.entries, p.cut = slices.Insert(slices.Clone(p.entries), i, e), 0
		p.size += e.size()
	}
	w.kept[e.seq] = true
	w.evict(e.share)
	return true
}

// evict removes the oldest events of the part until the others are within its limits.
func (w *window) evict(s share) {
	p := &w.parts[s]
	for p.excess() {
		first := &p.entries[0]
		switch {
		case p.gone[first.seq]:
			delete(p.gone, first.seq)
			p.cutFirst()
			continue
		case w.kept[first.seq]:
			delete(w.kept, first.seq)
			w.stale = append(w.stale, first.seq)
		default:
			// Without the clone, the id would keep the whole event in memory.
			p.dead = append(p.dead, place{first.seq, strings.Clone(first.id()), first.size()})
		}
		p.displaced = first.seq
		p.size -= first.size()
		p.cutFirst()
	}
}

func (p *part) append(e entry) {
	p.entries = append(p.entries, e)
	p.size += e.size()
}

// excess reports whether the oldest event must be evicted. An event that is older than an evicted
// one is evicted as well.
func (p *part) excess() bool {
	n := len(p.entries)
	return n > 0 && (n-len(p.gone) > p.events || p.size > p.bytes || p.entries[0].seq <= p.displaced)
}

// cutFirst removes the oldest entry. When an eighth of the array is unused, the entries are copied
// to a smaller one.
func (p *part) cutFirst() {
	p.entries = p.entries[1:]
	p.cut++
	if p.cut > 64+len(p.entries)/8 {
		p.entries = append(make([]entry, 0, len(p.entries)+len(p.entries)/8+1), p.entries...)
		p.cut = 0
	}
}

// removeAt removes an entry. It reports whether the entry is not the oldest one.
func (p *part) removeAt(i int) bool {
	p.size -= p.entries[i].size()
	if i == 0 && len(p.gone) == 0 {
		p.cutFirst()
		return false
	}
	if p.gone == nil {
		p.gone = map[uint64]bool{}
	}
	p.gone[p.entries[i].seq] = true
	return true
}

// snapshot returns the entries. The returned slice is never modified.
func (p *part) snapshot() []entry {
	if len(p.gone) > 0 {
		left := make([]entry, 0, len(p.entries))
		for _, e := range p.entries {
			if !p.gone[e.seq] {
				left = append(left, e)
			}
		}
		p.entries, p.cut, p.gone = left, 0, nil
	}
	return p.entries[:len(p.entries):len(p.entries)]
}

func (w *window) snapshot() *view {
	v := &view{}
	for s := range w.parts {
		v.parts[s] = w.parts[s].snapshot()
	}
	return v
}

// remove handles the deletion of a record of store.Event. It reports whether an event other than
// the oldest of its part has disappeared from the log.
func (w *window) remove(id string) bool {
	// Records are normally removed in their order, so the first lookups find them. Nodes of an
	// earlier version may remove other records.
	for s := range w.parts {
		p := &w.parts[s]
		if len(p.dead) > 0 && p.dead[0].id == id {
			w.trimmed = max(w.trimmed, p.dead[0].seq)
			p.dead = p.dead[1:]
			return false
		}
		if i := after(p.entries, w.trimmed); i < len(p.entries) && p.entries[i].id() == id {
			w.trimmed = p.entries[i].seq
			return w.removed(p, i)
		}
	}
	for s := range w.parts {
		p := &w.parts[s]
		if i := slices.IndexFunc(p.dead, func(d place) bool { return d.id == id }); i >= 0 {
			p.dead = slices.Delete(p.dead, i, i+1)
			return false
		}
		if i := slices.IndexFunc(p.entries, func(e entry) bool { return e.id() == id && !p.gone[e.seq] }); i >= 0 {
			return w.removed(p, i)
		}
	}
	return false
}

// removed removes an entry whose record of store.Event was deleted, unless it was moved to
// store.KeptEvent.
func (w *window) removed(p *part, i int) bool {
	seq := p.entries[i].seq
	return !w.kept[seq] && !p.gone[seq] && p.removeAt(i)
}

// removeKept handles the deletion of the record of store.KeptEvent with the number. Its result is
// like that of remove.
func (w *window) removeKept(seq uint64) bool {
	if i := slices.Index(w.stale, seq); i >= 0 {
		w.stale = slices.Delete(w.stale, i, i+1)
		return false
	}
	if !w.kept[seq] {
		return false
	}
	delete(w.kept, seq)
	for s := range w.parts {
		if i, found := index(w.parts[s].entries, seq); found {
			return w.parts[s].removeAt(i)
		}
	}
	return false
}

// trimming describes one step of Trim.
type trimming struct {
	ids   []string // ids of the oldest records of store.Event, which are removed
	last  uint64   // number of the last of them
	moved []entry  // events among them that are moved to store.KeptEvent
	stale []uint64 // numbers of the records of store.KeptEvent that are removed
}

// deadShare determines when events are moved. If the dead records are more than 1/deadShare of the
// events that the log keeps, by number or by bytes, events that block their removal are moved.
const deadShare = 4

// front finds up to limit of the oldest records of store.Event that can be removed. Their events
// were evicted or have expired at the time now; if now is 0, expired events stay. front stops at an
// event that must stay. If too many dead records follow it, the event is moved instead.
func (w *window) front(limit int, now int64) trimming {
	t := trimming{last: w.numbering.Removed, stale: slices.Clone(w.stale[:min(limit, len(w.stale))])}
	var dead, live [shares]int // indexes of the next dead records and entries
	var left, most quota       // remaining and maximum amount of dead records
	for s := range w.parts {
		p := &w.parts[s]
		p.snapshot()
		live[s] = after(p.entries, w.numbering.Removed)
		most.events, most.bytes = most.events+p.events/deadShare, most.bytes+p.bytes/deadShare
		left.events += len(p.dead)
		for _, d := range p.dead {
			left.bytes += d.size
		}
	}
	moved := 0
	for len(t.ids) < limit && moved < maxMoved {
		s, isDead := w.first(&dead, &live)
		if s == shares {
			break
		}
		p := &w.parts[s]
		if isDead {
			d := p.dead[dead[s]]
			dead[s]++
			left.events, left.bytes = left.events-1, left.bytes-d.size
			t.ids, t.last = append(t.ids, d.id), d.seq
			continue
		}
		e := &p.entries[live[s]]
		live[s]++
		if now == 0 || !e.expired(now) {
			if left.events <= most.events && left.bytes <= most.bytes {
				break
			}
			moved += e.size()
			t.moved = append(t.moved, *e)
		}
		t.ids, t.last = append(t.ids, strings.Clone(e.id())), e.seq
	}
	return t
}

// maxMoved is the approximate maximum number of bytes that one commit moves.
const maxMoved = 256 << 10

// first finds the oldest record of store.Event at or after the indexes. It returns the record's
// part and whether the record is dead. If there is no record, the part is shares.
func (w *window) first(dead, live *[shares]int) (of share, isDead bool) {
	of = shares
	var seq uint64
	for s := range shares {
		p := &w.parts[s]
		if i := dead[s]; i < len(p.dead) && (of == shares || p.dead[i].seq < seq) {
			of, isDead, seq = s, true, p.dead[i].seq
		}
		for live[s] < len(p.entries) && w.kept[p.entries[live[s]].seq] {
			live[s]++
		}
		if i := live[s]; i < len(p.entries) && (of == shares || p.entries[i].seq < seq) {
			of, isDead, seq = s, false, p.entries[i].seq
		}
	}
	return of, isDead
}
