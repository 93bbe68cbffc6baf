package session

import (
	"encoding/binary"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// shards is the number of the table's locks, a power of two. Requests of different sessions seldom
// use the same lock.
const shards = 64

// Table holds all sessions and tickets of the store in memory. It is safe for concurrent use.
type Table struct {
	logger *slog.Logger

	tokens [shards]tokenShard
	keys   [shards]keyShard

	// The following fields are used only by the goroutine that feeds the view.
	facts     pool[facts]
	addresses pool[string]
	scratch   []byte // of Put

	mu      sync.Mutex     // guards what follows
	size    int            // number of sessions, with reserved places
	owners  map[string]int // sessions by principal.Name.Key of their owner, with reserved places
	methods map[string]int // sessions by login method, without reserved places
	fronts  map[string]int // sessions by front, without reserved places
	claims  map[Key]*claim // places of sessions about to be committed, which size and owners already count
	loading bool           // between Reset and Whole
	ends    []func(Key)

	tickets *tickets
	watch   watch
	damaged atomic.Int64
}

type tokenShard struct {
	mu   sync.RWMutex // guards live
	live index[Hash]
	_    [24]byte // each shard has its own cache line
}

type keyShard struct {
	mu    sync.RWMutex // guards live and dirty
	live  index[Key]
	dirty []*Live // sessions used since the last flush
}

// NewTable returns an empty table. Damaged records are logged to logger.
func NewTable(logger *slog.Logger) *Table {
	if logger == nil {
		logger = slog.Default()
	}
	return &Table{logger: logger, owners: map[string]int{}, methods: map[string]int{}, fronts: map[string]int{},
		claims: map[Key]*claim{}, tickets: newTickets()}
}

func (t *Table) tokenShard(h Hash) *tokenShard { return &t.tokens[h[0]%shards] }
func (t *Table) keyShard(k Key) *keyShard {
	return &t.keys[binary.LittleEndian.Uint16(k[:])%shards]
}

// View returns the view through which the mirror feeds the table.
func (t *Table) View() store.View {
	return store.NewView([]store.Kind{store.Session, store.Ticket}, t.reset, t.put, t.delete, t.whole)
}

// reset implements the view's Reset. Sessions stay usable until Whole, which removes those that no
// longer exist.
func (t *Table) reset() {
	t.tickets.reset()
	t.load(true)
	for l := range t.all() {
		l.flags.And(^uint32(seen))
	}
}

// whole implements the view's Whole.
func (t *Table) whole() {
	t.tickets.whole()
	var gone []*Live
	for l := range t.all() {
		if l.flags.Load()&seen == 0 {
			gone = append(gone, l)
		}
	}
	for _, l := range gone {
		t.remove(l.Key())
	}
	t.load(false)
}

// put implements the view's Put.
func (t *Table) put(r store.Record) {
	if r.Kind == store.Ticket {
		t.tickets.put(r)
		return
	}
	if err := t.serve(r); err != nil {
		// The session is not served. Its client must log in again.
		t.damaged.Add(1)
		t.logger.Error("session record can't be read and is not served", "id", r.ID, "err", err)
	}
}

// serve makes the session of the record usable.
func (t *Table) serve(r store.Record) error {
	key, ok := parseKey(r.ID)
	if !ok {
		return errors.New("session id is not a UUID")
	}
	p, err := unpack(r.Value, t.scratch[:0])
	if err != nil {
		return err
	}
	t.scratch = p.facts
	f, err := t.facts.take(p.facts, decodeFacts)
	if err != nil {
		return err
	}
	address, err := t.addresses.take(p.address, func(s string) (string, error) { return s, nil })
	if err != nil {
		return err
	}
	l := t.byKey(key)
	if l != nil && l.token != p.token {
		// A session never changes its token, so this is a different session.
		t.remove(key)
		l = nil
	}
	if l == nil {
		l = &Live{key: key, token: p.token}
		l.active.Store(p.active)
		l.take(r, &p, f, address)
		t.index(l)
	} else {
		wasFacts, wasAddress := l.take(r, &p, f, address)
		// Owner and method never change either. If a record breaks that rule, the counts follow it.
		if was, now := &wasFacts.value, &f.value; was.owner != now.owner || was.method != now.method {
			t.uncount(was)
			t.count(key, now)
		}
		t.facts.drop(wasFacts)
		t.addresses.drop(wasAddress)
	}
	l.flags.Or(seen)
	t.broadcast(key)
	return nil
}

// index makes a session findable, and counts it.
func (t *Table) index(l *Live) {
	ks := t.keyShard(l.key)
	ks.mu.Lock()
	ks.live.put(l.key, l)
	ks.mu.Unlock()
	ts := t.tokenShard(l.token)
	ts.mu.Lock()
	ts.live.put(l.token, l)
	ts.mu.Unlock()
	t.count(l.key, &l.facts.Load().value)
}

// delete implements the view's Delete.
func (t *Table) delete(k store.Kind, id string) {
	if k == store.Ticket {
		t.tickets.remove(id)
		return
	}
	if key, ok := parseKey(id); ok {
		t.remove(key)
	}
}

// remove ends a session in this process: requests that begin later don't find it, and callers that
// wait on it are woken.
func (t *Table) remove(key Key) {
	l := t.byKey(key)
	if l == nil {
		return
	}
	ks := t.keyShard(key)
	ks.mu.Lock()
	ks.live.remove(key, l)
	ks.mu.Unlock()
	l.end()
	ts := t.tokenShard(l.token)
	ts.mu.Lock()
	ts.live.remove(l.token, l)
	ts.mu.Unlock()
	f := l.facts.Load()
	t.uncount(&f.value)
	t.facts.drop(f)
	t.addresses.drop(l.address.Load())
	t.mu.Lock()
	ends := t.ends
	t.mu.Unlock()
	for _, f := range ends {
		f(key)
	}
	t.broadcast(key)
}

// OnEnd registers f to be called after each end of a session, whatever its cause, so that state
// that belongs to the session can be removed. f must be quick and must not call OnEnd.
func (t *Table) OnEnd(f func(Key)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = append(t.ends[:len(t.ends):len(t.ends)], f)
}

// count adds a session to the counts. If it has a claim, it takes the claim's place.
func (t *Table) count(key Key, f *facts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.claims[key]
	if c != nil {
		delete(t.claims, key)
		t.add(c.owner, -1)
	}
	t.add(f.owner, 1)
	t.methods[f.method]++
	t.fronts[f.front]++
	if c != nil {
		c.fits = !t.loading && t.beyond(c.owner, c.policy) == nil
	}
}

// uncount removes a session from the counts.
func (t *Table) uncount(f *facts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(f.owner, -1)
	if t.methods[f.method]--; t.methods[f.method] == 0 {
		delete(t.methods, f.method)
	}
	if t.fronts[f.front]--; t.fronts[f.front] == 0 {
		delete(t.fronts, f.front)
	}
}

// add changes the counts. Callers hold mu.
func (t *Table) add(owner string, by int) {
	t.size += by
	if t.owners[owner] += by; t.owners[owner] == 0 {
		delete(t.owners, owner)
	}
}

// Size returns the number of sessions, including expired ones that are not swept yet.
func (t *Table) Size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// Largest returns the number of sessions of the principal that has most, as the limit of one principal
// counts them.
func (t *Table) Largest() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := 0
	for _, n := range t.owners {
		most = max(most, n)
	}
	return most
}

