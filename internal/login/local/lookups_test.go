package local

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/session"
)

// uid returns a caller of the Unix socket.
func uid(n uint32) peer.Peer { return peer.Peer{Address: "127.0.0.1", Local: true, UnixUID: &n} }

func TestRequestsForLocalTicketsInVainCauseFewLookups(t *testing.T) {
	for name, c := range map[string]struct {
		ask  func(i int) (p peer.Peer, account string)
		want error // the error before the bound is reached
	}{
		"made-up names": {func(i int) (peer.Peer, string) {
			return uid(4711), fmt.Sprint("made-up", i)
		}, login.ErrRejected},
		"made-up names from many loopback addresses": {func(i int) (peer.Peer, string) {
			return peer.Peer{Address: fmt.Sprintf("127.0.%d.%d", i/250, i%250+1), Local: true}, fmt.Sprint("made-up", i)
		}, login.ErrRejected},
		"accounts without a role": {func(i int) (peer.Peer, string) {
			return uid(4711), fmt.Sprint("user", i+10)
		}, login.ErrNoAccess},
		"more tickets than there may be": {func(int) (peer.Peer, string) {
			return uid(4711), "user0"
		}, session.ErrTooManyTickets},
	} {
		t.Run(name, func(t *testing.T) {
			f, local, itself, _ := manyAccounts(t, 2)
			local.Loopback = true
			there, lookups := local.Account, 0
			local.Account = func(name string) (*user.User, error) {
				lookups++
				if _, err := fmt.Sscanf(name, "user%d", new(int)); err != nil {
					return nil, user.UnknownUserError(name)
				}
				return there(name)
			}
			const asked = 1000
			round := func() (busy int) {
				for i := range asked {
					p, account := c.ask(i)
					switch _, err := local.Issue(t.Context(), p, account); {
					case errors.Is(err, login.ErrBusy):
						busy++
					case err != nil && !errors.Is(err, c.want):
						t.Fatalf("request %d: %v", i, err)
					}
				}
				return busy
			}
			busy := round()
			if most := inVain.Failures + maxAccount; lookups > most || busy != asked-lookups {
				t.Errorf("%d lookups, want at most %d, and %d refusals of %d requests", lookups, most, busy, asked)
			}
			if _, err := local.Issue(t.Context(), itself, "user1"); err != nil {
				t.Errorf("another user, for itself: %v", err)
			}
			f.clock.Advance(inVain.Duration - 1)
			p, account := c.ask(0)
			if _, err := local.Issue(t.Context(), p, account); !errors.Is(err, login.ErrBusy) {
				t.Errorf("a moment before the minute is over: %v", err)
			}
			f.clock.Advance(1)
			if round() == asked {
				t.Error("no lookup after the minute")
			}
		})
	}
}

func TestNamesThatNoAccountCanHaveAreNotLookedUp(t *testing.T) {
	_, local, _ := newFixture(t)
	local.Account = func(name string) (*user.User, error) {
		t.Errorf("%q was looked up", name)
		return nil, user.UnknownUserError(name)
	}
	for _, name := range []string{"", `VSPHERE.LOCAL\ann`, "ann@vsphere.local", `x\y\z`} {
		for range inVain.Failures + 1 {
			if _, err := local.Issue(t.Context(), uid(1), name); !errors.Is(err, login.ErrRejected) {
				t.Fatalf("%q: %v", name, err)
			}
		}
	}
}

func TestAccountsAreLookedUpAFewAtATimeAndNobodyKeepsOthersWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLookups(time.Now)
		var running, most atomic.Int32
		hold := make(chan struct{})
		var wg sync.WaitGroup
		// ask starts a request whose lookup ends when hold is closed.
		ask := func(network string, got chan<- error) {
			wg.Go(func() {
				leave, err := l.enter(t.Context(), network)
				if err == nil {
					n := running.Add(1)
					for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
					}
					<-hold
					running.Add(-1)
					leave()
				}
				got <- err
			})
		}
		got := make(chan error, 1000)
		for range 50 {
			ask("flood", got)
		}
		synctest.Wait()
		if n := running.Load(); n != maxNetworkLookups || len(got) != 50-maxAskers {
			t.Errorf("%d lookups, %d were refused at once", n, len(got))
		}
		start := time.Now()
		other := make(chan error, 1000)
		for i := range maxLookups {
			ask(fmt.Sprint("other", i), other)
		}
		synctest.Wait()
		if n := running.Load(); n != maxLookups || len(other) != 0 {
			t.Errorf("%d lookups, and %d of others have ended", n, len(other))
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.enter(canceled, "gone"); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that has gone: %v", err)
		}
		for range 50 - maxNetworkLookups { // the requests that waited
			if err := <-got; !errors.Is(err, login.ErrBusy) {
				t.Errorf("waited, and then %v", err)
			}
		}
		if took := time.Since(start); took != lookupPatience {
			t.Errorf("waited for %v", took)
		}
		close(hold)
		wg.Wait()
		if n := most.Load(); n != maxLookups {
			t.Errorf("%d lookups at once", n)
		}
	})
}
