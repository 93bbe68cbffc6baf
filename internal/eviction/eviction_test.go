package eviction_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/vigate/vigate/internal/eviction"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// view is a store.View that contains only duties.
type view struct{ eviction.Duties }

func (v *view) Kinds() []store.Kind            { return []store.Kind{store.Account} }
func (v *view) Put(r store.Record)             { v.Duties.Put(r) }
func (v *view) Delete(_ store.Kind, id string) { v.Duties.Delete(id) }
func (v *view) Whole()                         {}
func start(t *testing.T, s store.Store, end eviction.Ender) *eviction.Evictor {
	t.Helper()
	v := &view{}
	m := store.NewMirror(s, v)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	if err := m.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return &eviction.Evictor{Kind: store.Account, Mirror: m, Duties: &v.Duties, End: end,
		Logger: slog.New(slog.DiscardHandler)}
}

var ann = principal.Name{Domain: "VSPHERE.LOCAL", User: "Ann"}

func TestADutySurvivesAFailureAndARestart(t *testing.T) {
	s := storetest.NewMemory(nil)
	broken := errors.New("broken")
	a := start(t, s, func(context.Context, principal.Name, string) error { return broken })
	for who, keep := range map[principal.Name]string{ann: "k1", principal.Extension("com.example.X"): ""} {
		rev, err := a.Mirror.Commit(t.Context(), a.Note(who, keep))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Settle(t.Context(), who, keep, rev); !errors.Is(err, broken) {
			t.Errorf("settle: %v", err)
		}
	}
	if err := a.Resume(t.Context()); !errors.Is(err, broken) {
		t.Errorf("resume: %v", err)
	}
	var ended []string
	b := start(t, s, func(_ context.Context, who principal.Name, keep string) error {
		ended = append(ended, who.String()+" "+keep)
		return nil
	})
	for range 2 { // the second time there is no duty
		if err := b.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{`VSPHERE.LOCAL\ann k1`, `com.example.x `}; !slices.Equal(ended, want) &&
		!slices.Equal(ended, []string{want[1], want[0]}) {
		t.Errorf("ended %q", ended)
	}
}

func TestAClientThatHangsUpKeepsNoSessionAlive(t *testing.T) {
	s := storetest.NewMemory(nil)
	ended := false
	e := start(t, s, func(ctx context.Context, _ principal.Name, _ string) error {
		ended = true
		return ctx.Err()
	})
	ctx, hangUp := context.WithCancel(t.Context())
	rev, err := e.Mirror.Commit(ctx, e.Note(ann, ""))
	if err != nil {
		t.Fatal(err)
	}
	hangUp()
	if err := e.Settle(ctx, ann, "", rev); err != nil || !ended {
		t.Errorf("ended %v, error %v", ended, err)
	}
	if _, err := s.Get(t.Context(), store.Account, `end:vsphere.local\ann`); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the duty remains: %v", err)
	}
}

func TestAnOlderEvictionDoesNotDeleteANewerDuty(t *testing.T) {
	s := storetest.NewMemory(nil)
	e := start(t, s, func(context.Context, principal.Name, string) error { return nil })
	first, err := e.Mirror.Commit(t.Context(), e.Note(ann, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Mirror.Commit(t.Context(), e.Note(ann, "b")); err != nil {
		t.Fatal(err)
	}
	if err := e.Settle(t.Context(), ann, "a", first); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(t.Context(), store.Account, `end:vsphere.local\ann`); err != nil || string(r.Value) != "b" {
		t.Errorf("the newer duty: %q, %v", r.Value, err)
	}
}