// Methods returns the number of sessions by login method, including expired ones that are not swept
// yet.
func (t *Table) Methods() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.methods)
}

// at returns the number of sessions of a front, including expired ones that are not swept yet.
func (t *Table) at(front string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fronts[front]
}

// Damaged returns how many records could not be read since the start.
func (t *Table) Damaged() int64 { return t.damaged.Load() }

// byToken returns the session whose token the caller sent to the front, even if it has expired.
func (t *Table) byToken(front, token string) *Live {
	h, ok := hashToken(front, token)
	if !ok {
		return nil
	}
	ts := t.tokenShard(h)
	ts.mu.RLock()
	l := ts.live.get(h)
	ts.mu.RUnlock()
	return l
}

// byKey returns the session with the public id, even if it has expired.
func (t *Table) byKey(key Key) *Live {
	ks := t.keyShard(key)
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	return ks.live.get(key)
}

// all yields every session, even expired ones. The table may change during the iteration: a session
// that exists throughout is yielded exactly once.
func (t *Table) all() iter.Seq[*Live] {
	return func(yield func(*Live) bool) {
		for i := range t.keys {
			for _, l := range t.shard(i) {
				if !yield(l) {
					return
				}
			}
		}
	}
}

func (t *Table) shard(i int) []*Live {
	ks := &t.keys[i]
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	return slices.AppendSeq(make([]*Live, 0, ks.live.size()), ks.live.all())
}

// touch counts one call of the session at now.
func (t *Table) touch(l *Live, now time.Time) {
	l.calls.Add(1)
	l.active.Store(now.UnixNano())
	t.markDirty(l)
}

// markDirty adds the session to those that the next flush writes.
func (t *Table) markDirty(l *Live) {
	if l.flags.Load()&dirty != 0 || l.flags.Or(dirty)&dirty != 0 {
		return
	}
	ks := t.keyShard(l.Key())
	ks.mu.Lock()
	ks.dirty = append(ks.dirty, l)
	ks.mu.Unlock()
}

// takeDirty returns the sessions used since the last call.
func (t *Table) takeDirty() []*Live {
	var all []*Live
	for i := range t.keys {
		ks := &t.keys[i]
		ks.mu.Lock()
		all = append(all, ks.dirty...)
		clear(ks.dirty)
		ks.dirty = ks.dirty[:0]
		ks.mu.Unlock()
	}
	for _, l := range all {
		l.flags.And(^uint32(dirty))
	}
	return all
}
