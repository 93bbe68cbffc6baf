package event

import (
	"cmp"
	"iter"
	"slices"
)

// view holds the events in memory at one time. Each part of the log is sorted, oldest event first.
// A view is never modified.
type view struct{ parts [shares][]entry }

func (v *view) len() int {
	n := 0
	for _, p := range v.parts {
		n += len(p)
	}
	return n
}

// last returns the largest number, or 0 if there are no events.
func (v *view) last() uint64 {
	var last uint64
	for _, p := range v.parts {
		if n := len(p); n > 0 {
			last = max(last, p[n-1].seq)
		}
	}
	return last
}

// find returns the entry with the number, or nil if it does not exist any more.
func (v *view) find(seq uint64) *entry {
	for _, p := range v.parts {
		if i, ok := index(p, seq); ok {
			return &p[i]
		}
	}
	return nil
}

// after yields the entries with numbers above the position, oldest first.
func (v *view) after(at uint64) iter.Seq[*entry] {
	var parts [shares][]entry
	for s, p := range v.parts {
		parts[s] = p[after(p, at):]
	}
	return merge(parts, func(p []entry) (*entry, []entry) { return &p[0], p[1:] },
		func(a, b uint64) bool { return a < b })
}

// upTo yields the entries with numbers up to the position, newest first.
func (v *view) upTo(at uint64) iter.Seq[*entry] {
	var parts [shares][]entry
	for s, p := range v.parts {
		parts[s] = p[:after(p, at)]
	}
	last := func(p []entry) (*entry, []entry) { return &p[len(p)-1], p[:len(p)-1] }
	return merge(parts, last, func(a, b uint64) bool { return a > b })
}

// merge yields the entries of all parts in one order. next splits off the first entry of a part,
// and before reports whether the first of two numbers comes before the second.
func merge(
	parts [shares][]entry, next func([]entry) (*entry, []entry), before func(a, b uint64) bool,
) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		left := parts
		for {
			first, of := (*entry)(nil), share(0)
			for s, p := range left {
				if len(p) == 0 {
					continue
				}
				if e, _ := next(p); first == nil || before(e.seq, first.seq) {
					first, of = e, share(s)
				}
			}
			if first == nil || !yield(first) {
				return
			}
			_, left[of] = next(left[of])
		}
	}
}

// index returns the index of the entry with the number, or the index at which it would be inserted.
func index(entries []entry, seq uint64) (i int, found bool) {
	return slices.BinarySearchFunc(entries, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

// after returns the index of the first entry with a number above the position.
func after(entries []entry, at uint64) int {
	i, found := index(entries, at)
	if found {
		i++
	}
	return i
}
