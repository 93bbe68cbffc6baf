package upstream

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/wire"
)

const (
	callTime   = 10 * time.Second // of a call of vigate's own
	probeAfter = time.Minute      // a session that owns something is probed if it made no call for so long
	// mustHaveExpired is the time without calls after which a session has certainly expired. vCenter and ESXi end a
	// session after half an hour, unless their configuration was changed.
	mustHaveExpired = 31 * time.Minute
	// makingTime is how long the logout of a session waits for calls that make or end an object on it.
	makingTime = 5 * time.Second
)

// Session is a session at the upstream.
type Session struct {
	upstream *Upstream
	account  *Account
	pool     *Pool
	key      secret.Text
	cookie   wire.Cookie
	info     types.UserSession // without the key
	note     note.Key
	id       string
	opened   time.Time
	client   string // the client session that it belongs to, in mode private
	gone     chan struct{}
	alone    chan struct{} // closed when the session has ended and none of the calls of Begin is in flight
	readers  readers

	// upstream.mu guards the fields below.
	calls    int       // in flight, of clients
	making   int       // in flight, that make or end an object, see Begin
	pins     int       // objects and client sessions that are tied to the session
	used     time.Time // when a call ended, or a probe
	keep     time.Time // somebody may use a ticket of the session until then
	draining bool      // it takes only the calls of client sessions that are tied to it
	ended    bool      // gone is closed
}

// ID returns a short name by which operators can tell the session from others. It is no secret.
func (s *Session) ID() string { return s.id }

// Key returns the key, as in UserSession.
func (s *Session) Key() secret.Text { return s.key }

// Cookie returns the value of the cookie, which is also that of the SOAP header vcSessionCookie.
func (s *Session) Cookie() secret.Text { return s.cookie.Value }

// Authorize adds the cookie to the header of a request.
func (s *Session) Authorize(h http.Header) { s.cookie.Set(h) }

// Info returns what the upstream said about the session at the login, without its key.
func (s *Session) Info() types.UserSession { return s.info }

// Upstream returns the upstream of the session.
func (s *Session) Upstream() *Upstream { return s.upstream }

// Gone returns a channel that is closed when the session has ended.
func (s *Session) Gone() <-chan struct{} { return s.gone }

// over reports whether the session has ended. The caller holds mu.
func (s *Session) over() bool { return s.ended }

// Pin ties the session to something that lives on it: an object, or a client session that owns some.
// The session then ends only with the upstream's, or when it is lost. The caller must have a Use of it,
// and must call Unpin once.
func (s *Session) Pin() {
	s.upstream.mu.Lock()
	defer s.upstream.mu.Unlock()
	s.pins++
}

// Unpin takes back one Pin. The objects that the client owned on the session must have been
// destroyed. If that failed, call Spoil before.
func (s *Session) Unpin() {
	u := s.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.pins > 0 { // it is 0 already if the client session has ended, see Pool.End
		s.pins--
	}
	s.settle()
	if s.pins == 0 && u.queue.Len() > 0 {
		u.dispatch() // somebody may wait for its place
	}
}

// Spoil says that something of a client may be left on the session. It is logged out as soon as it has
// no call in flight and nothing is tied to it, and serves no other client until then.
func (s *Session) Spoil(cause error) {
	s.upstream.mu.Lock()
	defer s.upstream.mu.Unlock()
	if !s.ended && !s.draining {
		s.upstream.opts.Logger.Info("a session at the upstream is replaced: something of a client may be left on it",
			"account", s.account.name, "err", cause)
	}
	s.draining = true
	s.settle()
}

// Begin announces a call that makes or ends an object on the session. The session is logged out after it: a server that
// ends an object and its session at the same time can stop for ever, as govmomi's simulator does. ok is false if the
// session has ended, and with it all that lives on it. Otherwise the caller must call done.
func (s *Session) Begin() (done func(), ok bool) {
	u := s.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.ended {
		return nil, false
	}
	s.making++
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if s.making--; s.making == 0 && s.ended {
			close(s.alone)
		}
	}, true
}

// Lost says that a caller saw a sign that the session has ended at the upstream. It may be called more
// than once, and by many.
func (s *Session) Lost(cause error) {
	u := s.upstream
	u.mu.Lock()
	defer u.mu.Unlock()
	if s.ended {
		return
	}
	u.counts.lost.Add(1)
	u.opts.Logger.Debug("a session at the upstream was lost", "account", s.account.name, "err", cause)
	s.end()
	u.dispatch()
}

// settle ends a session that drains, once nobody needs it. The caller holds mu.
func (s *Session) settle() {
	if s.draining && s.unused() {
		s.end()
	}
}

// unused reports whether nobody needs the session at present. The caller holds mu.
func (s *Session) unused() bool {
	return s.calls == 0 && s.pins == 0 && !s.upstream.opts.Now().Before(s.keep)
}

// kept reports whether the session is the last one of a pass-through user who has client sessions. The
// caller holds mu.
func (s *Session) kept() bool {
	return s.account.PassThrough() && s.account.retained > 0 && s.account.size == 1
}

