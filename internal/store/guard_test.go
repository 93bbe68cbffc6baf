package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// guard returns the result of ask, and counts the calls.
type guard struct {
	ask   func([]store.Change) ([]store.Change, error)
	asked int
}

func (g *guard) Conditions(changes []store.Change) ([]store.Change, error) {
	g.asked++
	return g.ask(changes)
}

func guarded(t *testing.T, g *guard) context.Context {
	return &store.GuardedContext{Context: t.Context(), Guard: g}
}

func TestACommitIsHeldToItsGuard(t *testing.T) {
	m, _ := follow(t, storetest.NewMemory(time.Now), &view{})
	permit := store.Create(store.Role, "permit", nil, never)
	if _, err := m.Commit(t.Context(), permit); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	g := &guard{}
	g.ask = func([]store.Change) ([]store.Change, error) {
		if g.asked > 1 {
			return nil, refused
		}
		// Another caller deletes the permit between the judgement and the commit.
		if _, err := m.Commit(t.Context(), store.Delete(store.Role, "permit")); err != nil {
			return nil, err
		}
		return []store.Change{store.Require(store.Role, "permit")}, nil
	}
	_, err := m.Commit(guarded(t, g), store.Create(store.Role, "x", nil, never))
	if !errors.Is(err, refused) || g.asked != 2 {
		t.Fatalf("got %v after %d judgements", err, g.asked)
	}
	if _, err := m.Get(t.Context(), store.Role, "x"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the commit took effect: %v", err)
	}
}

func TestACommitIsTriedAgainWhileItsGuardAllowsIt(t *testing.T) {
	m, _ := follow(t, storetest.NewMemory(time.Now), &view{})
	rev, err := m.Commit(t.Context(), store.Put(store.Role, "permit", nil, never))
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{}
	g.ask = func([]store.Change) ([]store.Change, error) {
		condition := store.RequireAt(store.Role, "permit", rev)
		if g.asked < 3 {
			rev, err = m.Commit(t.Context(), store.Put(store.Role, "permit", nil, never))
		}
		return []store.Change{condition}, err
	}
	if _, err := m.Commit(guarded(t, g), store.Create(store.Role, "x", nil, never)); err != nil || g.asked != 3 {
		t.Fatalf("got %v after %d judgements", err, g.asked)
	}
}

func TestAGuardThatNeverHoldsIsGivenUp(t *testing.T) {
	m, _ := follow(t, storetest.NewMemory(time.Now), &view{})
	g := &guard{ask: func([]store.Change) ([]store.Change, error) {
		return []store.Change{store.Require(store.Role, "never")}, nil
	}}
	_, err := m.Commit(guarded(t, g), store.Create(store.Role, "x", nil, never))
	if !errors.Is(err, store.ErrUnavailable) || g.asked > 100 {
		t.Fatalf("got %v after %d judgements", err, g.asked)
	}
}

func TestAConflictOfTheCommitItselfIsTheCallers(t *testing.T) {
	m, _ := follow(t, storetest.NewMemory(time.Now), &view{})
	create := store.Create(store.Role, "x", nil, never)
	if _, err := m.Commit(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	g := &guard{ask: func([]store.Change) ([]store.Change, error) {
		return []store.Change{store.Require(store.Role, "x")}, nil
	}}
	_, err := m.Commit(guarded(t, g), store.Create(store.Role, "y", nil, never), create)
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || conflict.Index != 1 || g.asked != 1 {
		t.Fatalf("got %v after %d judgements", err, g.asked)
	}
	// If the commit itself changes the record, the condition of that change applies.
	if _, err := m.Commit(guarded(t, g), store.Delete(store.Role, "x")); err != nil {
		t.Fatal(err)
	}
}

func TestWorkInItsOwnRightHasNoGuard(t *testing.T) {
	m, _ := follow(t, storetest.NewMemory(time.Now), &view{})
	g := &guard{ask: func([]store.Change) ([]store.Change, error) { return nil, fmt.Errorf("refused") }}
	ctx := context.WithoutCancel(guarded(t, g)) // keeps the values of the context
	_, err := m.Commit(store.WithoutGuard(ctx), store.Create(store.Role, "x", nil, never))
	if err != nil || g.asked != 0 {
		t.Fatalf("got %v after %d judgements", err, g.asked)
	}
}

func TestAChangeWithoutAConditionTakesTheOneOfItsGuard(t *testing.T) {
	m, _ := follow(t, storetest.NewMemory(time.Now), &view{})
	refused := errors.New("refused")
	g := &guard{}
	g.ask = func([]store.Change) ([]store.Change, error) {
		if g.asked > 1 {
			return nil, refused
		}
		_, err := m.Commit(t.Context(), store.Create(store.Role, "x", []byte("another's"), never))
		return []store.Change{store.Forbid(store.Role, "x")}, err
	}
	change := store.Put(store.Role, "x", []byte("own"), never)
	if _, err := m.Commit(guarded(t, g), change); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v", err)
	}
	if r, err := m.Get(t.Context(), store.Role, "x"); err != nil || string(r.Value) != "another's" {
		t.Fatalf("the record is %q, %v", r.Value, err)
	}
	if change.If != (store.Condition{}) {
		t.Error("the caller's change was written into")
	}
}
