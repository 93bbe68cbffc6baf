package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Guard states what must hold at the instant of every commit that is made on
// behalf of a caller.
type Guard interface {
	// Conditions judges the changes that are about to be committed. It returns
	// checks (see Require and RequireAt) that the commit is held to in the same
	// transaction, or an error if the caller must not make the commit. It is
	// called anew for each attempt, with the views up to date.
	Conditions(changes []Change) ([]Change, error)
}

// GuardedContext is a context whose commits by Mirror.Commit are held to Guard.
type GuardedContext struct {
	context.Context
	Guard Guard
}

type guardKey struct{}

// Value is part of context.Context.
func (c *GuardedContext) Value(key any) any {
	if key == (guardKey{}) {
		return c.Guard
	}
	return c.Context.Value(key)
}

// WithoutGuard returns a context for work that goes on in its own right, such as
// a duty that is already durable.
func WithoutGuard(ctx context.Context) context.Context {
	return &GuardedContext{Context: ctx}
}

// guardTries bounds how often a commit is tried again because a condition of its
// guard changed between the judgement and the commit.
const guardTries = 20

// commitGuarded commits the changes, held to the conditions of the guard.
func (m *Mirror) commitGuarded(ctx context.Context, g Guard, changes []Change) (Revision, error) {
	for range guardTries {
		conditions, err := g.Conditions(changes)
		if err != nil {
			return 0, err
		}
		rev, err := m.commit(ctx, held(changes, conditions))
		var conflict *ConflictError
		if !errors.As(err, &conflict) || conflict.Index < len(changes) {
			return rev, err
		}
	}
	return 0, fmt.Errorf("%w: the caller's authority changes all the time", ErrUnavailable)
}

// held returns the changes with the conditions. A commit may name a record only
// once: a change that has no condition of its own takes that of its record, and
// one that has its own keeps it.
func held(changes, conditions []Change) []Change {
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
