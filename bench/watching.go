//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vigate/vigate/bench/browse"
	"github.com/vigate/vigate/bench/figure"
)

const (
	// rest is how long nothing must have happened before an idle server is measured. It is longer than the time
	// after which the server writes when sessions were used, which changes the list.
	rest = 3 * time.Second
	// changes is how often the list is changed, and changeEvery the time between two changes. It is longer than the
	// shortest time between two events of a stream.
	changes     = 5
	changeEvery = 1500 * time.Millisecond
)

// watching measures browsers that watch the list: what they cost while nothing happens, and what a change costs.
func (c *consoleRun) watching(ctx context.Context) ([]figure.Figure, error) {
	tokens, err := c.clones(c.Watchers)
	if err != nil {
		return nil, err
	}
	leaving, err := c.clones(changes) // they are the first of the list
	if err != nil {
		return nil, err
	}
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	alone, err := c.idle(ctx, nil)
	if err != nil {
		return nil, err
	}
	empty, err := c.server.live(ctx)
	if err != nil {
		return nil, err
	}
	w, err := browse.Watch(ctx, c.base, "/ui/sessions/events", tokens)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if err := w.Rest(ctx, rest); err != nil {
		return nil, err
	}
	full, err := c.server.live(ctx)
	if err != nil {
		return nil, err
	}
	watched, err := c.idle(ctx, w)
	if err != nil {
		return nil, err
	}
	what := figure.Number(float64(c.Watchers)) + " browsers watch " + c.of() + ", "
	figures := []figure.Figure{
		{ID: "P12", What: what + "processor without a change", Unit: "ms/s", Floor: figure.Series{alone.cpu},
			Vigate: figure.Series{watched.cpu - alone.cpu}, Goal: figure.AtMost(10),
			Note: fmt.Sprintf("above that of the idle server, in the floor's column; %v each", c.Idle)},
		{ID: "P12", What: what + "events and calls without a change", Unit: "events",
			Vigate: figure.Series{float64(watched.parts) + watched.calls}, Goal: figure.AtMost(0),
			Note: fmt.Sprintf("%d events, %s calls and %s changes of the store in %v", watched.parts,
				figure.Number(watched.calls), figure.Number(watched.revisions), c.Idle)},
		{ID: "P12", What: what + "memory of each", Unit: "KiB",
			Vigate: figure.Series{(full - empty) / 1024 / float64(c.Watchers)}, Note: "heap after a collection"},
	}
	changed, err := c.change(ctx, w, leaving, what)
	return append(figures, changed...), err
}

// change measures changes that all watchers see: the end of a session on the page.
func (c *consoleRun) change(
	ctx context.Context, w *browse.Watchers, leaving []string, what string,
) ([]figure.Figure, error) {
	if err := w.Rest(ctx, rest); err != nil {
		return nil, err
	}
	before := w.Parts()
	var half, last, cpu figure.Series
	for _, token := range leaving {
		used, err := c.server.CPU()
		if err != nil {
			return nil, err
		}
		times, err := w.Next(ctx, func() error { return c.logout(token) })
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(changeEvery):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		after, err := c.server.CPU()
		if err != nil {
			return nil, err
		}
		cpu = append(cpu, float64((after-used).Microseconds())/1000)
		half = append(half, times[len(times)/2].Seconds()*1000)
		last = append(last, times[len(times)-1].Seconds()*1000)
	}
	if err := w.Rest(ctx, rest); err != nil {
		return nil, err
	}
	each := float64(w.Parts()-before) / float64(len(leaving)*c.Watchers)
	return []figure.Figure{
		{ID: "P12", What: what + "from a change to the last of them", Unit: "ms", Vigate: last,
			Goal: figure.AtMost(1000), Note: "half of them after " + half.Text() + " ms"},
		{ID: "P12", What: what + "processor for a change", Unit: "ms", Vigate: cpu,
			Note: figure.Number(1000*cpu.Median()/float64(c.Watchers)) + " µs for each"},
		{ID: "P12", What: what + "events of each for a change", Unit: "events", Vigate: figure.Series{each},
			Goal: figure.AtMost(1)},
	}, nil
}

// window is what a server did in a time without requests.
type window struct {
	cpu              float64 // ms of processor time for each second
	parts            int64   // events with the list
	calls, revisions float64
}

// idle measures the server while it gets no request. w are the watchers, if there are any.
func (c *consoleRun) idle(ctx context.Context, w *browse.Watchers) (v window, err error) {
	parts := func() int64 {
		if w == nil {
			return 0
		}
		return w.Parts()
	}
	calls, revisions, err := c.counted(ctx)
	if err != nil {
		return v, err
	}
	before, err := c.server.CPU()
	if err != nil {
		return v, err
	}
	v.parts = parts()
	began := time.Now()
	select {
	case <-time.After(c.Idle):
	case <-ctx.Done():
		return v, ctx.Err()
	}
	after, err := c.server.CPU()
	if err != nil {
		return v, err
	}
	v.cpu = float64((after - before).Microseconds()) / 1000 / time.Since(began).Seconds()
	v.parts = parts() - v.parts
	if v.calls, v.revisions, err = c.counted(ctx); err != nil {
		return v, err
	}
	v.calls, v.revisions = v.calls-calls, v.revisions-revisions
	return v, nil
}

// settle waits until the store has not changed for a while.
func (c *consoleRun) settle(ctx context.Context) error {
	for before := -1.0; ; {
		_, now, err := c.counted(ctx)
		if err != nil || now == before {
			return err
		}
		before = now
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// counted returns how many calls the server has executed, and the revision of its store.
func (c *consoleRun) counted(ctx context.Context) (calls, revision float64, err error) {
	page, err := fetch(ctx, "http://"+c.server.admin+"/metrics")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(page)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var to *float64
		switch metric, _, _ := strings.Cut(name, "{"); metric {
		case "vigate_calls_total":
			to = &calls
		case "vigate_store_revision_applied":
			to = &revision
		default:
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the metric %s: %w", name, err)
		}
		*to += n
	}
	if revision == 0 {
		return 0, 0, fmt.Errorf("the server tells no revision of its store: %.300s", page)
	}
	return calls, revision, nil
}
