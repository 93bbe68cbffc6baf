package consoletest

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Stream is a stream of server-sent events.
type Stream struct {
	t     testing.TB
	lines chan string
}

// patience is how long a stream may stay open.
const patience = time.Minute

// Watch opens the stream at a path. It is closed when the test ends.
func (b *Browser) Watch(path string) *Stream {
	b.t.Helper()
	server := httptest.NewServer(b)
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	b.t.Cleanup(func() {
		cancel()
		server.Close()
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Prepare(r)
	res, err := server.Client().Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	s := &Stream{t: b.t, lines: make(chan string, 10_000)}
	go func() {
		defer close(s.lines)
		defer res.Body.Close()
		scanner := bufio.NewScanner(res.Body)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			s.lines <- scanner.Text()
		}
	}()
	return s
}

// next returns the next event, or "" if the stream has ended.
func (s *Stream) next() (name, data string) {
	for line := range s.lines {
		switch key, value, _ := strings.Cut(line, ": "); {
		case key == "event":
			name = value
		case key == "data":
			data += value + "\n"
		case line == "" && name != "":
			return name, data
		}
	}
	return "", ""
}

// Until reads events until one is a part that has the text, or lacks it.
func (s *Stream) Until(text string, has bool) {
	s.t.Helper()
	for {
		name, data := s.next()
		if name != "part" {
			s.t.Fatalf("before %q: the event %q with %s", text, name, data)
		}
		if strings.Contains(data, text) == has {
			return
		}
	}
}

// Ends reads the rest of the stream. After any parts, the last event must be the named one with the text, or none if
// the name is empty.
func (s *Stream) Ends(name, text string) {
	s.t.Helper()
	last, data := "part", ""
	for last == "part" {
		last, data = s.next()
	}
	if last != name || !strings.Contains(data, text) {
		s.t.Errorf("the stream ends with %q, %s", last, data)
	}
	for line := range s.lines {
		s.t.Errorf("after the end: %s", line)
	}
}
