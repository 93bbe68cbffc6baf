package turns

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/login"
)

var limits = Limits{All: 4, Each: 2, Behind: 1, Callers: 5, Patience: 2 * time.Second}

func TestANetworkLeavesTurnsToOthersAndItsCallersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(limits)
		var working atomic.Int32
		hold, got := make(chan struct{}), make(chan error, 100)
		ask := func(network string) {
			go func() {
				leave, err := turns.Enter(t.Context(), network, false)
				if err == nil {
					working.Add(1)
					<-hold
					leave()
				}
				got <- err
			}()
		}
		for range 20 {
			ask("flood")
		}
		synctest.Wait()
		if n := working.Load(); n != 2 || len(got) != 15 {
			t.Errorf("%d work, and %d were refused at once", n, len(got))
		}
		for i := range 2 {
			ask(fmt.Sprint("other", i))
		}
		synctest.Wait()
		if n := working.Load(); n != 4 || len(got) != 15 {
			t.Errorf("%d work, and %d were refused at once", n, len(got))
		}
		start := time.Now()
		if _, err := turns.Enter(t.Context(), "late", false); !errors.Is(err, login.ErrBusy) ||
			time.Since(start) != limits.Patience {
			t.Errorf("one more than may work: %v after %v", err, time.Since(start))
		}
		synctest.Wait() // the others of the flood have waited as long
		close(hold)
		synctest.Wait()
		for range 18 {
			if err := <-got; !errors.Is(err, login.ErrBusy) {
				t.Errorf("refused: %v", err)
			}
		}
		for range 4 {
			if err := <-got; err != nil {
				t.Errorf("a caller that had its turn: %v", err)
			}
		}
		if len(turns.networks) != 0 || len(turns.all) != 0 {
			t.Errorf("%d networks and %d places are left", len(turns.networks), len(turns.all))
		}
	})
}

func TestAllLockedNetworksTogetherHaveFewTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(limits)
		first, err := turns.Enter(t.Context(), "a", true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := turns.Enter(t.Context(), "b", true); !errors.Is(err, login.ErrBusy) {
			t.Errorf("a second locked network: %v", err)
		}
		other, err := turns.Enter(t.Context(), "c", false)
		if err != nil {
			t.Fatal(err)
		}
		other()
		first()
		again, err := turns.Enter(t.Context(), "b", true)
		if err != nil {
			t.Fatal(err)
		}
		again()
		if len(turns.networks) != 0 || len(turns.all) != 0 || len(turns.behind) != 0 {
			t.Error("places are left")
		}
	})
}

func TestACallerThatGoesAwayTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(limits)
		var leaves []func()
		for range limits.Each {
			leave, err := turns.Enter(t.Context(), "a", false)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() {
			_, err := turns.Enter(ctx, "a", false)
			got <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for _, leave := range leaves {
			leave()
		}
		if len(turns.networks) != 0 || len(turns.all) != 0 {
			t.Error("places are left")
		}
	})
}
