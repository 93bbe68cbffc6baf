// Package eviction ends the sessions of those who lost their access: a disabled
// user, one with a new password, an unregistered extension. The duty to end them
// is written in the same commit as the loss, so that a crash between the two
// leaves a duty and not a session.
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

// Ender ends all sessions of the principal but the one with the key keep, and
// returns when they are dead. Empty keep: all. To end what has ended is no error.
type Ender func(ctx context.Context, who principal.Name, keep string) error

// patience is how long sessions may take to end. The caller's own context
// doesn't count: it is the client's, and a client that hangs up must not keep
// them alive.
const patience = 30 * time.Second

// prefix begins the ids of duties, among the records of the kind they are kept
// with. What follows is the principal's key; the value is the session to keep.
const prefix = "end:"

// Duties are the endings that are not known to be done: the part of a
// store.View that keeps them.
type Duties struct {
	mu  sync.Mutex // guards due
	due map[string]store.Record
}

// Put and Delete report whether the record is a duty; it is then dealt with.
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

// Delete is Put's inverse.
func (d *Duties) Delete(id string) bool {
	if !strings.HasPrefix(id, prefix) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.due, id)
	return true
}

// Reset forgets all.
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

// Evictor does the duties that are kept with records of one kind.
type Evictor struct {
	Kind   store.Kind
	Mirror *store.Mirror // feeds Duties
	Duties *Duties
	End    Ender
	Log    *slog.Logger
}

// Note is the part of a commit that makes the ending a duty.
func (e *Evictor) Note(who principal.Name, keep string) store.Change {
	return store.Put(e.Kind, prefix+who.Key(), []byte(keep), time.Time{})
}

// Spares returns the condition that no duty is noted by which the session with
// the key, of who, must end. ok is false if one is: the session lives only because
// it is not ended yet.
func (e *Evictor) Spares(who principal.Name, key string) (condition store.Change, ok bool) {
	switch r, due := e.Duties.get(prefix + who.Key()); {
	case !due:
		return store.Forbid(e.Kind, prefix+who.Key()), true
	case string(r.Value) == key:
		return store.RequireAt(e.Kind, r.ID, r.Revision), true
	}
	return store.Change{}, false
}

// Settle does the duty that was noted in the commit at the revision. Where it
// fails the duty stays.
func (e *Evictor) Settle(ctx context.Context, who principal.Name, keep string, at store.Revision) error {
	// The duty is the server's own: the session that caused it may end by it.
	ctx, stop := context.WithTimeout(store.WithoutGuard(context.WithoutCancel(ctx)), patience)
	defer stop()
	if err := e.End(ctx, who, keep); err != nil {
		return fmt.Errorf("end sessions of %s: %w", who, err)
	}
	_, err := e.Mirror.Commit(ctx, store.DeleteAt(e.Kind, prefix+who.Key(), at))
	if err != nil && !errors.Is(err, store.ErrConflict) {
		// The sessions are dead. That they are ended once more later harms
		// nobody; a conflict is a newer duty, which another call does.
		e.Log.Warn("sessions were ended, but not struck off", "principal", who.String(), "error", err)
	}
	return nil
}

// Resume does all duties that are left over from a crash or a failure. Call it
// at the start and from time to time.
func (e *Evictor) Resume(ctx context.Context) error {
	var failed []error
	for _, r := range e.Duties.list() {
		if err := e.Settle(ctx, name(r.ID), string(r.Value), r.Revision); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// name is the principal of a duty. It is spelled in lower case, which names the
// same principal.
func name(id string) principal.Name {
	key := strings.TrimPrefix(id, prefix)
	if domain, user, ok := strings.Cut(key, `\`); ok {
		return principal.Name{Domain: strings.ToUpper(domain), User: user}
	}
	return principal.Extension(key)
}
