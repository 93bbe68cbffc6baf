package message

import (
	"errors"
	"io"
)

// Replacer decides what stands in an answer instead of a text of a Table.
type Replacer interface {
	// Replace is called for each occurrence of a text, which is given by its place in the Table. out is the output so
	// far. It ends with the bytes before the occurrence, at least Table.reach of them if there are so many. rest has
	// the bytes after the occurrence, at least as many. Replace appends the replacement to out. Before that, it may
	// remove up to Table.reach bytes from the end of out. It returns out, and the number of bytes of rest that it has
	// replaced as well.
	Replace(out []byte, text int, rest []byte) (_ []byte, used int)
}

// bufferSize is the size of the parts in which a stream is read, and longSize that of the later parts of a long
// one, in bytes.
const (
	bufferSize = 32 << 10
	longSize   = 128 << 10
)

// Stream passes bytes on and replaces the texts of a Table. Reset begins it. It keeps its memory for the next
// use: about twice bufferSize. The larger memory of a long stream is not used again.
type Stream struct {
	table    *Table
	replacer Replacer
	source   io.Reader
	err      error // of source
	in       []byte
	from, to int    // the part of in in which texts are still to be found
	kept     int    // bytes before from that are not passed on, because a Replacer may remove them
	out      []byte // passed on, but for the bytes before sent
	sent     int
	parts    int // read until now
}

// Reset begins a new stream.
func (s *Stream) Reset(t *Table, r Replacer, source io.Reader) {
	s.table, s.replacer, s.source, s.err = t, r, source, nil
	s.from, s.to, s.kept, s.sent, s.out, s.parts = 0, 0, 0, 0, s.out[:0], 0
	if len(s.in) > longSize {
		s.in = nil // most streams are short
	}
	s.room(bufferSize)
}

// room makes room for a part of the size.
func (s *Stream) room(size int) {
	if need := size + s.table.most + 2*s.table.reach; len(s.in) < need {
		larger := make([]byte, need)
		copy(larger, s.in[:s.to])
		s.in = larger
	}
}

// Read implements io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		ready := s.ready()
		if len(ready) > 0 {
			n := copy(p, ready)
			s.sent += n
			return n, nil
		}
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
}

// WriteTo implements io.WriterTo. It copies only what is near a text that is replaced.
func (s *Stream) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if ready := s.ready(); len(ready) > 0 {
			n, err := w.Write(ready)
			s.sent, total = s.sent+n, total+int64(n)
			if err != nil {
				return total, err
			}
			continue
		}
		if s.err != nil {
			if errors.Is(s.err, io.EOF) {
				return total, nil
			}
			return total, s.err
		}
		limit := s.read()
		before, plain := s.plain(limit)
		if plain == nil {
			s.pass(limit)
			continue
		}
		for _, b := range [][]byte{before, plain} {
			if len(b) == 0 {
				continue
			}
			n, err := w.Write(b)
			if total += int64(n); err != nil {
				return total, err
			}
		}
	}
}

// ready returns what can be passed on of out. As long as more may follow, the last bytes wait: a Replacer may
// remove them.
func (s *Stream) ready() []byte {
	end := len(s.out)
	if s.err == nil {
		end -= s.table.reach
	}
	if end <= s.sent {
		return nil
	}
	return s.out[s.sent:end]
}

// fill reads the next part of the source and moves what is certain to out.
func (s *Stream) fill() { s.pass(s.read()) }

// read reads the next part of the source. A text that begins below the limit is here as a whole, and so is what
// the Replacer sees behind it.
func (s *Stream) read() (limit int) {
	if s.parts++; s.parts > 2 {
		s.room(longSize)
	}
	s.to = copy(s.in, s.in[s.from-s.kept:s.to])
	s.from = s.kept
	n, err := s.source.Read(s.in[s.to:])
	s.to += n
	s.err = err
	if err != nil {
		return s.to
	}
	return max(s.from, s.to-s.table.most-s.table.reach+1)
}

// plain returns what can be passed on as it is if there is no text below the limit: what is left in out, and then a
// part of in. It returns nil if there is one, or if this is not worth it.
func (s *Stream) plain(limit int) (before, plain []byte) {
	if s.err != nil || limit-s.from <= s.table.reach {
		return nil, nil
	}
	if _, text := s.table.find(s.in[:s.to], s.from, limit); text >= 0 {
		return nil, nil
	}
	before, s.out, s.sent = s.out[s.sent:], s.out[:0], 0
	begin, end := s.from-s.kept, limit-s.table.reach
	s.from, s.kept = limit, s.table.reach
	return before, s.in[begin:end]
}

// pass moves what is below the limit to out.
func (s *Stream) pass(limit int) {
	s.out = s.out[:copy(s.out, s.out[s.sent:])]
	s.sent = 0
	s.out = append(s.out, s.in[s.from-s.kept:s.from]...)
	s.kept = 0
	for s.from < limit {
		at, text := s.table.find(s.in[:s.to], s.from, limit)
		if text < 0 {
			s.out = append(s.out, s.in[s.from:limit]...)
			s.from = limit
			return
		}
		s.out = append(s.out, s.in[s.from:at]...)
		rest := s.in[at+len(s.table.texts[text]) : s.to]
		var used int
		s.out, used = s.replacer.Replace(s.out, text, rest)
		s.from = s.to - len(rest) + used
	}
}

// Append appends b to out, with the texts of the table replaced. A Replacer sees at most what is in out and b.
func (t *Table) Append(out, b []byte, r Replacer) []byte {
	for {
		at, text := t.find(b, 0, len(b))
		if text < 0 {
			return append(out, b...)
		}
		out = append(out, b[:at]...)
		b = b[at+len(t.texts[text]):]
		var used int
		out, used = r.Replace(out, text, b)
		b = b[used:]
	}
}
