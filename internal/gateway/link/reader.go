package link

import "io"

// Reader returns the text of src, rewritten. Bytes are passed on as soon as it is clear that they are
// not a part of a URL.
func (r *Rewriter) Reader(src io.Reader) io.Reader { return &reader{r: r, src: src} }

// window is how much of a text is read at a time.
const window = 32 << 10

type reader struct {
	r   *Rewriter
	src io.Reader
	in  []byte // read, not yet rewritten
	out []byte // rewritten, not yet returned
	// sent is the part of out that has been returned.
	sent   int
	before byte  // the last byte that was rewritten
	err    error // of src
}

// Read returns the next bytes of the rewritten text.
func (s *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for s.sent == len(s.out) {
		if s.err != nil && len(s.in) == 0 {
			return 0, s.err
		}
		s.fill()
	}
	n := copy(p, s.out[s.sent:])
	s.sent += n
	return n, nil
}

// fill reads more, and rewrites what it can.
func (s *reader) fill() {
	if s.in == nil {
		s.in = make([]byte, 0, window)
		s.out = make([]byte, 0, window+window/8)
	}
	if s.err == nil {
		// What is left over is at most the beginning of one URL, so there is always room.
		var n int
		n, s.err = s.src.Read(s.in[len(s.in):cap(s.in)])
		s.in = s.in[:len(s.in)+n]
	}
	var done int
	s.out, done = s.r.rewrite(s.out[:0], s.in, s.before, s.err != nil)
	s.sent = 0
	if done > 0 {
		s.before = s.in[done-1]
		s.in = s.in[:copy(s.in, s.in[done:])]
	}
}
