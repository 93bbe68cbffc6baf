package message

import "encoding/binary"

const (
	// widest is the longest beginning of a text that the search looks at, in bytes.
	widest = 64
	// wide is the number of bytes that the search looks at in one step.
	wide = 4
)

// Table is a set of texts to look for. It is made once and may be used by many streams at a time. To change
// the set, make a new Table: that takes microseconds for a few dozen texts.
//
// The search is that of Wu and Manber: it looks at the end of a window that is as long as the shortest text.
// If the last bytes of the window occur in no text, it moves by nearly the whole window. So the search for
// keys of 36 bytes looks at a small part of an answer's bytes.
type Table struct {
	texts []string
	reach int
	// least and most are the lengths of the shortest and the longest text. The window has least bytes, at
	// most widest.
	least, most int
	block       int     // number of bytes that are looked at in one step: wide, or least if that is less
	shift       []uint8 // how far to move, by the hash of the last bytes of the window
	bits        uint    // of a hash
	// heads and next list the texts by the hash of the last bytes of their window: heads has the first one
	// plus 1, and next that after a text plus 1.
	heads, next []int32
}

// NewTable returns a Table of the texts. Empty texts are never found. reach is how many bytes before and
// after an occurrence a Replacer can see.
func NewTable(texts []string, reach int) *Table {
	t := &Table{texts: texts, reach: reach, least: widest}
	count := 0
	for _, text := range texts {
		if text == "" {
			continue
		}
		count++
		t.least, t.most = min(t.least, len(text)), max(t.most, len(text))
	}
	if count == 0 {
		return t
	}
	t.block = min(wide, t.least)
	for t.bits = 8; t.bits < 16 && 1<<t.bits < 4*count*t.least; t.bits++ {
	}
	t.build()
	return t
}

func (t *Table) build() {
	t.shift = make([]uint8, 1<<t.bits)
	for i := range t.shift {
		t.shift[i] = uint8(t.least - t.block + 1)
	}
	t.heads, t.next = make([]int32, 1<<t.bits), make([]int32, len(t.texts))
	for n, text := range t.texts {
		if text == "" {
			continue
		}
		for end := t.block; end <= t.least; end++ {
			h := t.hash([]byte(text[end-t.block : end]))
			t.shift[h] = min(t.shift[h], uint8(t.least-end))
			if end == t.least {
				t.next[n], t.heads[h] = t.heads[h], int32(n+1)
			}
		}
	}
}

// hash returns the hash of the first block bytes of b.
func (t *Table) hash(b []byte) uint32 {
	if t.block == wide {
		return binary.LittleEndian.Uint32(b) * 0x9e3779b1 >> (32 - t.bits)
	}
	var v uint32
	for _, c := range b[:t.block] {
		v = v<<8 | uint32(c)
	}
	return v * 0x9e3779b1 >> (32 - t.bits)
}

// find returns the first place in b at which a text begins, and the longest text that begins there. Only
// places below limit count. If there is none, text is negative.
func (t *Table) find(b []byte, from, limit int) (at, text int) {
	if t.shift == nil {
		return 0, -1
	}
	limit = min(limit, len(b)-t.least+1)
	for at = from; at < limit; {
		end := at + t.least
		h := t.hash(b[end-t.block : end])
		if s := t.shift[h]; s > 0 {
			at += int(s)
			continue
		}
		if text = t.longest(b[at:], h); text >= 0 {
			return at, text
		}
		at++
	}
	return 0, -1
}

// longest returns the longest text with which b begins, of those whose window ends with the hash, or -1.
func (t *Table) longest(b []byte, hash uint32) int {
	best := -1
	for n := t.heads[hash]; n > 0; n = t.next[n-1] {
		text := t.texts[n-1]
		if len(b) >= len(text) && string(b[:len(text)]) == text && (best < 0 || len(text) > len(t.texts[best])) {
			best = int(n - 1)
		}
	}
	return best
}
