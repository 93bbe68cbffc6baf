package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/throttle"
	"github.com/vigate/vigate/internal/login/turns"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
)

// The bounds of lookups of operating-system accounts. Anybody on the machine can request a ticket for any
// name. A lookup may use a thread and ask a remote directory, and can't be cancelled. docs/operations.md
// lists the bounds.
const (
	maxLookups        = 8               // lookups at once
	maxNetworkLookups = 2               // lookups of one network at once
	maxAskers         = 16              // requests of one network, including those that wait
	lookupPatience    = 2 * time.Second // how long a request waits

	maxAskingNetworks    = 1024
	sharedAskingNetworks = 16
)

// inVain limits the requests of one network that look up an account and get no ticket. Further requests
// are refused with login.ErrBusy, without a lookup.
var inVain = setting.Lockout{Failures: 100, Interval: time.Minute, Duration: time.Minute}

// lookups limits the lookups of accounts.
type lookups struct {
	now   func() time.Time
	start time.Time
	turns *turns.Turns

	mu       sync.Mutex      // guards the following
	networks *throttle.Table // counts requests without success
}

func newLookups(now func() time.Time) *lookups {
	return &lookups{
		now: now, start: now(),
		turns: turns.New(turns.Limits{
			All: maxLookups, Each: maxNetworkLookups, Callers: maxAskers, Patience: lookupPatience,
		}),
		networks: throttle.NewTable(maxAskingNetworks, sharedAskingNetworks, false),
	}
}

// enter waits until the network may look up an account. The caller must call leave afterwards. Errors:
// login.ErrBusy, or ctx's.
func (l *lookups) enter(ctx context.Context, network string) (leave func(), err error) {
	if err := l.refused(network); err != nil {
		return nil, err
	}
	leave, err = l.turns.Enter(ctx, network, false)
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	// During the wait, other requests of the network may have failed.
	if err := l.refused(network); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// refused returns login.ErrBusy while too many requests of the network had no success.
func (l *lookups) refused(network string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.networks.Find(network, false).Locked(l.now().Sub(l.start)) {
		return fmt.Errorf("look up account: too many requests that got no ticket: %w", login.ErrBusy)
	}
	return nil
}

// ended counts a request that looked up an account and got no ticket. An error of the store does not
// count against the caller.
func (l *lookups) ended(network string, err error) {
	vain := []error{login.ErrRejected, login.ErrNoAccess, ErrCannotGive, session.ErrTooManyTickets}
	if !slices.ContainsFunc(vain, func(e error) bool { return errors.Is(err, e) }) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.start)
	l.networks.Fail(l.networks.Make(network, false, now), now, inVain)
}
