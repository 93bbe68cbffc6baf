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

// Reports posts the events of failed logins. The first ones of a network get an
// event each. If many fail, the further ones are counted, and Flush posts one event
// that says how many more failed, from where and since when. So whoever guesses
// pushes few events of others out of the log, and costs few writes.
//
// It lives in this process: on a cluster each node counts what it refused.
type Reports struct {
	mirror *store.Mirror
	events *event.Log
	now    func() time.Time
	log    *slog.Logger
	seed   maphash.Seed

	mu  sync.Mutex // guards what follows
	all allowance
	// networks are those of all networks, by their hash: two may share one.
	networks [4096]allowance
	more     map[string]tally // by network: what was counted since the last Flush
	locks    []event.Event    // that began meanwhile
}

// Bounds of what failed logins post.
const (
	eachBurst  = 50               // events of a network at once
	eachRefill = 10 * time.Second // and one more for each of this
	allBurst   = 2_000
	allRefill  = 5 * time.Second

	maxTallies = 1_000 // networks that are counted apart
	maxTold    = 16    // of them those that get an event of their own
	maxLocks   = 256
)

// otherNetworks stands for all networks that are not told apart.
const otherNetworks = "*"

// tally is how many logins failed, the first of them then.
type tally struct {
	count int64
	since time.Time
}

func (t tally) plus(o tally) tally {
	if t.count == 0 || o.count > 0 && o.since.Before(t.since) {
		t.since = o.since
	}
	t.count += o.count
	return t
}

// allowance is how many events may be posted now. The zero value is a full one.
type allowance struct {
	used float64
	at   time.Time
}

// take uses one up, if there is one.
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

// NewReports makes a Reports; now nil: time.Now, log nil: slog.Default.
func NewReports(mirror *store.Mirror, events *event.Log, now func() time.Time, log *slog.Logger) *Reports {
	if now == nil {
		now = time.Now
	}
	return &Reports{
		mirror: mirror, events: events, now: now, log: cmp.Or(log, slog.Default()), seed: maphash.MakeSeed(), more: map[string]tally{},
	}
}

// post posts the events of one failed login from the network, the locks that
// began with it behind the first. That they can't be written down does not turn
// the login into another answer.
func (r *Reports) post(ctx context.Context, network string, failure event.Event, locks ...event.Event) {
	if r.count(network, locks) {
		return
	}
	changes := []store.Change{r.events.Change(failure)}
	for _, e := range locks {
		changes = append(changes, r.events.Change(e))
	}
	if _, err := r.mirror.Commit(ctx, changes...); err != nil {
		r.log.ErrorContext(ctx, "events not posted", "type", failure.Type, "id", failure.ID, "err", err)
	}
}

// count reports whether the failed login was counted and gets no event. Locks then
// wait for Flush as well: that one begins must not show in the time of the answer.
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

// add counts for the network. Callers hold mu.
func (r *Reports) add(network string, t tally) {
	if _, known := r.more[network]; !known && len(r.more) >= maxTallies {
		network = otherNetworks
	}
	r.more[network] = r.more[network].plus(t)
}

// Flush posts what was counted. Call it every few minutes, and at the end.
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
			Type: "EventEx", ID: "vigate.login.failed", Severity: "error", Address: network, CallCount: t.count, LoginTime: t.since,
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

// told are the networks with most failed logins, and all others together.
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
