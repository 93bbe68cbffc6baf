// Package eviction ends the sessions of a principal that has lost its access: a disabled user, a
// user with a new password, or an unregistered extension.
//
// The instruction to end the sessions, called a duty, is stored in the same commit as the loss of
// access ([Evictor.Note]). So after a crash between the commit and the end of the sessions, the
// server still ends them ([Evictor.Resume]). [Duties] are the duties that are not done yet. An
// [Evictor] does them and then deletes them. The package does not know what a session is: the
// caller passes a function that ends them.
package eviction

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// Ender ends all sessions of the principal except the one with the key keep, and returns when they
// have ended. If keep is empty, it ends all sessions. It is not an error if there is none.
type Ender func(ctx context.Context, who principal.Name, keep string) error

// patience is how long the end of the sessions may take. The context of the caller is ignored: a
// client that disconnects must not keep the sessions alive.
const patience = 30 * time.Second

// prefix is the prefix of the ids of duties. Duties are records of the same kind as the principals.
// The rest of the id is the principal's key, and the value is the key of the session to keep.
const prefix = "end:"

// Duties holds the duties that are not done yet. It is a part of the store.View of the kind of
// records that contains them.
type Duties struct {
	mu  sync.Mutex // guards due
	due map[string]store.Record
}

// Put adds the record if it is a duty, and reports whether it is.
func (d *Duties) Put(r store.Record) bool {
	if !strings.HasPrefix(r.ID, prefix) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.due == nil {
		d.due = map[string]store.Record{}
	}
	d.due[r.ID] = r
	return true
}

// Delete removes the duty with the id, and reports whether the id is that of a duty.
func (d *Duties) Delete(id string) bool {
	if !strings.HasPrefix(id, prefix) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.due, id)
	return true
}

// Reset removes all duties.
func (d *Duties) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = nil
}

func (d *Duties) get(id string) (store.Record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.due[id]
	return r, ok
}

func (d *Duties) list() []store.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.due), func(a, b store.Record) int { return strings.Compare(a.ID, b.ID) })
}

// Evictor does the duties that are stored among the records of one kind. All fields are required.
type Evictor struct {
	Kind   store.Kind
	Mirror *store.Mirror // updates Duties
	Duties *Duties
	End    Ender
	Logger *slog.Logger
}

// Note returns the change that stores a duty. The caller commits it together with the loss of
// access.
func (e *Evictor) Note(who principal.Name, keep string) store.Change {
	return store.Put(e.Kind, prefix+who.Key(), []byte(keep), time.Time{})
}

// Spares returns a condition for a commit: no duty demands the end of the principal's session with
// the key. ok is false if a duty already demands it, so the session only exists until the duty is
// done.
func (e *Evictor) Spares(who principal.Name, key string) (condition store.Change, ok bool) {
	switch r, due := e.Duties.get(prefix + who.Key()); {
	case !due:
		return store.Forbid(e.Kind, prefix+who.Key()), true
	case string(r.Value) == key:
		return store.RequireAt(e.Kind, r.ID, r.Revision), true
	}
	return store.Change{}, false
}

// Settle does the duty that was stored by the commit at the revision. If it fails, the duty
// remains.
func (e *Evictor) Settle(ctx context.Context, who principal.Name, keep string, at store.Revision) error {
	// The commit must not depend on the session of the caller, because the duty may end that
	// session.
	ctx, stop := context.WithTimeout(store.WithoutGuard(context.WithoutCancel(ctx)), patience)
	defer stop()
	if err := e.End(ctx, who, keep); err != nil {
		return fmt.Errorf("end sessions of %s: %w", who, err)
	}
	_, err := e.Mirror.Commit(ctx, store.DeleteAt(e.Kind, prefix+who.Key(), at))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		// The sessions have ended. It is harmless if the duty is done again later. A conflict means
		// that there is a newer duty, which another call does.
		e.Logger.Warn("sessions were ended, but the instruction to end them was not deleted",
			"principal", who.String(), "err", err)
	}
	return nil
}

// Resume does all duties that remain after a crash or a failure. It must be called at the start and
// periodically.
func (e *Evictor) Resume(ctx context.Context) error {
	var failed []error
	for _, r := range e.Duties.list() {
		if err := e.Settle(ctx, name(r.ID), string(r.Value), r.Revision); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// name returns the principal of a duty. The name is in lower case, which names the same principal.
func name(id string) principal.Name {
	key := strings.TrimPrefix(id, prefix)
	if domain, user, ok := strings.Cut(key, `\`); ok {
		return principal.Name{Domain: strings.ToUpper(domain), User: user}
	}
	return principal.Extension(key)
}
