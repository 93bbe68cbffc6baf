package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/setting"
)

// The bounds of looking up accounts of the operating system for local tickets.
// Anybody on the machine can ask for one by any name, each lookup may take a thread
// and ask a directory elsewhere, and none can be cut short. docs/operations.md
// lists them.
const (
	maxLookups        = 8               // at once
	maxNetworkLookups = 2               // at once, of one network
	maxAskers         = 16              // of one network, those that wait among them
	lookupPatience    = 2 * time.Second // how long they wait

	maxAskingNetworks    = 1024
	sharedAskingNetworks = 16
)

// inVain is how many requests of one network may look up an account and then get no
// ticket. Further ones are told to come back, without a lookup.
var inVain = setting.Lockout{Failures: 100, Interval: time.Minute, Duration: time.Minute}

// lookups gives turns at looking up accounts.
type lookups struct {
	now    func() time.Time
	start  time.Time
	places chan struct{} // has one element for each lookup

	mu       sync.Mutex        // guards what follows
	askers   map[string]*asker // by network
	networks *table            // of requests in vain
}

// asker is a network of which somebody looks up an account or waits for that.
type asker struct {
	places chan struct{} // has one element for each lookup
	n      int           // requests
}

func newLookups(now func() time.Time) *lookups {
	return &lookups{
		now: now, start: now(), places: make(chan struct{}, maxLookups),
		askers: map[string]*asker{}, networks: newTable(maxAskingNetworks, sharedAskingNetworks, false),
	}
}

// enter waits for a turn, which leave ends. The errors are ErrBusy and ctx's.
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
	// The network's own first, so that who waits for that takes no place of others.
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
	// While it waited, others of its network may have asked in vain.
	if err := l.refused(network); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

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

func (l *lookups) unask(network string, a *asker) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.n--; a.n == 0 {
		delete(l.askers, network)
	}
}

// refused is ErrBusy while too many requests of the network were in vain.
func (l *lookups) refused(network string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.networks.find(network, false).locked(l.now().Sub(l.start)) {
		return fmt.Errorf("look up account: too many requests that got no ticket: %w", ErrBusy)
	}
	return nil
}

// ended counts a request that looked up an account and got no ticket. A failure of
// the store is not the caller's.
func (l *lookups) ended(network string, err error) {
	vain := []error{ErrRejected, ErrNoAccess, ErrCannotGive, session.ErrTooManyTickets}
	if !slices.ContainsFunc(vain, func(e error) bool { return errors.Is(err, e) }) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.start)
	l.networks.fail(l.networks.make(network, false, now), now, inVain)
}
