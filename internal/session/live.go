package session

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/store"
)

// Live is a session in the table of this process. A pointer to it stays valid after the session has
// ended; Alive then returns false.
//
// A server may keep a million of them, so a Live is one object of 128 bytes that shares the data
// that many sessions have in common. All fields that change are atomic: to authenticate a call
// takes no lock except the one to find the session. The mirror's goroutine alone changes facts, address,
// login, deadline, revision and base. key and token never change.
type Live struct {
	key      Key
	token    Hash
	facts    atomic.Pointer[pooled[facts]]
	address  atomic.Pointer[pooled[string]]
	login    atomic.Int64  // ns since 1970, like all times here
	deadline atomic.Int64  // the end of its life
	revision atomic.Uint64 // store.Revision of the record that the state comes from
	active   atomic.Int64  // last activity
	base     atomic.Int64  // calls counted in the record
	calls    atomic.Int64  // calls since then
	done     atomic.Pointer[doneChan]
	flushing atomic.Uint32 // the part of calls that is being written into the record
	flags    atomic.Uint32 // dirty, seen; above them, the number of changes of facts
}

// Flags of a Live.
const (
	dirty  = 1 << iota // waits for the next flush
	seen               // was part of the state that is being reloaded
	change = 1 << 8    // one change of facts
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

// ended is the value of done in a session that has ended. Its channel is closed.
var ended = func() *doneChan {
	d := &doneChan{c: make(chan struct{})}
	d.close()
	return d
}()

// take sets the session's state from its record. It returns the previous shared parts, which the
// caller must release to their pools.
func (l *Live) take(
	r store.Record, p *packed, f *pooled[facts], address *pooled[string],
) (*pooled[facts], *pooled[string]) {
	wasFacts, wasAddress := l.facts.Swap(f), l.address.Swap(address)
	if wasFacts != f {
		l.flags.Add(change)
	}
	l.login.Store(p.login)
	l.deadline.Store(p.deadline)
	l.revision.Store(uint64(r.Revision))
	// Keep the activity of this process that is not yet in the record.
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

// Format writes the session's public id, for every verb. Package fmt would read fields that calls change.
func (l *Live) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, l.key.String()) }

// Key returns the session's public id.
func (l *Live) Key() Key { return l.key }

// Session returns a copy of the session's current state.
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
		Front:          f.front,
		extra:          f.extra,
	}
	if f.origin != nil {
		o := f.origin.copy()
		s.Origin = &o
	}
	return s
}

// Summary returns the part of the session's current state that other users may see. Most calls need
// no more, and it costs much less than Session.
func (l *Live) Summary() Summary {
	f := &l.facts.Load().value
	return Summary{
		Key: l.key, Name: f.shown, FullName: f.identity.FullName, Extension: f.identity.Extension,
		Locale: f.locale, MessageLocale: f.messages,
		Address: l.address.Load().value, UserAgent: f.agent,
		LoginTime:      instant(l.login.Load()),
		LastActiveTime: instant(l.active.Load()),
		CallCount:      l.base.Load() + l.calls.Load(),
	}
}

// Front returns the name of the front that the session belongs to, or "" for this server itself.
func (l *Live) Front() string { return l.facts.Load().value.front }

// Method returns the login method, such as "password".
func (l *Live) Method() string { return l.facts.Load().value.method }

func instant(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// MessageLocale returns the locale of the session's messages.
func (l *Live) MessageLocale() string { return l.facts.Load().value.messages }

// Who returns the principal that the session acts as and, if it impersonates, the principal that
// logged in; otherwise origin is nil. Both are shared: callers must not change them.
func (l *Live) Who() (identity, origin *Identity) {
	f := &l.facts.Load().value
	return &f.identity, f.origin
}

// Actor returns the acting principal for events and logs, as Session.Actor does, without a copy of the
// session.
func (l *Live) Actor() event.Actor {
	f := &l.facts.Load().value
	a := event.By(f.name)
	if f.origin != nil {
		a.Origin = f.origin.Name.String()
	}
	return a
}

// Identity returns a copy of the principal that the session acts as.
func (l *Live) Identity() Identity { return l.facts.Load().value.identity.copy() }

// Owner returns the canonical name of the principal that logged in, even while the session
// impersonates another one. It never changes.
func (l *Live) Owner() string { return l.facts.Load().value.owner }

// Standing identifies the principal that a session acts as, and its locale, at one moment. Once
// these have changed, a later Standing compares unequal, even if they have changed back.
type Standing struct {
	facts   *pooled[facts]
	changes uint32
}

// Standing returns the session's standing now.
func (l *Live) Standing() Standing {
	// In this order: a change in between is not counted here, so the result becomes outdated.
	changes := l.flags.Load() / change
	return Standing{l.facts.Load(), changes}
}

// Done returns a channel that is closed when the session is ended. An expired session's channel is
// closed only when the session is swept, so a caller that waits on Done must check
// Manager.Remaining as well.
func (l *Live) Done() <-chan struct{} {
	for {
		if d := l.done.Load(); d != nil {
			return d.c
		}
		l.done.CompareAndSwap(nil, &doneChan{c: make(chan struct{})})
	}
}

// expiresAt returns when the session expires if it is not used again.
func (l *Live) expiresAt(idle time.Duration) time.Time {
	return time.Unix(0, min(l.active.Load()+int64(idle), l.deadline.Load()))
}

// Alive reports whether the session has neither ended nor expired at now.
func (l *Live) Alive(now time.Time, idle time.Duration) bool {
	if l.done.Load() == ended {
		return false
	}
	n := now.UnixNano()
	return n < l.active.Load()+int64(idle) && n < l.deadline.Load()
}
