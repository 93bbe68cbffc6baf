package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Guard is the condition of every commit that is made on behalf of a caller. It must hold at the
// instant of the commit.
type Guard interface {
	// Conditions judges the changes that are about to be committed. It returns checks (see Require
	// and RequireAt), which the commit adds to its transaction, or an error if the caller must not
	// make the commit. It is called again for each attempt, with views that are up to date.
	Conditions(changes []Change) ([]Change, error)
}

// GuardedContext is a context under which Mirror.Commit enforces Guard.
type GuardedContext struct {
	context.Context
	Guard Guard
}

type guardKey struct{}

// Value implements context.Context.
func (c *GuardedContext) Value(key any) any {
	if key == (guardKey{}) {
		return c.Guard
	}
	return c.Context.Value(key)
}

// WithoutGuard returns a context for work that does not depend on the caller's rights any more, for
// example a duty that is already durable.
func WithoutGuard(ctx context.Context) context.Context {
	return &GuardedContext{Context: ctx}
}

// guardTries bounds how often a commit is tried again because a condition of its guard changed
// after the guard had judged.
const guardTries = 20

// commitGuarded commits the changes together with the conditions of the guard.
func (m *Mirror) commitGuarded(ctx context.Context, g Guard, changes []Change) (Revision, error) {
	for range guardTries {
		conditions, err := g.Conditions(changes)
		if err != nil {
			return 0, err
		}
		rev, err := m.commit(ctx, withConditions(changes, conditions))
		var conflict *ConflictError
		if !errors.As(err, &conflict) || conflict.Index < len(changes) {
			return rev, err
		}
	}
	return 0, fmt.Errorf("%w: check the caller's authority: it changed during %d attempts", ErrUnavailable, guardTries)
}

// withConditions returns the changes together with the conditions. A commit must not name a record
// twice. So if a change names the record of a condition, the change takes over that condition,
// unless it has one of its own.
func withConditions(changes, conditions []Change) []Change {
	all := slices.Clone(changes)
	for _, c := range conditions {
		i := slices.IndexFunc(changes, func(x Change) bool {
			return x.Op != OpAppend && x.Record.Kind == c.Record.Kind && x.Record.ID == c.Record.ID
		})
		switch {
		case i < 0:
			all = append(all, c)
		case all[i].If.kind == condAlways:
			all[i].If = c.If
		}
	}
	return all
}
