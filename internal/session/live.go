package session

import (
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// Live is a session in the table of this process. Pointers to it stay valid
// after the session ended; Alive then says no.
//
// A million of them are kept, so it is one object of 128 bytes, and what many
// have in common it shares with them. What changes are atomics: authenticating
// a call takes no lock but that of finding the session.
type Live struct {
	key      Key
	token    Hash
	facts    atomic.Pointer[pooled[facts]]
	address  atomic.Pointer[pooled[string]]
	login    atomic.Int64  // ns since 1970, as all times here
	deadline atomic.Int64  // the end of its life
	revision atomic.Uint64 // store.Revision of the record that this came from
	active   atomic.Int64  // last activity
	base     atomic.Int64  // calls counted in the record
	calls    atomic.Int64  // calls since
	done     atomic.Pointer[doneChan]
	flushing atomic.Uint32 // of calls, those on their way into the record
	flags    atomic.Uint32 // dirty, seen
}

// Flags of a Live.
const (
	dirty = 1 << iota // waits for the next flush
	seen              // was part of the state being reloaded
)

type doneChan struct {
	c      chan struct{}
	closed atomic.Bool
}

func (d *doneChan) close() {
	if !d.closed.Swap(true) {
		close(d.c)
	}
}

// ended marks a session that is over: its done is this closed channel.
var ended = func() *doneChan {
	d := &doneChan{c: make(chan struct{})}
	d.close()
	return d
}()

// take has the session be as its record says. It returns what it was before,
// for the pools.
func (l *Live) take(
	r store.Record, p *packed, f *pooled[facts], address *pooled[string],
) (*pooled[facts], *pooled[string]) {
	wasFacts, wasAddress := l.facts.Swap(f), l.address.Swap(address)
	l.login.Store(p.login)
	l.deadline.Store(p.deadline)
	l.revision.Store(uint64(r.Revision))
	// Activity of this process that the record does not hold yet is kept.
	if n := int64(l.flushing.Load()); n > 0 && p.calls == l.base.Load()+n {
		l.flushing.Store(0)
		l.calls.Add(-n)
	}
	l.base.Store(p.calls)
	for was := l.active.Load(); p.active > was && !l.active.CompareAndSwap(was, p.active); was = l.active.Load() {
	}
	return wasFacts, wasAddress
}

// end closes the session in this process.
func (l *Live) end() {
	if d := l.done.Swap(ended); d != nil {
		d.close()
	}
}

// Key is the session's public id.
func (l *Live) Key() Key { return l.key }

// Session is a copy of the session as it is now.
func (l *Live) Session() Session {
	f := &l.facts.Load().value
	s := Session{
		Key: l.key, token: l.token,
		Identity:       f.identity.copy(),
		Locale:         f.locale,
		MessageLocale:  f.messages,
		LoginTime:      instant(l.login.Load()),
		Deadline:       instant(l.deadline.Load()),
		LastActiveTime: instant(l.active.Load()),
		CallCount:      l.base.Load() + l.calls.Load(),
		Address:        l.address.Load().value,
		UserAgent:      f.agent,
		Method:         f.method,
		extra:          f.extra,
	}
	if f.origin != nil {
		o := f.origin.copy()
		s.Origin = &o
	}
	return s
}

// Summary is what others are shown of the session as it is now. It is what most
// calls want of it, and costs much less than Session.
func (l *Live) Summary() Summary {
	f := &l.facts.Load().value
	return Summary{
		Key: l.key, Name: f.name, FullName: f.identity.FullName, Extension: f.identity.Extension,
		Locale: f.locale, MessageLocale: f.messages,
		Address: l.address.Load().value, UserAgent: f.agent,
		LoginTime:      instant(l.login.Load()),
		LastActiveTime: instant(l.active.Load()),
		CallCount:      l.base.Load() + l.calls.Load(),
	}
}

func instant(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// MessageLocale is the locale of the session's messages.
func (l *Live) MessageLocale() string { return l.facts.Load().value.messages }

// Who is who the session acts as, and who really logged in if that is another;
// otherwise origin is nil. Both are shared: callers must not change them.
func (l *Live) Who() (identity, origin *Identity) {
	f := &l.facts.Load().value
	return &f.identity, f.origin
}

// Identity is who the session acts as.
func (l *Live) Identity() Identity { return l.facts.Load().value.identity.copy() }

// Owner is the canonical name of the principal who really logged in, also while
// the session impersonates another. It never changes.
func (l *Live) Owner() string { return l.facts.Load().value.owner }

// Standing is another value, which compares unequal, once the session acts as
// somebody else or has another locale.
func (l *Live) Standing() any { return l.facts.Load() }

// Done is closed when the session is ended. A session that merely expired is
// closed when it is swept, so who waits on Done looks at ExpiresAt as well.
func (l *Live) Done() <-chan struct{} {
	for {
		if d := l.done.Load(); d != nil {
			return d.c
		}
		l.done.CompareAndSwap(nil, &doneChan{c: make(chan struct{})})
	}
}

// ExpiresAt is when the session dies if it is not used again.
func (l *Live) ExpiresAt(idle time.Duration) time.Time {
	return time.Unix(0, min(l.active.Load()+int64(idle), l.deadline.Load()))
}

// Alive reports whether the session lives at now: not ended and not expired.
func (l *Live) Alive(now time.Time, idle time.Duration) bool {
	if l.done.Load() == ended {
		return false
	}
	n := now.UnixNano()
	return n < l.active.Load()+int64(idle) && n < l.deadline.Load()
}
