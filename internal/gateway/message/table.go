package message

import "encoding/binary"

const (
	// wide is the number of bytes that the search looks at in one step.
	wide = 4
	// widest is the longest beginning of a text that the search uses, in bytes.
	widest = 64
	// scatter is the factor of a multiplicative hash.
	scatter = 0x9e3779b1
)

// Table is a set of texts to look for. It is made once and may be used by many streams at a time. To change
// the set, make a new Table: that takes microseconds for a few dozen texts.
//
// The search looks at samples: the same few bytes out of each stride. The stride is so short that one sample
// lies within the beginning of each text, wherever that stands. If the sample occurs in no text, the search
// goes on. So it looks at a part of an answer's bytes, and as no step depends on the result of the one before,
// a processor works at several of them at a time.
type Table struct {
	texts []string
	reach int
	least int // length of the shortest text, at most widest
	most  int // length of the longest text

	stride int    // 0 if there are no texts
	mask   uint32 // of the bytes of a sample: all, unless the shortest text has less
	// filter has a bit for each hash of a sample. Most are 0, so that most samples of other bytes are passed by.
	filter []uint64
	down   uint // the bits of a product that the hash leaves out
	// heads has the first sample by the end of its hash, as an index in samples plus 1.
	heads   []int32
	samples []sample
}

// sample is a part of a text. Its bytes are what the search looks for.
type sample struct {
	text, at int
	next     int32 // with the same end of the hash, as an index plus 1
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
	size := min(wide, t.least)
	t.mask = uint32(1<<(8*size) - 1)
	t.stride = t.least - size + 1
	t.samples = make([]sample, 0, count*t.stride)
	const fewest, sparse, most = 10, 64, 18 // bits of a hash, and bits of the filter for each sample
	bits := uint(fewest)
	for ; bits < most && 1<<bits < sparse*cap(t.samples); bits++ {
	}
	t.down = 32 - bits
	t.filter = make([]uint64, 1<<bits/64)
	t.heads = make([]int32, 1<<(bits-4))
	for n, text := range texts {
		for at := 0; at < t.stride && text != ""; at++ {
			hash := t.hash(short(text[at : at+size]))
			t.filter[hash/64] |= 1 << (hash % 64)
			head := &t.heads[hash&uint32(len(t.heads)-1)]
			t.samples = append(t.samples, sample{n, at, *head})
			*head = int32(len(t.samples))
		}
	}
	return t
}

// hash returns the hash of a sample, whose bytes are the lowest of v.
func (t *Table) hash(v uint32) uint32 { return v & t.mask * scatter >> (t.down & 31) }

// short returns the first bytes of a text that may have less than wide.
func short[T string | []byte](text T) uint32 {
	var all [wide]byte
	copy(all[:], text)
	return binary.LittleEndian.Uint32(all[:])
}

// find returns the first place in b at which a text begins, and the longest text that begins there. Only
// places below limit count. If there is none, text is negative.
func (t *Table) find(b []byte, from, limit int) (at, text int) {
	limit = min(limit, len(b)-t.least+1)
	if t.stride == 0 {
		return 0, -1
	}
	// What the loop needs is in variables, because most of the time of a long answer is spent in it.
	stride, filter, mask, down := t.stride, t.filter, t.mask, t.down&31
	// The sample of a text that begins just below limit can lie this much behind it, and is in b as a whole.
	end := limit + stride - 1
	for s := from; s < end; s += stride {
		var v uint32
		if rest := b[s:]; len(rest) >= wide {
			v = binary.LittleEndian.Uint32(rest)
		} else {
			v = short(rest)
		}
		hash := v & mask * scatter >> down
		if filter[hash/64]>>(hash%64)&1 == 0 {
			continue
		}
		if at, text = t.around(b, s, hash, from, limit); text >= 0 {
			return at, text
		}
	}
	return 0, -1
}

// In reports whether a text of the table occurs in s.
func (t *Table) In(s string) bool {
	_, text := t.find([]byte(s), 0, len(s))
	return text >= 0
}

// around returns the first place of a text whose sample with the hash is at s, and the longest text that begins
// there. The places that other samples show are before or behind all of these.
func (t *Table) around(b []byte, s int, hash uint32, from, limit int) (at, text int) {
	at, text = limit, -1
	for n := t.heads[hash&uint32(len(t.heads)-1)]; n > 0; n = t.samples[n-1].next {
		x := &t.samples[n-1]
		begin, word := s-x.at, t.texts[x.text]
		if begin < from || begin > at || begin >= limit || len(b)-begin < len(word) ||
			string(b[begin:begin+len(word)]) != word {
			continue
		}
		if begin < at || len(word) > len(t.texts[text]) {
			at, text = begin, x.text
		}
	}
	return at, text
}