// end ends the session. Its place is free once the upstream has confirmed that. The caller holds mu.
func (s *Session) end() {
	if s.ended {
		return
	}
	s.ended = true
	close(s.gone)
	if s.making == 0 {
		close(s.alone)
	}
	s.pool.remove(s)
	u, a := s.upstream, s.account
	if a.size--; a.size == 0 && a.opening == 0 {
		switch {
		case a.PassThrough() && !a.ended:
			a.ended = true
			close(a.gone)
			delete(u.users, a.name)
			if a.rest != nil {
				u.endREST(a.rest)
			}
			u.begin(func() { u.opts.OnGone(a) })
		case a.former:
			delete(u.former, a)
		}
	}
	u.begin(func() { u.logOut(s) })
}

// begin runs f in a goroutine that Drain waits for. The caller holds mu.
func (u *Upstream) begin(f func()) {
	u.work++
	go func() {
		defer func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.work--
			u.finishDrain()
		}()
		f()
	}()
}

// finishDrain ends the wait of Drain if nothing is left to do. The caller holds mu.
func (u *Upstream) finishDrain() {
	if u.closed && u.work == 0 && !u.silent {
		u.silent = true
		close(u.quiet)
	}
}

// logOut logs the session out and then frees its place. If the upstream can't be reached, the place
// stays taken until that succeeds or the session must have expired.
func (u *Upstream) logOut(s *Session) {
	select {
	case <-s.alone:
	case <-time.After(makingTime):
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	err := u.endCookie(ctx, s.cookie)
	u.mu.Lock()
	delete(u.sessions, s)
	if err == nil {
		u.places--
	} else {
		u.ghosts[&ghost{
			cookie: s.cookie, until: u.opts.Now().Add(mustHaveExpired), next: u.opts.Now().Add(ghostRetry),
			note: s.note,
		}] = true
	}
	u.publish()
	u.dispatch()
	u.mu.Unlock()
	if err != nil {
		u.opts.Logger.Warn("a session can't be logged out of the upstream", "account", s.account.name, "err", err)
		return
	}
	u.forget(s.note.ID)
}

// endCookie ends the session of a cookie.
func (u *Upstream) endCookie(ctx context.Context, cookie wire.Cookie) error {
	content, err := u.Content(ctx)
	if err != nil {
		return err
	}
	return u.server.Fresh(cookie).Logout(ctx, *content.SessionManager)
}

// forget removes the note of a session that has ended.
func (u *Upstream) forget(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	if err := u.book.Forget(ctx, id); err != nil {
		u.opts.Logger.Warn("the note of a session that has ended can't be removed", "err", err)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.stale = append(u.stale, id)
	}
}

// forgetStale removes the notes that could not be removed before.
func (u *Upstream) forgetStale() {
	u.mu.Lock()
	all := u.stale
	u.stale = nil
	u.mu.Unlock()
	for _, id := range all {
		u.forget(id)
	}
}

// Probe asks the upstream whether the session is still there, by a cheap call that fails without one.
// It returns false if the session has ended. A failure to ask says nothing about the session.
func (s *Session) Probe(ctx context.Context) bool {
	select {
	case <-s.gone:
		return false
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := s.upstream.server.Client(s.cookie).CurrentTime(ctx)
	if wire.Ended(err) {
		s.Lost(fmt.Errorf("probe session: %w", err))
		return false
	}
	if err == nil {
		s.upstream.mu.Lock()
		s.used = s.upstream.opts.Now()
		s.upstream.mu.Unlock()
	}
	return true
}

// readers are the property collectors of vigate's own on a session.
type readers struct {
	turn chan struct{} // full while one is made

	mu   sync.Mutex // guards the fields below
	all  []types.ManagedObjectReference
	next int
}

// Reader returns a property collector of vigate's own on the session, for reads of all clients. There
// are few on a session, and they are made when there are enough calls to use them. The default
// collector of the session is not among them: a server can answer a read on that as if all went well,
// but without the values, when the session has ended. An error wraps ErrGone if the session has ended.
func (s *Session) Reader(ctx context.Context) (types.ManagedObjectReference, error) {
	s.upstream.mu.Lock()
	wanted := max(1, min(s.calls, callsPerSession))
	s.upstream.mu.Unlock()
	if ref, ok := s.readers.pick(wanted, false); ok {
		return ref, nil
	}
	select {
	case s.readers.turn <- struct{}{}:
	case <-ctx.Done():
		return types.ManagedObjectReference{}, ctx.Err()
	}
	defer func() { <-s.readers.turn }()
	if ref, ok := s.readers.pick(wanted, true); ok {
		return ref, nil
	}
	content, err := s.upstream.Content(ctx)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	ref, err := s.upstream.server.Client(s.cookie).CreateCollector(ctx, content.PropertyCollector)
	if wire.Ended(err) {
		s.Lost(err)
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	s.readers.mu.Lock()
	defer s.readers.mu.Unlock()
	s.readers.all = append(s.readers.all, ref)
	return ref, nil
}

// pick returns the next collector. ok is false if the caller should make one: there are fewer than wanted, and no
// other caller is making one.
func (r *readers) pick(wanted int, turn bool) (ref types.ManagedObjectReference, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 || len(r.all) < wanted && (turn || len(r.turn) == 0) {
		return ref, false
	}
	r.next = (r.next + 1) % len(r.all)
	return r.all[r.next], true
}

// Owns reports whether the reference is that of one of vigate's own collectors on the session.
func (s *Session) Owns(ref types.ManagedObjectReference) bool {
	s.readers.mu.Lock()
	defer s.readers.mu.Unlock()
	for _, r := range s.readers.all {
		if r.Type == ref.Type && r.Value == ref.Value {
			return true
		}
	}
	return false
}
