package session

import (
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/store"
)

// Live is a session in the table of this process. Pointers to it stay valid
// after the session ended; Alive then says no.
//
// What rarely changes is an immutable packed snapshot, what each call changes
// are atomics: authenticating a call takes no lock but that of finding it.
type Live struct {
	data     atomic.Pointer[packed]
	revision atomic.Uint64 // store.Revision of the record that data came from
	active   atomic.Int64  // last activity, ns since 1970
	base     atomic.Int64  // calls counted in the record
	calls    atomic.Int64  // calls since
	flushing atomic.Int64  // of calls, those on their way into the record
	dirty    atomic.Bool   // waits for the next flush
	seen     atomic.Bool   // was part of the state being reloaded
	done     atomic.Pointer[doneChan]
}

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

// packed is a Session as a million of them are kept: the texts that many
// sessions share are interned, times are integers.
type packed struct {
	key      Key
	token    Hash
	identity unique.Handle[flatIdentity]
	origin   unique.Handle[flatIdentity] // of the zero value: none
	locale   unique.Handle[string]
	messages unique.Handle[string]
	address  unique.Handle[string]
	agent    unique.Handle[string]
	method   unique.Handle[string]
	extra    unique.Handle[string]
	login    int64
	deadline int64
}

// flatIdentity is an Identity that compares with ==.
type flatIdentity struct {
	domain, user, fullName string
	groups                 string // joined by NUL
	extension              bool
}

func flatten(i Identity) flatIdentity {
	return flatIdentity{i.Name.Domain, i.Name.User, i.FullName, strings.Join(i.Groups, "\x00"), i.Extension}
}

func (f flatIdentity) identity() Identity {
	i := Identity{Name: principal.Name{Domain: f.domain, User: f.user}, FullName: f.fullName, Extension: f.extension}
	if f.groups != "" {
		i.Groups = strings.Split(f.groups, "\x00")
	}
	return i
}

func pack(s *Session) *packed {
	p := &packed{
		key: s.Key, token: s.token,
		identity: unique.Make(flatten(s.Identity)),
		origin:   unique.Make(flatIdentity{}),
		locale:   unique.Make(s.Locale),
		messages: unique.Make(s.MessageLocale),
		address:  unique.Make(s.Address),
		agent:    unique.Make(s.UserAgent),
		method:   unique.Make(s.Method),
		extra:    unique.Make(s.extra),
		login:    s.LoginTime.UnixNano(),
		deadline: s.Deadline.UnixNano(),
	}
	if s.Origin != nil {
		p.origin = unique.Make(flatten(*s.Origin))
	}
	return p
}

// owner is the name by which the session counts against limits.
func (p *packed) owner() string {
	f := p.origin.Value()
	if f == (flatIdentity{}) {
		f = p.identity.Value()
	}
	return principal.Name{Domain: f.domain, User: f.user}.Key()
}

func newLive(r store.Record, s *Session) *Live {
	l := &Live{}
	l.data.Store(pack(s))
	l.revision.Store(uint64(r.Revision))
	l.active.Store(s.LastActiveTime.UnixNano())
	l.base.Store(s.CallCount)
	return l
}

// update takes over a newer record. Activity of this process that the record
// does not hold yet is kept.
func (l *Live) update(r store.Record, s *Session) {
	l.data.Store(pack(s))
	l.revision.Store(uint64(r.Revision))
	if n := l.flushing.Load(); n > 0 && s.CallCount == l.base.Load()+n {
		l.flushing.Store(0)
		l.calls.Add(-n)
	}
	l.base.Store(s.CallCount)
	at := s.LastActiveTime.UnixNano()
	for was := l.active.Load(); at > was && !l.active.CompareAndSwap(was, at); was = l.active.Load() {
	}
}

// end closes the session in this process.
func (l *Live) end() {
	if d := l.done.Swap(ended); d != nil {
		d.close()
	}
}

// Key is the session's public id.
func (l *Live) Key() Key { return l.data.Load().key }

// Session is a copy of the session as it is now.
func (l *Live) Session() Session {
	p := l.data.Load()
	s := Session{
		Key: p.key, token: p.token,
		Identity:       p.identity.Value().identity(),
		Locale:         p.locale.Value(),
		MessageLocale:  p.messages.Value(),
		LoginTime:      time.Unix(0, p.login).UTC(),
		Deadline:       time.Unix(0, p.deadline).UTC(),
		LastActiveTime: time.Unix(0, l.active.Load()).UTC(),
		CallCount:      l.base.Load() + l.calls.Load(),
		Address:        p.address.Value(),
		UserAgent:      p.agent.Value(),
		Method:         p.method.Value(),
		extra:          p.extra.Value(),
	}
	if o := p.origin.Value(); o != (flatIdentity{}) {
		i := o.identity()
		s.Origin = &i
	}
	return s
}

// MessageLocale is the locale of the session's messages.
func (l *Live) MessageLocale() string { return l.data.Load().messages.Value() }

// Identity is who the session acts as.
func (l *Live) Identity() Identity { return l.data.Load().identity.Value().identity() }

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
	return time.Unix(0, min(l.active.Load()+int64(idle), l.data.Load().deadline))
}

// Alive reports whether the session lives at now: not ended and not expired.
func (l *Live) Alive(now time.Time, idle time.Duration) bool {
	if l.done.Load() == ended {
		return false
	}
	n := now.UnixNano()
	return n < l.active.Load()+int64(idle) && n < l.data.Load().deadline
}
