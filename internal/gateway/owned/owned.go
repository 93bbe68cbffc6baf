// Package owned keeps the table of the managed objects that an upstream ties to a session: which client
// session made which object, on which upstream session it lives, and under which id the client knows it.
//
// A [Table] holds a [Client] for each client session that owns something or is about to. From then on, until
// it owns nothing any more, all calls of the client session go to one upstream session, which is pinned. Each
// [Object] is registered with the API of the front as well. So it counts against the limits of its client
// session, and the table learns of the end of that session without a goroutine for it.
package owned

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/gateway/method"
	"github.com/vigate/vigate/internal/session"
)

// Upstream is an upstream session. The same session is always the same value.
type Upstream interface {
	comparable
	// Pin keeps the session from being replaced, until Unpin has been called as often.
	Pin()
	Unpin()
	// Gone is closed when the session is known to have ended.
	Gone() <-chan struct{}
}

// Registry is the part of the front's API that registers objects of sessions.
type Registry interface {
	NewInstance(l *session.Live, typ string, v any, weight int64) (types.ManagedObjectReference, error)
	Destroy(types.ManagedObjectReference)
}

// Hooks are what a Table calls. All are required.
type Hooks[S Upstream] struct {
	Registry Registry
	// Ended is called with the objects that a client session still owned at the upstream when it ended, without the
	// filters of collectors that are in the list. The upstream session stays pinned until Released is called.
	Ended func(S, []*Object[S])
	// Lost is called for each client session that owned something on an upstream session that is gone.
	Lost func(*session.Live)
}

// Table holds what client sessions own. It is safe for concurrent use.
type Table[S Upstream] struct {
	Hooks[S]

	mu      sync.Mutex // guards what follows, and the fields of all clients and objects
	clients map[*session.Live]*Client[S]
	watched map[S]*watch[S]
	// odd has the owners of objects whose ids at the upstream don't show that they belong to a session, by
	// these ids. Clients know such objects by the same ids.
	odd map[string]*Client[S]
}

// watch is the set of clients that are pinned to one upstream session.
type watch[S Upstream] struct {
	clients map[*Client[S]]struct{}
	empty   chan struct{} // closed when there is none any more
}

// Client is what one client session owns.
type Client[S Upstream] struct {
	live     *session.Live
	pinned   bool
	upstream S
	pinning  chan struct{} // closed when the call that chooses the upstream session has done so
	holds    int           // objects, and calls in flight that need the upstream session
	objects  map[string]*Object[S]
	real     map[string]*Object[S]
	// collector is the object behind the collector that all clients of the front know; it may be nil.
	collector *Object[S]
	making    chan struct{} // closed when the call that makes the collector is over
	tokens    []*Object[S]  // oldest first
	waits     []*Wait[S]
}

// Object is an object of the upstream that belongs to a client session.
type Object[S Upstream] struct {
	Type string
	// ID is the id by which the client knows the object, and Real that at the upstream.
	ID, Real string
	// Parent is the collector of a filter. The filter ends with it.
	Parent *Object[S]
	// Via is the id of the collector with which a continuation token must be used.
	Via string
	// Note is for the caller.
	Note any

	client *Client[S]
	table  *Table[S]
	ref    types.ManagedObjectReference
	gone   bool
}

// maxTokens is how many unfinished retrievals a client session may have. A further one ends the oldest.
const maxTokens = 16

// ErrGone is returned if the upstream session of a client is gone, or the client session has ended.
var ErrGone = errors.New("the session at the upstream is gone")

// New returns an empty Table.
func New[S Upstream](h Hooks[S]) *Table[S] {
	return &Table[S]{
		Hooks: h, clients: map[*session.Live]*Client[S]{}, watched: map[S]*watch[S]{}, odd: map[string]*Client[S]{},
	}
}

// Session returns the upstream session that the client session is pinned to.
func (t *Table[S]) Session(l *session.Live) (s S, pinned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[l]; c != nil && c.pinned {
		return c.upstream, true
	}
	return s, false
}

// Find returns the object that the client session knows by the id, or nil.
func (t *Table[S]) Find(l *session.Live, id string) *Object[S] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[l]; c != nil {
		return c.objects[id]
	}
	return nil
}

// FindReal returns the object of the client session that has the id at the upstream, or nil.
func (t *Table[S]) FindReal(l *session.Live, real string) *Object[S] {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[l]; c != nil {
		return c.real[real]
	}
	return nil
}

