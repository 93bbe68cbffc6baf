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
	"unique"

	"github.com/vigate/vigate/internal/store"
)

// shards is how many locks the table has; a power of two. Requests of different
// sessions seldom meet in one.
const shards = 64

// Table is all sessions of the store, in memory. It is a store.View.
type Table struct {
	log *slog.Logger

	tokens [shards]tokenShard
	keys   [shards]keyShard

	mu      sync.Mutex                    // guards what follows
	size    int                           // sessions, reserved ones included
	owners  map[string]int                // sessions by principal.Name.Key of their owner, reserved ones included
	methods map[unique.Handle[string]]int // sessions by way in, without the reserved ones
	claims  map[Key]*claim                // sessions about to be, by key. Counted already.
	loading bool                          // between Reset and Whole
	ends    []func(Key)
	changed chan struct{}
	waited  bool // somebody has asked for changed

	damaged atomic.Int64
}

type tokenShard struct {
	mu   sync.RWMutex // guards live
	live map[Hash]*Live
	_    [40]byte // a cache line each
}

type keyShard struct {
	mu    sync.RWMutex // guards live and dirty
	live  map[Key]*Live
	dirty []*Live // changed by use since the last flush
}

// NewTable makes an empty table. Damaged records are logged to log.
func NewTable(log *slog.Logger) *Table {
	if log == nil {
		log = slog.Default()
	}
	t := &Table{log: log, owners: map[string]int{}, methods: map[unique.Handle[string]]int{}, claims: map[Key]*claim{}, changed: make(chan struct{})}
	for i := range t.tokens {
		t.tokens[i].live = map[Hash]*Live{}
		t.keys[i].live = map[Key]*Live{}
	}
	return t
}

func (t *Table) tokenShard(h Hash) *tokenShard { return &t.tokens[h[0]%shards] }
func (t *Table) keyShard(k Key) *keyShard {
	return &t.keys[binary.LittleEndian.Uint16(k[:])%shards]
}

// Kinds is part of store.View.
func (t *Table) Kinds() []store.Kind { return []store.Kind{store.Session} }

// Reset is part of store.View. Sessions stay usable until Whole tells which of
// them are still there.
func (t *Table) Reset() {
	t.load(true)
	for l := range t.all() {
		l.seen.Store(false)
	}
}

// Whole is part of store.View.
func (t *Table) Whole() {
	var gone []*Live
	for l := range t.all() {
		if !l.seen.Load() {
			gone = append(gone, l)
		}
	}
	for _, l := range gone {
		t.remove(l.Key())
	}
	t.load(false)
}

// Put is part of store.View.
func (t *Table) Put(r store.Record) {
	key, ok := ParseKey(r.ID)
	s, err := decodeSession(key, r.Value)
	if err == nil && !ok {
		err = errors.New("session id is not a UUID")
	}
	if err != nil {
		// The session is not served: whoever holds its token must log in again.
		t.damaged.Add(1)
		t.log.Error("session record can't be read and is not served", "id", r.ID, "err", err)
		return
	}
	ks := t.keyShard(key)
	ks.mu.Lock()
	l := ks.live[key]
	fresh := l == nil
	if fresh {
		l = newLive(r, &s)
		ks.live[key] = l
	}
	ks.mu.Unlock()
	if fresh {
		t.index(l)
	} else {
		was := l.data.Load()
		l.update(r, &s)
		// Token, owner and method stay for life, and a token must be findable all the
		// time; a record that breaks this is followed all the same.
		if now := l.data.Load(); was.token != now.token || was.owner() != now.owner() || was.method != now.method {
			t.unindex(was)
			t.index(l)
		}
	}
	l.seen.Store(true)
	t.broadcast()
}

// index makes a session that the key map holds findable by its token, and
// counts it.
func (t *Table) index(l *Live) {
	p := l.data.Load()
	ts := t.tokenShard(p.token)
	ts.mu.Lock()
	ts.live[p.token] = l
	ts.mu.Unlock()
	t.count(p)
}

func (t *Table) unindex(p *packed) {
	ts := t.tokenShard(p.token)
	ts.mu.Lock()
	delete(ts.live, p.token)
	ts.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(p.owner(), -1)
	if t.methods[p.method]--; t.methods[p.method] == 0 {
		delete(t.methods, p.method)
	}
}

// Delete is part of store.View.
func (t *Table) Delete(_ store.Kind, id string) {
	if key, ok := ParseKey(id); ok {
		t.remove(key)
	}
}

// remove ends a session in this process: no request that begins after it finds
// the session, and those that wait on it are woken.
func (t *Table) remove(key Key) {
	ks := t.keyShard(key)
	ks.mu.Lock()
	l := ks.live[key]
	delete(ks.live, key)
	ks.mu.Unlock()
	if l == nil {
		return
	}
	l.end()
	t.unindex(l.data.Load())
	t.mu.Lock()
	ends := t.ends
	t.mu.Unlock()
	for _, f := range ends {
		f(key)
	}
	t.broadcast()
}

// OnEnd has f called after each end of a session, whoever ended it, so that
// what belongs to the session dies with it. f must be quick and must not call
// the table's OnEnd.
func (t *Table) OnEnd(f func(Key)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = append(t.ends[:len(t.ends):len(t.ends)], f)
}

// Changed is closed at the next change of the list of sessions.
func (t *Table) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waited = true
	return t.changed
}

func (t *Table) broadcast() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waited {
		close(t.changed)
		t.changed, t.waited = make(chan struct{}), false
	}
}

// count adds a session to the counts, in place of its claim if it has one.
func (t *Table) count(p *packed) {
	owner := p.owner()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.claims[p.key]
	if c != nil {
		delete(t.claims, p.key)
		t.add(c.owner, -1)
	}
	t.add(owner, 1)
	t.methods[p.method]++
	if c != nil {
		c.fits = !t.loading && t.beyond(c.owner, c.policy) == nil
	}
}

// add changes the counts. Callers hold mu.
func (t *Table) add(owner string, by int) {
	t.size += by
	if t.owners[owner] += by; t.owners[owner] == 0 {
		delete(t.owners, owner)
	}
}

// Size is the number of sessions, those expired and not swept yet included.
func (t *Table) Size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// Methods is the number of sessions by the way in by which they came, those
// expired and not swept yet included.
func (t *Table) Methods() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]int, len(t.methods))
	for method, n := range t.methods {
		all[method.Value()] = n
	}
	return all
}

// Damaged is how many records could not be read since the start.
func (t *Table) Damaged() int64 { return t.damaged.Load() }

// byToken finds a session, alive or expired, by what a caller sent as token.
func (t *Table) byToken(token string) *Live {
	h, ok := hashToken(token)
	if !ok {
		return nil
	}
	ts := t.tokenShard(h)
	ts.mu.RLock()
	l := ts.live[h]
	ts.mu.RUnlock()
	return l
}

// byKey finds a session, alive or expired, by its public id.
func (t *Table) byKey(key Key) *Live {
	ks := t.keyShard(key)
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	return ks.live[key]
}

// all yields every session, alive or expired. The table may change meanwhile:
// what is there all the time is yielded exactly once.
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
	return slices.AppendSeq(make([]*Live, 0, len(ks.live)), maps.Values(ks.live))
}

// touch counts one call of the session at now.
func (t *Table) touch(l *Live, now time.Time) {
	l.calls.Add(1)
	l.active.Store(now.UnixNano())
	t.markDirty(l)
}

// markDirty has the session written by the next flush.
func (t *Table) markDirty(l *Live) {
	if l.dirty.Load() || l.dirty.Swap(true) {
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
		l.dirty.Store(false)
	}
	return all
}
