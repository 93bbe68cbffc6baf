package xmltoken

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	// firstWindow is the size in bytes of the part of a stream that is in memory, and laterWindow its size once
	// the stream has turned out to be longer. A token that is longer than that has a window of its own.
	firstWindow = 4 << 10
	laterWindow = 32 << 10
	// maxToken is the size of the longest token, and maxWindow that of the largest window.
	maxToken  = 16 << 20
	maxWindow = 2 * maxToken
	// maxKept is the longest name and the longest declaration of a namespace that are copied whenever the window
	// moves, in bytes. Before a longer one, the standard tokenizer goes on.
	maxKept = 1 << 10
	// maxEmpty is how often a source may give nothing, one time after the other.
	maxEmpty = 100
)

var errToken = errorf("a part of the message is too long")

// stream is the source of a message that is read while it arrives.
type stream struct {
	io.Reader
	err error // its last error; io.EOF at the end
}

// Read implements io.Reader. After an error, it does not ask the source again.
func (s *stream) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.Reader.Read(b)
	s.err = err
	return n, err
}

// startStream begins reading a stream. p has its zero value. An error of the source is that of the first token.
func (p *plain) startStream(source io.Reader, o Options) {
	p.source = &stream{Reader: source}
	p.message = make([]byte, 0, firstWindow)
	for len(p.message) < longestOpening && p.source.err == nil {
		_ = p.fill() // next sees the error
	}
	p.start(p.message, o)
	p.limits.Markup = math.MaxInt
}

// ended reports whether all of the message is in memory.
func (p *plain) ended() bool { return p.source == nil || errors.Is(p.source.err, io.EOF) }

// cut reports whether the token at p.at may go on behind the window. It is false for what plain does not read, such
// as a comment, so that the window does not grow for it.
func (p *plain) cut() bool {
	rest := p.message[p.at:]
	switch {
	case p.source == nil:
		return false
	case len(rest) == 0:
		return true
	case rest[0] != '<':
		return bytes.IndexByte(rest, '<') < 0
	case len(rest) == 1:
		return true
	}
	switch rest[1] {
	case '!', '?':
		return false
	case '/':
		return bytes.IndexByte(rest, '>') < 0
	}
	return openTag(rest[1:])
}

// openTag reports whether a start tag goes on behind tag. A value may contain '>', but not '<'.
func openTag(tag []byte) bool {
	for {
		at := bytes.IndexAny(tag, `"'<>`)
		if at < 0 {
			return true
		}
		ends := `"<`
		switch tag[at] {
		case '<', '>':
			return false
		case '\'':
			ends = `'<`
		}
		tag = tag[at+1:]
		end := bytes.IndexAny(tag, ends)
		if end < 0 {
			return true
		}
		if tag[end] == '<' {
			return false
		}
		tag = tag[end+1:]
	}
}

// fill moves the window, so that it begins with the token at p.at, and reads more. If the window has only a part of
// that token, it reads as much again, so that the work for a token does not grow with the square of its length.
func (p *plain) fill() error {
	if err := p.source.err; err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	p.keep()
	rest, window := p.message[p.at:], p.message[:cap(p.message)]
	size := len(window)
	switch {
	case len(rest) > size/2:
		size *= 2
	case len(p.message) == size:
		size = max(size, laterWindow) // there is more than one window
	}
	if size > maxWindow {
		return errToken
	}
	if size > len(window) {
		window = make([]byte, size)
	}
	p.base += p.at
	p.at = 0
	n := copy(window, rest)
	for empty, want := 0, n+max(1, n); n < min(want, size) && p.source.err == nil; {
		more, _ := p.source.Read(window[n:]) // the source keeps the error
		n += more
		if empty++; more > 0 {
			empty = 0
		}
		if empty == maxEmpty {
			p.source.err = io.ErrNoProgress
		}
	}
	p.message = window[:n]
	return nil
}

// keep copies the names and namespaces that are still needed when the window has moved.
func (p *plain) keep() {
	for i := range p.open {
		p.open[i].name = bytes.Clone(p.open[i].name)
	}
	for i := range p.spaces {
		p.spaces[i] = declaration{bytes.Clone(p.spaces[i].prefix), bytes.Clone(p.spaces[i].space)}
	}
}

// resume returns the standard tokenizer for the rest of a stream. It has read tags that stand for the open elements
// and their namespaces.
func (p *plain) resume() (*standard, error) {
	var tags []byte
	for i, e := range p.open {
		end := len(p.spaces)
		if i+1 < len(p.open) {
			end = p.open[i+1].spaces
		}
		tags = append(append(tags, '<'), e.name...)
		for _, d := range p.spaces[e.spaces:end] {
			tags = append(tags, " xmlns"...)
			if d.prefix != nil {
				tags = append(append(tags, ':'), d.prefix...)
			}
			tags = append(AppendText(append(tags, `="`...), string(d.space)), '"')
		}
		tags = append(tags, '>')
	}
	s := newStream(io.MultiReader(bytes.NewReader(tags), bytes.NewReader(p.message[p.at:]), p.source), p.limits)
	s.shift = p.base + p.at - len(tags)
	for range p.open {
		if _, err := s.next(); err != nil {
			return nil, err
		}
	}
	return s, nil
}
