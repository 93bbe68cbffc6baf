package event

import (
	"slices"
	"strings"

	"github.com/vigate/vigate/internal/store"
)

// window is the events in memory, and what else of the log the store still holds.
//
// The store holds events as records of two kinds. All are appended as store.Event,
// which are removed in their order only. An event that stays for longer than those
// after it is moved from there to store.KeptEvent, under its number: see Trim.
type window struct {
	parts [shares]part
	// kept are the numbers of events in parts that are stored as store.KeptEvent.
	kept map[uint64]bool
	// stale are those of events that are stored so and are in no part any more.
	stale []uint64
	// trimmed is the number of the last event that was removed from store.Event.
	trimmed uint64

	numbers   store.Numberer
	numbering numbering
}

// part is what a share of the log holds.
type part struct {
	quota
	size int // bytes of the entries
	// entries ascend by seq. The part that is in use is never written to, so
	// that a reader's snapshot needs no lock: entries are appended behind it,
	// cut off before it, and otherwise copied.
	entries []entry
	// cut is how many entries before entries are still held by its array.
	cut int
	// gone are the numbers of entries that were deleted, until the next snapshot
	// leaves them out: one copy serves for all.
	gone map[uint64]bool
	// dead are the records of store.Event whose events had to make room, in
	// their order. displaced is the number of the last event that had to.
	dead      []place
	displaced uint64
}

// place is where a record stands that is not held in memory.
type place struct {
	seq  uint64
	id   string
	size int
}

// numbering is the store's, with the revision of its record; 0: there is none.
type numbering struct {
	store.Numbering
	at      store.Revision
	damaged error // why the record can't be read
}

func newWindow(quotas [shares]quota) window {
	w := window{kept: map[uint64]bool{}}
	for s := range w.parts {
		w.parts[s].quota = quotas[s]
	}
	return w
}

// add takes the entry that comes after all others and returns it with its number.
func (w *window) add(e entry) entry {
	e.seq = w.numbers.Next(e.id())
	w.parts[e.share].append(e)
	w.settle(e.share)
	return e
}

// keep takes an event that is stored as store.KeptEvent. It reports whether the
// event is new to readers.
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
	w.settle(e.share)
	return true
}

// settle makes the oldest events of the part go until the others are within its
// bounds.
func (w *window) settle(s share) {
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
			// Without the clone the place would keep the event's text in memory.
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

// excess reports whether the oldest event has to make room. None stays that is
// older than one that had to.
func (p *part) excess() bool {
	n := len(p.entries)
	return n > 0 && (n-len(p.gone) > p.events || p.size > p.bytes || p.entries[0].seq <= p.displaced)
}

// cutFirst drops the oldest entry. Its memory is returned when an eighth of
// the array is unused.
func (p *part) cutFirst() {
	p.entries = p.entries[1:]
	p.cut++
	if p.cut > 64+len(p.entries)/8 {
		p.entries = append(make([]entry, 0, len(p.entries)+len(p.entries)/8+1), p.entries...)
		p.cut = 0
	}
}

// removeAt drops an entry. It reports whether that is another than the oldest.
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

// snapshot returns the entries, which nobody writes to any more.
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

// remove drops the record of store.Event. It reports whether an event other than
// the oldest of its part has gone from the log.
func (w *window) remove(id string) bool {
	// Records are removed from the front, so that each is found at once. Nodes of
	// an earlier version may remove others.
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

// removed takes out an entry whose record of store.Event is gone, unless it was
// moved to store.KeptEvent.
func (w *window) removed(p *part, i int) bool {
	seq := p.entries[i].seq
	return !w.kept[seq] && !p.gone[seq] && p.removeAt(i)
}

// removeKept drops the record of store.KeptEvent with the number, as remove does.
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

// trimming is a step of Trim.
type trimming struct {
	ids   []string // of store.Event, the first in their order
	last  uint64   // the number of the last of them
	moved []entry  // those of them that become records of store.KeptEvent
	stale []uint64 // numbers of records of store.KeptEvent
}

// Dead records may be as many as a quarter of what the log keeps, and have as many
// bytes, before events that stay are moved out of their way.
const deadShare = 4

// front finds up to limit of the first records of store.Event that can be removed:
// those whose events had to make room, or have expired at now. Now 0: none has. An
// event that stays is before them: it is moved if too many dead are behind it.
func (w *window) front(limit int, now int64) trimming {
	t := trimming{last: w.numbering.Removed, stale: slices.Clone(w.stale[:min(limit, len(w.stale))])}
	var dead, live [shares]int // indices of the next ones
	var left, most quota       // of what is dead
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

// maxMoved bounds the bytes that one commit moves.
const maxMoved = 256 << 10

// first finds the part that has the first record of store.Event from the indices
// on, and whether that is dead. shares: there is none.
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
