package matrix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/store"
)

// watched is a server's handle on the store of its cluster. A test sees how many
// commits the server makes, and can act at the instant at which one arrives.
type watched struct {
	store.Store

	mu      sync.Mutex // guards what follows
	commits int        // that have arrived since the last count
	at      int        // the commit before which then is called; 0: none
	then    func()
	held    chan struct{} // while it is set, the server learns of no change
}

func watch(s store.Store) *watched { return &watched{Store: s} }

// count has commits counted from zero. Before the one with the number at is
// applied, then is called once. Of what then does the server that makes the
// commit learns nothing before the commit has been judged.
func (w *watched) count(at int, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits, w.at, w.then = 0, at, then
}

// counted is how many commits have arrived since count.
func (w *watched) counted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commits
}

// Commit is part of store.Store.
func (w *watched) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	w.mu.Lock()
	w.commits++
	then := w.then
	if w.commits != w.at {
		then = nil
	}
	if then != nil {
		w.then, w.held = nil, make(chan struct{})
		held := w.held
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.held = nil
			close(held)
		}()
	}
	w.mu.Unlock()
	if then != nil {
		then()
	}
	return w.Store.Commit(ctx, changes...)
}

// Watch is part of store.Store.
func (w *watched) Watch(ctx context.Context, apply func(store.Batch) error) error {
	return w.Store.Watch(ctx, func(b store.Batch) error {
		w.mu.Lock()
		held := w.held
		w.mu.Unlock()
		if held != nil {
			<-held
		}
		return apply(b)
	})
}

// newest is the revision of the store's newest commit.
func (w *watched) newest(t testing.TB) store.Revision {
	t.Helper()
	at, err := w.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// contents is what a store holds: the records' values and revisions by kind and id.
type contents map[string]string

var errRead = errors.New("the whole state was read")

func (w *watched) contents(t testing.TB) contents {
	t.Helper()
	all := contents{}
	err := w.Store.Watch(t.Context(), func(b store.Batch) error {
		for _, d := range b.Deltas {
			all[fmt.Sprintf("%d/%s", d.Record.Kind, d.Record.ID)] = fmt.Sprintf("%d %q", d.Record.Revision, d.Record.Value)
		}
		return errRead
	})
	if !errors.Is(err, errRead) {
		t.Fatal(err)
	}
	return all
}

// since is the records that are not as they were: those written, and those
// removed, which have a minus before them.
func (c contents) since(before contents) []string {
	var all []string
	for key, value := range c {
		if before[key] != value {
			all = append(all, key)
		}
	}
	for key := range before {
		if _, there := c[key]; !there {
			all = append(all, "-"+key)
		}
	}
	slices.Sort(all)
	return all
}

// duties reports whether sessions are to be ended as soon as somebody gets to
// it: such a duty is the server's, whoever caused it.
func (c contents) duties() bool {
	for key := range c {
		if strings.Contains(key, "/end:") {
			return true
		}
	}
	return false
}
