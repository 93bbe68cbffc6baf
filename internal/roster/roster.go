// Package roster serializes the creation of users and extensions on all servers that share a store.
//
// Two checks precede the creation of a user or an extension: no existing name may be the same as,
// or look like, the new one, and there may not be too many names. Every commit that creates a name
// also writes one shared record, the roster, at the revision at which the checks were made. So of
// two concurrent creations one fails with a conflict and is checked again, and the checks still
// hold when a commit is made. The package does not store names itself: see [Names].
package roster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// ErrTaken is returned if a user or an extension already has the name, or one that looks like it.
var ErrTaken = errors.New("the name is taken")

// Names are the existing names of one kind of principals, such as the users.
type Names interface {
	// Alike reports whether there is a name that a reader could mistake for this one.
	Alike(name string) bool
}

// Roster is a view of the record that every creation of a user or an extension writes in the same
// commit. Only the record's revision matters.
type Roster struct {
	// Mirror feeds the roster and all of Names.
	Mirror *store.Mirror
	// Names are the names that no new name may be the same as or look like.
	Names []Names

	mu sync.Mutex // guards what follows
	// at is the record's revision, 0 if there is no record. staged is the revision in the state
	// that is being loaded, see reset.
	at, staged store.Revision
	loading    bool
}

// id is the id of the record.
const id = "roster"

// View returns the view through which the mirror feeds the roster.
func (r *Roster) View() store.View {
	return store.NewView([]store.Kind{store.Roster}, r.reset, r.put, r.delete, r.whole)
}

// reset implements the view's Reset.
func (r *Roster) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.staged, r.loading = 0, true
}

// put implements the view's Put.
func (r *Roster) put(rec store.Record) {
	if rec.ID == id {
		r.set(rec.Revision)
	}
}

// delete implements the view's Delete.
func (r *Roster) delete(_ store.Kind, deleted string) {
	if deleted == id {
		r.set(0)
	}
}

// whole implements the view's Whole.
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

// Turn returns a change for a commit that is decided by what the views show after Turn has
// returned. The commit fails with a conflict if another commit with such a change was made in
// between.
func (r *Roster) Turn(ctx context.Context) (store.Change, error) {
	if err := r.Mirror.Sync(ctx); err != nil {
		return store.Change{}, err
	}
	r.mu.Lock()
	at := r.at
	r.mu.Unlock()
	// The mirror may still be applying the commit that wrote the record.
	if err := r.Mirror.Wait(ctx, at); err != nil {
		return store.Change{}, err
	}
	if at == 0 {
		return store.Create(store.Roster, id, nil, time.Time{}), nil
	}
	return store.Update(store.Roster, id, at, nil, time.Time{}), nil
}

// Admit is like Turn, for a commit that creates a principal with the name. It returns ErrTaken if
// another principal has that name or one that looks like it.
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

// attempts is how often a creation is tried again after a conflict. At each conflict another
// creation succeeded.
const attempts = 100

// Enter calls commit to create a principal with the name, in a commit that must include the change.
// It calls commit again if the commit failed with a conflict.
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
	return fmt.Errorf("too many concurrent creations: %w", store.ErrConflict)
}