// IDs returns the ids by which the client session knows its objects of the types. If in is not nil, only
// those with this parent are listed.
func (t *Table[S]) IDs(l *session.Live, in *Object[S], kinds ...string) []types.ManagedObjectReference {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.clients[l]
	if c == nil {
		return nil
	}
	var all []types.ManagedObjectReference
	for id, o := range c.objects {
		if slices.Contains(kinds, o.Type) && (in == nil || o.Parent == in) {
			all = append(all, types.ManagedObjectReference{Type: o.Type, Value: id})
		}
	}
	slices.SortFunc(all, func(a, b types.ManagedObjectReference) int {
		if a.Value < b.Value {
			return -1
		}
		return 1
	})
	return all
}

// Hold pins the client session to an upstream session for a call that may make something there, until
// Release. If it is pinned already, choose is not called. Else choose chooses one, and calls side by side wait
// for its choice.
func (t *Table[S]) Hold(ctx context.Context, l *session.Live, choose func() (S, error)) (s S, err error) {
	for {
		t.mu.Lock()
		c := t.clients[l]
		if c == nil {
			c = &Client[S]{live: l}
			t.clients[l] = c
		}
		dead := c.pinned && isGone(c.upstream)
		switch {
		case dead && len(c.objects) > 0:
			t.mu.Unlock()
			return s, ErrGone
		case dead:
			t.unpin(c) // nothing was lost with it
		case c.pinned:
			c.holds++
			t.mu.Unlock()
			return c.upstream, nil
		}
		if c.pinning == nil {
			c.pinning = make(chan struct{})
			t.mu.Unlock()
			return t.chosen(c, choose)
		}
		wait := c.pinning
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// chosen pins the client to the upstream session that choose chooses, and lets those calls go on that wait for it,
// also if choose panics.
func (t *Table[S]) chosen(c *Client[S], choose func() (S, error)) (s S, err error) {
	ok := false
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		close(c.pinning)
		c.pinning = nil
		if !ok {
			t.forget(c)
			return
		}
		t.pin(c, s)
		c.holds++
	}()
	s, err = choose()
	ok = err == nil
	return s, err
}

func isGone[S Upstream](s S) bool {
	select {
	case <-s.Gone():
		return true
	default:
		return false
	}
}

// Release ends a Hold.
func (t *Table[S]) Release(l *session.Live) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.clients[l]; c != nil {
		c.holds--
		t.rest(c)
	}
}

// rest unpins the upstream session of a client that owns nothing any more. The caller holds the
// mutex.
func (t *Table[S]) rest(c *Client[S]) {
	if c.holds > 0 {
		return
	}
	t.unpin(c)
	t.forget(c)
}

func (t *Table[S]) forget(c *Client[S]) {
	if c.holds == 0 && c.pinning == nil && t.clients[c.live] == c {
		delete(t.clients, c.live)
	}
}

// pin pins the client to the upstream session. The caller holds the mutex.
func (t *Table[S]) pin(c *Client[S], s S) {
	c.pinned, c.upstream = true, s
	s.Pin()
	w := t.watched[s]
	if w == nil {
		w = &watch[S]{map[*Client[S]]struct{}{}, make(chan struct{})}
		t.watched[s] = w
		go t.watch(s, w.empty)
	}
	w.clients[c] = struct{}{}
}

// unpin ends pin. The caller holds the mutex.
func (t *Table[S]) unpin(c *Client[S]) {
	if !c.pinned {
		return
	}
	c.pinned = false
	c.upstream.Unpin()
	if w := t.watched[c.upstream]; w != nil {
		delete(w.clients, c)
		if len(w.clients) == 0 {
			close(w.empty)
			delete(t.watched, c.upstream)
		}
	}
}

// watch waits for the end of an upstream session as long as clients are pinned to it.
func (t *Table[S]) watch(s S, empty <-chan struct{}) {
	select {
	case <-empty:
		return
	case <-s.Gone():
	}
	t.mu.Lock()
	var lost []*session.Live
	if w := t.watched[s]; w != nil && w.empty == empty {
		for c := range w.clients {
			if len(c.objects) > 0 {
				lost = append(lost, c.live)
			}
		}
	}
	t.mu.Unlock()
	for _, l := range lost {
		t.Lost(l)
	}
}

// weight is about how many bytes an Object takes, besides its entry in the API's table.
const weight = 768

// Add registers an object that a call of the client session has made on s, which the session holds. parent
// may be nil. If it can't be registered, because the session has ended or owns too much, the caller has to
// destroy it.
//
// Errors: those of Registry.NewInstance, ErrGone.
func (t *Table[S]) Add(l *session.Live, o Object[S]) (*Object[S], error) {
	return t.add(l, &o, func(*Client[S]) {})
}

