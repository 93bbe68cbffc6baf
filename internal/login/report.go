package login

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// Reports posts the events of failed logins. The first failed logins of a network get an event each. If
// there are many, the further ones are counted, and Flush posts one event that says how many more
// failed, from where and since when. So a client that guesses evicts few other events from the log, and
// causes few writes.
//
// It keeps its state in this process: in a cluster, each node counts the logins that it refused. It is
// safe for concurrent use.
type Reports struct {
	mirror *store.Mirror
	events *event.Log
	now    func() time.Time
	logger *slog.Logger
	seed   maphash.Seed

	mu  sync.Mutex // guards the following
	all allowance
	// networks holds the allowances of networks by their hash. Two networks may share one.
	networks [4096]allowance
	more     map[string]tally // counted since the last Flush, by network
	locks    []event.Event    // of locks that began since the last Flush
}

// The bounds of the events of failed logins.
const (
	eachBurst  = 50               // events of a network at once
	eachRefill = 10 * time.Second // time in which a network may cause one more event
	allBurst   = 2_000
	allRefill  = 5 * time.Second

	maxTallies = 1_000 // networks that are counted separately
	maxTold    = 16    // networks that get an event of their own in Flush
	maxLocks   = 256
)

// otherNetworks is the key of all networks that are not counted separately.
const otherNetworks = "*"

// tally is a number of failed logins, and the time of the first one.
type tally struct {
	count int64
	since time.Time
}

// plus returns the sum of two tallies.
func (t tally) plus(o tally) tally {
	if t.count == 0 || o.count > 0 && o.since.Before(t.since) {
		t.since = o.since
	}
	t.count += o.count
	return t
}

// allowance limits the number of events that may be posted. The zero value is a full allowance.
type allowance struct {
	used float64   // the used part of the allowance at the time at
	at   time.Time // latest change
}

// take reports whether one more event may be posted now, and counts it.
func (a *allowance) take(now time.Time, burst int, refill time.Duration) bool {
	if d := now.Sub(a.at); d > 0 {
		a.used, a.at = max(0, a.used-float64(d)/float64(refill)), now
	}
	if a.used+1 > float64(burst) {
		return false
	}
	a.used++
	return true
}

// NewReports returns a Reports. If now is nil, it is time.Now; if logger is nil, it is slog.Default.
func NewReports(mirror *store.Mirror, events *event.Log, now func() time.Time, logger *slog.Logger) *Reports {
	if now == nil {
		now = time.Now
	}
	return &Reports{
		mirror: mirror, events: events, now: now, logger: cmp.Or(logger, slog.Default()), seed: maphash.MakeSeed(),
		more: map[string]tally{},
	}
}

// post posts the events of one failed login from the network: the failure, then the locks that begin
// with it. If they can't be committed, that is logged; the answer to the login stays the same.
func (r *Reports) post(ctx context.Context, network string, failure event.Event, locks ...event.Event) {
	if r.count(network, locks) {
		return
	}
	changes := []store.Change{r.events.Change(failure)}
	for _, e := range locks {
		changes = append(changes, r.events.Change(e))
	}
	if _, err := r.mirror.Commit(ctx, changes...); err != nil {
		r.logger.ErrorContext(ctx, "events not posted", "type", failure.Type, "id", failure.ID, "err", err)
	}
}

// count reports whether the failed login was only counted. Its locks are then kept for Flush too, so
// that the time of the answer does not reveal whether a lock begins.
func (r *Reports) count(network string, locks []event.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	each := &r.networks[maphash.String(r.seed, network)%uint64(len(r.networks))]
	if each.take(now, eachBurst, eachRefill) && r.all.take(now, allBurst, allRefill) {
		return false
	}
	for i := range locks {
		locks[i].Created = now
	}
	r.locks = append(r.locks, locks[:min(len(locks), maxLocks-len(r.locks))]...)
	r.add(network, tally{1, now})
	return true
}

// add counts failed logins of the network. Callers hold mu.
func (r *Reports) add(network string, t tally) {
	if _, known := r.more[network]; !known && len(r.more) >= maxTallies {
		network = otherNetworks
	}
	r.more[network] = r.more[network].plus(t)
}

// Flush posts the failed logins that were counted, and the locks that began with them. Call it every few
// minutes, and at the end. After an error, they are kept for the next call.
func (r *Reports) Flush(ctx context.Context) error {
	r.mu.Lock()
	more, locks := r.more, r.locks
	r.more, r.locks = map[string]tally{}, nil
	r.mu.Unlock()
	if len(more) == 0 {
		return nil
	}
	posts := locks
	for network, t := range told(more) {
		posts = append(posts, event.Event{
			Type: "EventEx", ID: "vigate.login.failed", Severity: "error", Address: network, CallCount: t.count,
			LoginTime: t.since,
		})
	}
	changes := make([]store.Change, len(posts))
	for i, e := range posts {
		changes[i] = r.events.Change(e)
	}
	_, err := r.mirror.Commit(ctx, changes...)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		for network, t := range more {
			r.add(network, t)
		}
		r.locks = append(locks, r.locks[:min(len(r.locks), maxLocks-len(locks))]...)
	}
	return err
}

// told returns the tallies of the networks with the most failed logins, and one of all others.
func told(more map[string]tally) map[string]tally {
	byCount := slices.SortedFunc(maps.Keys(more), func(a, b string) int {
		return cmp.Or(cmp.Compare(more[b].count, more[a].count), cmp.Compare(a, b))
	})
	all := map[string]tally{}
	for i, network := range byCount {
		if i >= maxTold {
			all[otherNetworks] = all[otherNetworks].plus(more[network])
			continue
		}
		all[network] = all[network].plus(more[network])
	}
	return all
}
