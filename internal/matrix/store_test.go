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

// watched is the store as one server of the cluster sees it. A test can count the commits of this
// server, and act at the moment when one arrives.
type watched struct {
	store.Store

	mu      sync.Mutex // guards the fields below
	commits int        // number of commits since the last call of count
	at      int        // number of the commit before which then is called; 0 means none
	then    func()
	held    chan struct{} // while it is set, the server learns of no changes
	spent   func()        // see afterTicket
}

func watch(s store.Store) *watched { return &watched{Store: s} }

// count counts the commits from zero. It calls then once, before the commit with the number at is
// applied. The server that makes the commit learns nothing of what then does until the commit has
// been decided.
func (w *watched) count(at int, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits, w.at, w.then = 0, at, then
}

// afterTicket calls then once, after the next commit that spends a ticket and before the server goes
// on.
func (w *watched) afterTicket(then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spent = then
}

// counted returns the number of commits since the last call of count.
func (w *watched) counted() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commits
}

// Commit implements store.Store.
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
	rev, err := w.Store.Commit(ctx, changes...)
	if err == nil && slices.ContainsFunc(changes, spendsTicket) {
		w.mu.Lock()
		spent := w.spent
		w.spent = nil
		w.mu.Unlock()
		if spent != nil {
			spent()
		}
	}
	return rev, err
}

func spendsTicket(c store.Change) bool {
	return c.Op == store.OpDelete && c.Record.Kind == store.Ticket
}

// Watch implements store.Store.
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

// newest returns the revision of the newest commit in the store.
func (w *watched) newest(t testing.TB) store.Revision {
	t.Helper()
	at, err := w.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// contents is the content of a store: the values and revisions of the records, by kind and id.
type contents map[string]string

var errRead = errors.New("the whole state was read")

func (w *watched) contents(t testing.TB) contents {
	t.Helper()
	all := contents{}
	err := w.Store.Watch(t.Context(), func(b store.Batch) error {
		for _, d := range b.Deltas {
			all[fmt.Sprintf("%d/%s", d.Record.Kind, d.Record.ID)] = fmt.Sprintf("%d %q", d.Record.Revision,
				d.Record.Value)
		}
		return errRead
	})
	if !errors.Is(err, errRead) {
		t.Fatal(err)
	}
	return all
}

// since returns the records that have changed: those that were written, and with a minus sign those
// that were removed.
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

// duties reports whether the store contains an instruction to end sessions. The server completes
// such a duty, no matter who caused it.
func (c contents) duties() bool {
	for key := range c {
		if strings.Contains(key, "/end:") {
			return true
		}
	}
	return false
}
