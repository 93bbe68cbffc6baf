package browse

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Watchers are browsers that watch a list. Each has a session of its own.
type Watchers struct {
	n         int
	transport *http.Transport
	cancel    context.CancelFunc
	streams   sync.WaitGroup
	failed    chan struct{} // closed when err is set

	mu    sync.Mutex // guards the fields below
	parts int64      // events with the list that all have received
	round int        // counts the calls of Next
	seen  []time.Time
	all   chan struct{} // closed when all have received the list in this round
	err   error
}

// Watch opens a stream for each of the sessions, which are given by their tokens, and waits until each has the list.
// base is the URL of the server, and path that of the stream.
func Watch(ctx context.Context, base, path string, tokens []string) (*Watchers, error) {
	streams, cancel := context.WithCancel(context.Background())
	w := &Watchers{
		n: len(tokens), transport: newTransport(), cancel: cancel, failed: make(chan struct{}),
	}
	_, err := w.Next(ctx, func() error {
		for _, t := range tokens {
			w.streams.Go(func() {
				if err := w.watch(streams, base+path, t); streams.Err() == nil {
					w.fail(err)
				}
			})
		}
		return nil
	})
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("open streams: %w", err)
	}
	return w, nil
}

// Close closes the streams.
func (w *Watchers) Close() {
	w.cancel()
	w.streams.Wait()
	w.transport.CloseIdleConnections()
}

// Parts returns how many events with the list all watchers have received.
func (w *Watchers) Parts() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parts
}

// Next makes a change and waits until each watcher has received the list after that. It returns after which times, the
// shortest first.
func (w *Watchers) Next(ctx context.Context, change func() error) ([]time.Duration, error) {
	all := make(chan struct{})
	w.mu.Lock()
	w.round++
	w.seen, w.all = nil, all
	w.mu.Unlock()
	began := time.Now()
	if err := change(); err != nil {
		return nil, err
	}
	var err error
	select {
	case <-all:
	case <-w.failed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err = errors.Join(err, w.err); err != nil {
		return nil, fmt.Errorf("%d of %d watchers know of the change: %w", len(w.seen), w.n, err)
	}
	times := make([]time.Duration, len(w.seen))
	for i, at := range w.seen {
		times[i] = at.Sub(began)
	}
	return times, nil
}

// Rest waits until nobody has received the list for the time.
func (w *Watchers) Rest(ctx context.Context, quiet time.Duration) error {
	for before := int64(-1); before != w.Parts(); {
		before = w.Parts()
		select {
		case <-time.After(quiet):
		case <-w.failed:
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.err
		case <-ctx.Done():
			return fmt.Errorf("wait until the list does not change: %w", ctx.Err())
		}
	}
	return nil
}

func (w *Watchers) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.failed)
	}
}

// watch reads one stream. It returns why that has ended.
func (w *Watchers) watch(ctx context.Context, url, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.AddCookie(&http.Cookie{Name: cookie, Value: token})
	a, err := w.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("open a stream: status %d", a.StatusCode)
	}
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	round, event := 0, ""
	for lines.Scan() {
		line := lines.Bytes()
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			event = string(name)
		}
		switch {
		case len(line) > 0 || event == "":
		case event != "part":
			return fmt.Errorf("a stream says %q", event)
		default:
			round, event = w.part(round), ""
		}
	}
	return fmt.Errorf("a stream has ended: %w", cmp.Or(lines.Err(), io.EOF))
}

// part counts an event with the list, for a watcher that has received one in a round before. It returns the round.
func (w *Watchers) part(before int) int {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts++
	if before < w.round {
		if w.seen = append(w.seen, now); len(w.seen) == w.n {
			close(w.all)
		}
	}
	return w.round
}
