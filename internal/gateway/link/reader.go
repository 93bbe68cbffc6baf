package link

import (
	"errors"
	"io"
)

// Reader returns the text of src, rewritten. Bytes are passed on as soon as it is clear that they are
// not a part of a URL. The result is also an io.WriterTo, which copies only what changes.
func (r *Rewriter) Reader(src io.Reader) io.Reader { return &reader{parts: parts{r: r}, src: src} }

// window is how much of a text Read reads at a time.
const window = 32 << 10

// parts rewrites a text that comes in parts.
type parts struct {
	r *Rewriter
	// held is the end of the text until now, which may be the beginning of a URL, and spare the memory of the one
	// before.
	held, spare []byte
	out         []byte // memory of what is rewritten
	before      byte   // the last byte that was passed on
}

// next returns what is passed on after one more part. It is valid until the part changes or next is called again.
// final says that there is no more.
func (p *parts) next(part []byte, final bool) []byte {
	text := part
	if len(p.held) > 0 {
		p.held = append(p.held, part...)
		text = p.held
	}
	out, done := p.r.rewrite(p.out[:0], text, p.before, final)
	if done > 0 {
		p.before = text[done-1]
	}
	p.held, p.spare = append(p.spare[:0], text[done:]...), p.held
	if out == nil {
		return text[:done]
	}
	p.out = out
	return out
}

type reader struct {
	parts
	src   io.Reader
	in    []byte
	ready []byte // what is passed on next
	err   error  // of src
}

// Read returns the next bytes of the rewritten text.
func (s *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.in == nil {
			s.in = make([]byte, window)
		}
		var n int
		n, s.err = s.src.Read(s.in)
		s.ready = s.next(s.in[:n], s.err != nil)
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (s *reader) WriteTo(w io.Writer) (int64, error) {
	to := &writer{reader: s, to: w}
	if err := to.pass(s.ready); err != nil {
		return to.n, err
	}
	s.ready = nil
	if s.err == nil {
		_, err := io.Copy(to, s.src)
		if to.err != nil {
			return to.n, to.err
		}
		if s.err = err; err == nil {
			s.err = io.EOF
		}
		if err := to.pass(s.next(nil, true)); err != nil {
			return to.n, err
		}
	}
	if errors.Is(s.err, io.EOF) {
		return to.n, nil
	}
	return to.n, s.err
}

// writer is the end of a reader that its source writes to.
type writer struct {
	*reader
	to  io.Writer
	n   int64
	err error // of to
}

// Write implements io.Writer.
func (w *writer) Write(part []byte) (int, error) {
	if err := w.pass(w.next(part, false)); err != nil {
		return 0, err
	}
	return len(part), nil
}

func (w *writer) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := w.to.Write(b)
	w.n, w.err = w.n+int64(n), err
	return err
}
