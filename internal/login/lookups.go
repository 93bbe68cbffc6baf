package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/login/throttle"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
)

// The bounds of lookups of operating-system accounts for local tickets. Anybody on the machine can
// request a ticket for any name. A lookup may use a thread and ask a remote directory, and can't be
// cancelled. docs/operations.md lists the bounds.
const (
	maxLookups        = 8               // lookups at once
	maxNetworkLookups = 2               // lookups of one network at once
	maxAskers         = 16              // requests of one network, including those that wait
	lookupPatience    = 2 * time.Second // how long a request waits

	maxAskingNetworks    = 1024
	sharedAskingNetworks = 16
)

// inVain limits the requests of one network that look up an account and get no ticket. Further requests
// are refused with ErrBusy, without a lookup.
var inVain = setting.Lockout{Failures: 100, Interval: time.Minute, Duration: time.Minute}

// lookups limits the lookups of accounts.
type lookups struct {
	now    func() time.Time
	start  time.Time
	places chan struct{} // holds one element for each lookup

	mu       sync.Mutex        // guards the following
	askers   map[string]*asker // by network
	networks *throttle.Table   // counts the requests in vain
}

// asker is a network with requests that look up an account or wait for it.
type asker struct {
	places chan struct{} // holds one element for each lookup
	n      int           // number of requests
}

func newLookups(now func() time.Time) *lookups {
	return &lookups{
		now: now, start: now(), places: make(chan struct{}, maxLookups),
		askers: map[string]*asker{}, networks: throttle.NewTable(maxAskingNetworks, sharedAskingNetworks, false),
	}
}

// enter waits until the network may look up an account. The caller must call leave afterwards. Errors:
// ErrBusy, or ctx's.
func (l *lookups) enter(ctx context.Context, network string) (leave func(), err error) {
	a, err := l.ask(network)
	if err != nil {
		return nil, err
	}
	patience, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	var held []chan struct{}
	leave = func() {
		for _, places := range held {
			<-places
		}
		l.unask(network, a)
	}
	// The place of the network comes first, so that a request that waits for it does not hold a place
	// that others need.
	for _, places := range []chan struct{}{a.places, l.places} {
		select {
		case places <- struct{}{}:
			held = append(held, places)
			continue
		case <-patience.Done():
		}
		leave()
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look up account: %w", err)
		}
		return nil, fmt.Errorf("look up account: too many at once: %w", ErrBusy)
	}
	// During the wait, other requests of the network may have been in vain.
	if err := l.refused(network); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// ask counts a request of the network, or returns ErrBusy.
func (l *lookups) ask(network string) (*asker, error) {
	if err := l.refused(network); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.askers[network]
	if a == nil {
		a = &asker{places: make(chan struct{}, maxNetworkLookups)}
		l.askers[network] = a
	}
	if a.n >= maxAskers {
		return nil, fmt.Errorf("look up account: too many wait: %w", ErrBusy)
	}
	a.n++
	return a, nil
}

// unask is the opposite of ask.
func (l *lookups) unask(network string, a *asker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.n--; a.n == 0 {
		delete(l.askers, network)
	}
}

// refused returns ErrBusy while too many requests of the network were in vain.
func (l *lookups) refused(network string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.networks.Find(network, false).Locked(l.now().Sub(l.start)) {
		return fmt.Errorf("look up account: too many requests that got no ticket: %w", ErrBusy)
	}
	return nil
}

// ended counts a request that looked up an account and got no ticket. An error of the store does not
// count against the caller.
func (l *lookups) ended(network string, err error) {
	vain := []error{ErrRejected, ErrNoAccess, ErrCannotGive, session.ErrTooManyTickets}
	if !slices.ContainsFunc(vain, func(e error) bool { return errors.Is(err, e) }) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.start)
	l.networks.Fail(l.networks.Make(network, false, now), now, inVain)
}
