//go:build linux

package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// tally counts calls by kind.
type tally struct {
	mu    sync.Mutex // guards the fields below
	done  map[string]int
	asked map[string]int // provoked refusals
	wrong map[string]int // wrong responses
}

func newTally() *tally {
	return &tally{done: map[string]int{}, asked: map[string]int{}, wrong: map[string]int{}}
}

// maxKinds limits the number of different wrong responses that are kept.
const maxKinds = 200

func (t *tally) add(to map[string]int, kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := to[kind]; !known && len(to) >= maxKinds {
		kind = "of more kinds"
	}
	to[kind]++
}

func (t *tally) did(kind string)      { t.add(t.done, kind) }
func (t *tally) provoked(kind string) { t.add(t.asked, kind) }
func (t *tally) failed(kind string)   { t.add(t.wrong, kind) }

// missing returns the kinds of calls that have not happened.
func (t *tally) missing() (all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range kinds {
		if t.done[kind]+t.asked[kind] == 0 {
			all = append(all, kind)
		}
	}
	return all
}

// errors returns the number of wrong responses.
func (t *tally) errors() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, v := range t.wrong {
		n += v
	}
	return n
}

// line returns a one-line summary.
func (t *tally) line() string {
	wrong := t.errors()
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d logins, %d clones, %d reads, %d errors", t.done[didLogin], t.done[didClone],
		t.done[didRead], wrong)
}

func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, part := range []struct {
		title string
		of    map[string]int
	}{{"done", t.done}, {"refused as it was asked for", t.asked}, {"NOT ASKED FOR", t.wrong}} {
		if len(part.of) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s:\n", part.title)
		for _, kind := range slices.Sorted(maps.Keys(part.of)) {
			fmt.Fprintf(w, "  %9d  %s\n", part.of[kind], kind)
		}
	}
}
