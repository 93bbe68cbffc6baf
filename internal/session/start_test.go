package session

import (
	"context"
	"errors"
	"testing"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// slowStream is a store whose stream can be held back. committed receives a value for each commit in that
// time.
type slowStream struct {
	store.Store
	held      chan struct{} // the stream continues when it is closed
	committed chan struct{}
}

func (s *slowStream) Watch(ctx context.Context, apply func(store.Batch) error) error {
	return s.Store.Watch(ctx, func(b store.Batch) error {
		if !b.Reset {
			<-s.held
		}
		return apply(b)
	})
}

func (s *slowStream) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	rev, err := s.Store.Commit(ctx, changes...)
	s.committed <- struct{}{}
	return rev, err
}

func TestALoginWhoseClientIsGoneLeavesNoSession(t *testing.T) {
	s := &slowStream{Store: storetest.NewMemory(nil), held: make(chan struct{}), committed: make(chan struct{}, 10)}
	f := newFixture(t, s, nil)
	ctx, hangUp := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, _, err := f.Start(ctx, named("ann"))
		failed <- err
	}()
	<-s.committed // the session is durable, but this node does not show it yet
	hangUp()
	<-s.committed // the session is ended again
	close(s.held)
	var stands *store.CommittedError
	if err := <-failed; !errors.As(err, &stands) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := f.mirror.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.Size(); n != 0 {
		t.Errorf("%d sessions are left behind", n)
	}
	// The place is free again.
	f.policy.MaxSessions = 1
	f.start(t, "bob")
}
