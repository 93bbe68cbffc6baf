package session

import (
	"context"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
)

// usedElsewhere is a store in which another server records the use of a session just before this server
// ends it.
type usedElsewhere struct{ store.Store }

func (u usedElsewhere) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	for _, c := range changes {
		if c.Op == store.OpDelete && c.Record.Kind == store.Session {
			r, err := u.Get(ctx, store.Session, c.Record.ID)
			if err != nil {
				return 0, err
			}
			if _, err := u.Touch(ctx, r); err != nil {
				return 0, err
			}
		}
	}
	return u.Store.Commit(ctx, changes...)
}

func TestSweepingDoesNotEndWhatWasUsedElsewhereMeanwhile(t *testing.T) {
	c := newClock()
	f := newFixture(t, usedElsewhere{storetest.NewMemory(c.Now)}, c)
	l, _ := f.start(t, "u")
	f.clock.Advance(31 * time.Minute)
	if n, err := f.SweepExpired(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err := f.store.Get(t.Context(), store.Session, l.Key().String()); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

func TestSweepingWaitsUntilItMayAndForItsGrace(t *testing.T) {
	f := newFixture(t, nil, nil)
	f.start(t, "u")
	may := false
	f.sweeps = func() (time.Duration, bool) { return 10 * time.Second, may }
	for _, step := range []struct {
		by   time.Duration
		may  bool
		want int
	}{{31 * time.Minute, false, 0}, {-55 * time.Second, true, 0}, {5 * time.Second, true, 1}} {
		f.clock.Advance(step.by)
		may = step.may
		if n, err := f.SweepExpired(t.Context()); n != step.want || err != nil {
			t.Errorf("%v later swept %d, %v, want %d", step.by, n, err, step.want)
		}
	}
}