func (t *Table[S]) add(l *session.Live, o *Object[S], also func(*Client[S])) (*Object[S], error) {
	o.table = t
	ref, err := t.Registry.NewInstance(l, o.Type, o, weight)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.clients[l]
	if o.gone || c == nil || o.Parent != nil && o.Parent.gone {
		o.gone = true
		t.destroyLater(ref)
		return nil, ErrGone
	}
	o.client, o.ref = c, ref
	if o.ID == "" {
		o.ID = ref.Value
	}
	if c.objects == nil {
		c.objects, c.real = map[string]*Object[S]{}, map[string]*Object[S]{}
	}
	c.objects[ref.Value], c.real[o.Real] = o, o
	if o.isOdd() {
		t.odd[o.Real] = c
		if o.ID == ref.Value {
			o.ID = o.Real
		}
	}
	c.holds++
	also(c)
	return o, nil
}

// Adopt registers an object that the upstream session has made for the client session, which need not be pinned
// yet. The caller must have a use of the upstream session.
//
// Errors: those of Add. Then the caller has to destroy the object.
func (t *Table[S]) Adopt(l *session.Live, s S, o Object[S]) (*Object[S], error) {
	return t.adopt(l, s, &o, func(*Client[S]) {})
}

func (t *Table[S]) adopt(l *session.Live, s S, o *Object[S], also func(*Client[S])) (*Object[S], error) {
	held, err := t.Hold(context.Background(), l, func() (S, error) { return s, nil })
	if err != nil {
		return nil, err
	}
	defer t.Release(l)
	if held != s {
		return nil, ErrGone
	}
	return t.add(l, o, also)
}

// Owns reports whether the client session owns something.
func (t *Table[S]) Owns(l *session.Live) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.clients[l]
	return c != nil && len(c.objects) > 0
}

// StopWaits ends all waits.
func (t *Table[S]) StopWaits(cause error) {
	t.mu.Lock()
	var all []*Wait[S]
	for _, c := range t.clients {
		all = append(all, c.waits...)
	}
	t.mu.Unlock()
	for _, w := range all {
		w.stop(cause)
	}
}

// destroyLater destroys the instance of an object whose place is gone. Destroy calls Close, which needs the
// mutex that the caller holds.
func (t *Table[S]) destroyLater(ref types.ManagedObjectReference) { go t.Registry.Destroy(ref) }

// Remove removes an object that is gone at the upstream, and what ends with it.
func (t *Table[S]) Remove(o *Object[S]) {
	t.mu.Lock()
	var refs []types.ManagedObjectReference
	if !o.gone {
		refs = t.remove(o)
		t.rest(o.client)
	}
	t.mu.Unlock()
	for _, ref := range refs {
		t.Registry.Destroy(ref)
	}
}

// remove removes an object and its filters from their client. The caller holds the mutex.
func (t *Table[S]) remove(o *Object[S]) []types.ManagedObjectReference {
	c := o.client
	refs := []types.ManagedObjectReference{o.ref}
	o.gone = true
	delete(c.objects, o.ref.Value)
	delete(c.real, o.Real)
	if o.isOdd() {
		delete(t.odd, o.Real)
	}
	c.holds--
	if c.collector == o {
		c.collector = nil
	}
	c.tokens = slices.DeleteFunc(c.tokens, func(t *Object[S]) bool { return t == o })
	if o.Type == method.Collector {
		for _, f := range c.objects {
			if f.Parent == o {
				refs = append(refs, t.remove(f)...)
			}
		}
	}
	return refs
}

// Close is called by the API when the client session has ended.
func (o *Object[S]) Close() { o.table.close(o) }

func (t *Table[S]) close(o *Object[S]) {
	t.mu.Lock()
	c := o.client
	if o.gone || c == nil {
		o.gone = true
		t.mu.Unlock()
		return
	}
	var left []*Object[S]
	for _, each := range c.objects {
		each.gone = true
		if each.isOdd() {
			delete(t.odd, each.Real)
		}
		if each.Parent == nil {
			left = append(left, each)
		}
	}
	c.holds -= len(c.objects)
	c.objects, c.real, c.collector, c.tokens = nil, nil, nil, nil
	waits := c.waits
	c.waits = nil
	s := c.upstream
	c.holds++ // until Released
	t.mu.Unlock()
	for _, w := range waits {
		w.stop(ErrGone)
	}
	t.Ended(s, left)
}

// Released reports that the objects that Ended was called with are destroyed.
func (t *Table[S]) Released(left []*Object[S]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(left) > 0 {
		c := left[0].client
		c.holds--
		t.rest(c)
	}
}

// Owned returns how many objects there are, and how many client sessions own some.
func (t *Table[S]) Owned() (objects, clients int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		if len(c.objects) > 0 {
			objects, clients = objects+len(c.objects), clients+1
		}
	}
	return objects, clients
}
