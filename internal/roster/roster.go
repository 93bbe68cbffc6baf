// Package roster has users and extensions made one at a time, on all servers that
// share a store. What is asked of somebody new, that no name there is looks alike
// and that there are not too many, then still holds when the commit is made.
package roster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// ErrTaken: somebody is called so already, or alike.
var ErrTaken = errors.New("the name is taken")

// Names are those of one kind of principals.
type Names interface {
	// Alike reports whether there is a name that a reader takes for this one.
	Alike(name string) bool
}

// Roster is the record that whoever makes a user or an extension writes in the same
// commit. Only the record's revision counts.
type Roster struct {
	// Mirror feeds the roster and all of Names.
	Mirror *store.Mirror
	// Names are the names that nobody new may be taken for.
	Names []Names

	mu sync.Mutex // guards what follows
	// at is the record's revision, 0: there is none. staged is that of the whole
	// state that is being read.
	at, staged store.Revision
	loading    bool
}

// id is the record's.
const id = "roster"

// View is what the mirror feeds the roster by.
func (r *Roster) View() store.View {
	return store.NewView([]store.Kind{store.Roster}, r.reset, r.put, r.delete, r.whole)
}

// reset is the view's Reset.
func (r *Roster) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.staged, r.loading = 0, true
}

// put is the view's Put.
func (r *Roster) put(rec store.Record) {
	if rec.ID == id {
		r.set(rec.Revision)
	}
}

// delete is the view's Delete.
func (r *Roster) delete(_ store.Kind, deleted string) {
	if deleted == id {
		r.set(0)
	}
}

// whole is the view's Whole.
func (r *Roster) whole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loading {
		r.at, r.loading = r.staged, false
	}
}

func (r *Roster) set(at store.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loading {
		r.staged = at
	} else {
		r.at = at
	}
}

// Turn returns a change for a commit that is decided by what the views say from
// then on. The commit fails with a conflict if another one with such a change was
// made first.
func (r *Roster) Turn(ctx context.Context) (store.Change, error) {
	if err := r.Mirror.Sync(ctx); err != nil {
		return store.Change{}, err
	}
	r.mu.Lock()
	at := r.at
	r.mu.Unlock()
	// The record may be of a commit that the mirror is in the midst of showing.
	if err := r.Mirror.Wait(ctx, at); err != nil {
		return store.Change{}, err
	}
	if at == 0 {
		return store.Create(store.Roster, id, nil, time.Time{}), nil
	}
	return store.Update(store.Roster, id, at, nil, time.Time{}), nil
}

// Admit is Turn for a commit that gives somebody new the name. ErrTaken: it is
// somebody's, or alike.
func (r *Roster) Admit(ctx context.Context, name string) (store.Change, error) {
	turn, err := r.Turn(ctx)
	if err != nil {
		return store.Change{}, err
	}
	for _, names := range r.Names {
		if names.Alike(name) {
			return store.Change{}, ErrTaken
		}
	}
	return turn, nil
}

// attempts is how often somebody is made anew when others were faster. Each time,
// another one got on.
const attempts = 100

// Enter has commit make somebody with the name, in a commit that the change is part
// of. It calls commit again if the commit failed with a conflict.
func (r *Roster) Enter(ctx context.Context, name string, commit func(turn store.Change) error) error {
	for range attempts {
		turn, err := r.Admit(ctx, name)
		if err != nil {
			return err
		}
		if err = commit(turn); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("others are made all the time: %w", store.ErrConflict)
}
