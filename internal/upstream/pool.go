package upstream

import (
	"container/list"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// callsPerSession is how many calls a session has in flight before the pool opens another one. A
// server may do the calls on one property collector one after the other, and a session has this many
// collectors for the reads of all clients. A further call can have to wait for another client's.
const callsPerSession = 4

// leastService is how long a session that is in use serves its pool before another pool may take its place. Otherwise
// two pools that share one place would log in for each call.
const leastService = time.Second

// maxQueue bounds the calls that wait. Each of them is a request that the front has admitted.
const maxQueue = 10_000

// maxLocales bounds the pools of an account. It is more than there are languages in any server.
const maxLocales = 32

// Pool has the sessions of one account and one locale.
type Pool struct {
	account *Account
	locale  string

	// upstream.mu guards the fields below.
	sessions []*Session          // those that take calls, and draining ones
	clients  map[string]*Session // in mode private: the session of each client session
	opening  map[string]bool     // logins in progress, by client session; "" in mode shared
}

// Pool returns the pool of the account and the locale, which may be empty.
//
// A pass-through user has one pool: a login in another locale would need the password.
func (u *Upstream) Pool(a *Account, locale string) *Pool {
	if a.PassThrough() {
		locale = ""
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return a.pool(locale)
}

// pool is Pool. The caller holds mu.
func (a *Account) pool(locale string) *Pool {
	p := a.pools[locale]
	if p == nil && locale != "" && len(a.pools) >= maxLocales {
		return a.pool("") // clients choose locales
	}
	if p == nil {
		p = &Pool{account: a, locale: locale, clients: map[string]*Session{}, opening: map[string]bool{}}
		a.pools[locale] = p
	}
	return p
}

// Use is the right to make one call on a session.
type Use struct {
	session *Session
	done    bool // guarded by upstream.mu
}

// Session returns the session to use.
func (x *Use) Session() *Session { return x.session }

// Done ends the use. It may be called more than once.
func (x *Use) Done() {
	u := x.session.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if x.done {
		return
	}
	x.done = true
	u.requests--
	s := x.session
	s.calls--
	s.used = u.opts.Now()
	s.settle()
	if u.queue.Len() > 0 {
		u.dispatch()
	}
}

// Acquire returns the session of the pool that has the fewest calls in flight, and opens one if there
// is none. It waits in the order of arrival. The error wraps ErrFull, ErrUnreachable, ErrAccount,
// ErrGone, ErrClosed or the error of ctx. The caller must call Done of the result.
func (p *Pool) Acquire(ctx context.Context) (*Use, error) {
	return p.account.upstream.acquire(ctx, demand{pool: p})
}

// AcquireOn does the same for one session of the pool. The error wraps ErrGone if that has ended.
func (p *Pool) AcquireOn(ctx context.Context, s *Session) (*Use, error) {
	return p.account.upstream.acquire(ctx, demand{pool: p, on: s})
}

// Private does the same for the session that belongs to one client session. No other client session
// gets it, also later. When the client session ends, the caller must call End.
func (p *Pool) Private(ctx context.Context, client string) (*Use, error) {
	return p.account.upstream.acquire(ctx, demand{pool: p, client: client})
}

// End ends the session that belongs to a client session, once it has no call in flight.
func (p *Pool) End(client string) {
	u := p.account.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := p.clients[client]; s != nil {
		s.draining = true
		s.pins = 0 // what the client session owned is of no use to anybody else
		s.settle()
	}
}

// demand is what a caller wants: a session of a pool, or a place for a login of its own.
type demand struct {
	pool   *Pool    // nil: only a place
	on     *Session // nil: any of the pool
	client string   // empty: one that is shared
}

// waiter is a caller that waits in the queue.
type waiter struct {
	demand
	ready   chan struct{} // closed when use and err are valid
	use     *Use
	err     error
	element *list.Element
}

func (u *Upstream) acquire(ctx context.Context, d demand) (*Use, error) {
	began := u.opts.Now()
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return nil, ErrClosed
	}
	if err := u.hopeless(d); err != nil {
		u.mu.Unlock()
		return nil, err
	}
	if u.queue.Len() == 0 {
		if use, err := u.serve(d); use != nil || err != nil {
			u.mu.Unlock()
			u.opts.Queued(u.name, "request", 0)
			return use, err
		}
	}
	w, err := u.enqueue(u.queue, d)
	if err == nil {
		u.dispatch()
	}
	patience := u.limits.patience
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = u.await(ctx, w, u.queue, patience)
	u.opts.Queued(u.name, "request", u.opts.Now().Sub(began))
	return w.use, err
}

// hopeless returns an error if waiting is of no use: this process may have no session, and has none left that could
// serve the demand. The caller holds mu.
func (u *Upstream) hopeless(d demand) error {
	if d.pool != nil && d.session() != nil {
		return nil
	}
	return u.shareless()
}

// enqueue adds a waiter at the end. The caller holds mu.
func (u *Upstream) enqueue(q *list.List, d demand) (*waiter, error) {
	if q.Len() >= maxQueue {
		u.counts.full.Add(1)
		return nil, ErrFull
	}
	w := &waiter{demand: d, ready: make(chan struct{})}
	w.element = q.PushBack(w)
	return w, nil
}

// answer ends the wait of w. The caller holds mu.
func (u *Upstream) answer(w *waiter, q *list.List, use *Use, err error) {
	w.use, w.err = use, err
	q.Remove(w.element)
	close(w.ready)
}

// await waits until w is answered, the patience is over or ctx ends.
func (u *Upstream) await(ctx context.Context, w *waiter, q *list.List, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var err error
	select {
	case <-w.ready:
		return w.err
	case <-timer.C:
		err = ErrFull
	case <-ctx.Done():
		err = ctx.Err()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	select {
	case <-w.ready: // at the same time
		return w.err
	default:
	}
	if w.pool != nil && w.pool.account.cause != nil && errors.Is(err, ErrFull) {
		err = w.pool.account.cause // that is what the call was waiting for
	} else if errors.Is(err, ErrFull) {
		u.counts.full.Add(1)
	}
	u.answer(w, q, nil, err)
	return err
}

// serve gives the demand what it wants, if that is free. It returns nothing if it is not. The caller
// holds mu.
func (u *Upstream) serve(d demand) (*Use, error) {
	if d.on != nil && d.on.over() {
		return nil, ErrGone
	}
	if d.pool == nil {
		if u.room(0) {
			u.places++
			return &Use{done: true}, nil
		}
		return nil, nil
	}
	if u.requests >= u.limits.requests {
		return nil, nil
	}
	s := d.session()
	if s == nil {
		return nil, nil
	}
	u.requests++
	u.counts.requests.Add(1)
	busy := s.calls >= callsPerSession
	s.calls++
	if busy && d.on == nil && d.client == "" && u.queue.Len() == 0 {
		u.grow(d.pool)
	}
	return &Use{session: s}, nil
}

// session returns the session that can serve the demand, or nil. The caller holds mu.
func (d demand) session() *Session {
	switch {
	case d.on != nil:
		return d.on
	case d.client != "":
		if s := d.pool.clients[d.client]; s != nil && !s.draining {
			return s
		}
		if d.pool.account.PassThrough() {
			return d.pool.claim(d.client)
		}
		return nil
	}
	var best *Session
	for _, s := range d.pool.sessions {
		if !s.draining && s.client == "" && (best == nil || s.calls < best.calls) {
			best = s
		}
	}
	return best
}

// claim gives a client session the session that its login has made. The caller holds mu.
func (p *Pool) claim(client string) *Session {
	for _, s := range p.sessions {
		if s.client == "" && !s.draining {
			s.client = client
			p.clients[client] = s
			return s
		}
	}
	return nil
}

// room reports whether one more session may be opened beside the given number of sessions. The
// caller holds mu.
func (u *Upstream) room(others int) bool {
	most := u.maxSessions(u.limits.sessions)
	return !u.closed && (u.places+others < most || others == 0 && most > 0 && u.hopeful(0))
}

// grow opens another session for a pool whose sessions are busy, if there is a place that nobody waits
// for. The caller holds mu.
func (u *Upstream) grow(p *Pool) {
	if err, _ := p.account.unable(u.opts.Now()); err == nil && p.account.opening == 0 && u.room(0) {
		u.open(p, "")
	}
}

// dispatch serves the waiting callers in the order of their arrival. A caller that must wait for a session of its
// account does not delay callers whose account has a session. The caller holds mu.
func (u *Upstream) dispatch() {
	now := u.opts.Now()
	needed := 0 // places that those before need
	wanted := map[*Pool]bool{}
	var next *list.Element
	for e := u.queue.Front(); e != nil; e = next {
		next = e.Next()
		w := e.Value.(*waiter)
		if w.pool != nil && u.requests >= u.limits.requests {
			return // so that a call that ends costs the same however many wait
		}
		if w.pool != nil && w.on == nil && w.client == "" && wanted[w.pool] {
			continue // somebody before it waits for the same
		}
		use, err := u.serve(w.demand)
		if use == nil && err == nil {
			err = u.hopeless(w.demand)
		}
		if use != nil || err != nil {
			u.answer(w, u.queue, use, err)
			continue
		}
		if w.pool == nil {
			needed++
			u.makeRoom(needed, nil, now)
			continue
		}
		wanted[w.pool] = true
		if w.pool.opening[w.client] {
			continue
		}
		if err, patient := w.pool.account.unable(now); err != nil {
			if !patient {
				u.answer(w, u.queue, nil, err)
				delete(wanted, w.pool) // the others get it too
			}
			continue
		}
		switch {
		case w.pool.account.opening > 0:
			needed++ // one at a time: the next when that is over
		case u.room(needed):
			u.open(w.pool, w.client)
		default:
			needed++
			u.makeRoom(needed, w.pool, now)
		}
	}
}

// makeRoom ends sessions, or lets them drain, until as many places as needed are free or will be. It
// leaves alone the sessions of the pool that needs the place, unless that is of private sessions. The
// caller holds mu.
func (u *Upstream) makeRoom(needed int, p *Pool, now time.Time) {
	coming := u.maxSessions(u.limits.sessions) - u.places
	for s := range u.sessions {
		if s.draining || s.over() {
			coming++
		}
	}
	for r := range u.rests {
		switch {
		case r.ended:
			coming++
		case coming < needed && !r.account.PassThrough() && now.Sub(r.used) >= restService:
			u.endREST(r)
			coming++
		}
	}
	for ; coming < needed; coming++ {
		s := u.victim(p, now)
		if s == nil {
			return
		}
		s.draining = true
		s.settle()
	}
}

// victim returns the session whose place another pool gets: one without calls that was not used for the
// longest time, else the one with the fewest calls. It returns nil if all are needed: they own
// something, are the last of a pass-through user with client sessions, or were opened a moment ago.
func (u *Upstream) victim(p *Pool, now time.Time) *Session {
	var best *Session
	for s := range u.sessions {
		switch {
		case s.draining || s.over() || s.pins > 0 || s.kept() || now.Before(s.keep):
		case s.calls > 0 && now.Sub(s.opened) < leastService:
		case p != nil && s.pool == p && s.client == "":
		case best == nil, s.calls < best.calls, s.calls == best.calls && s.used.Before(best.used):
			best = s
		}
	}
	return best
}

// jitter returns a duration between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// BeginWait takes a place in the budget of calls that wait for changes. It waits for one in the order of
// arrival. The error wraps ErrFull, ErrClosed or the error of ctx. The caller must call done.
func (u *Upstream) BeginWait(ctx context.Context) (done func(), err error) {
	began := u.opts.Now()
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return nil, ErrClosed
	}
	if u.waits < u.limits.waits && u.lounge.Len() == 0 {
		u.waits++
		u.mu.Unlock()
		return u.endWait(), nil
	}
	w, err := u.enqueue(u.lounge, demand{})
	patience := u.limits.patience
	u.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = u.await(ctx, w, u.lounge, patience)
	u.opts.Queued(u.name, "wait", u.opts.Now().Sub(began))
	if err != nil {
		return nil, err
	}
	return u.endWait(), nil
}

// endWait returns the function that ends a wait.
func (u *Upstream) endWait() func() {
	ended := false
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if !ended {
			ended = true
			u.waits--
			u.admitWaits()
		}
	}
}

// admitWaits gives the free places for waits to the callers that wait for one. The caller holds mu.
func (u *Upstream) admitWaits() {
	for u.waits < u.limits.waits && u.lounge.Len() > 0 {
		u.waits++
		u.answer(u.lounge.Front().Value.(*waiter), u.lounge, nil, nil)
	}
}

// remove takes a session out of its pool. The caller holds mu.
func (p *Pool) remove(s *Session) {
	p.sessions = slices.DeleteFunc(p.sessions, func(x *Session) bool { return x == s })
	if s.client != "" && p.clients[s.client] == s {
		delete(p.clients, s.client)
	}
}
