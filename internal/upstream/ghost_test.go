package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/soap"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/upstream/note"
)

// process returns the notes of a process on the store.
func process(t *testing.T, s store.Store, name string, now func() time.Time) *note.Book {
	t.Helper()
	b := book(now, name)
	m := store.NewMirror(s, b.View())
	b.Attach(m)
	storetest.Follow(t, m)
	return b
}

// noting makes an upstream that of a process on the store.
func noting(t *testing.T, s store.Store, name string, now func() time.Time) func(*Options) {
	return func(o *Options) { o.Notes, o.Now = process(t, s, name, now), now }
}

func TestSessionsOfAKilledProcessAreEndedByTheNext(t *testing.T) {
	d := newDouble(t)
	d.limit = 2
	memory := storetest.NewMemory(time.Now)
	first := stage(t, d, "max-sessions: 2", noting(t, memory, "1", time.Now))
	first.use("ann")
	first.use("bob")
	if d.sessions() != 2 {
		t.Fatal("no sessions")
	}
	// The first process is killed: nothing logs out. At the simulator the key is the cookie.
	second := stage(t, d, "max-sessions: 2", noting(t, memory, "2", time.Now))
	second.look(time.Now())
	second.ask(second.ctx(), time.Now())
	if n := d.sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	second.use("ann").Done()
}

// hideCookies makes the double like a vCenter: the cookie of a session is not its key.
func hideCookies(d *double, before func(method string, w http.ResponseWriter) bool) {
	d.on(func(method string, w http.ResponseWriter, r *http.Request) bool {
		if c, err := r.Cookie(soap.SessionCookieName); err == nil {
			r.Header.Del("Cookie")
			if key, ok := strings.CutPrefix(c.Value, "cookie-"); ok {
				r.AddCookie(&http.Cookie{Name: soap.SessionCookieName, Value: key})
			}
		}
		return before != nil && before(method, w)
	})
	d.set(func() { d.prefix = "cookie-" })
}

func TestSessionsWhoseCookieIsUnknownAreTerminated(t *testing.T) {
	d := newDouble(t)
	hideCookies(d, nil)
	memory := storetest.NewMemory(time.Now)
	first := stage(t, d, "max-sessions: 2", noting(t, memory, "1", time.Now))
	first.use("ann")
	first.use("bob")
	second := stage(t, d, "max-sessions: 2", noting(t, memory, "2", time.Now))
	second.ask(second.ctx(), time.Now())
	eventually(t, "the sessions of the first process are terminated", func() bool {
		return d.count("TerminateSession") >= 2 && second.State().Ghosts == 0
	})
	second.use("ann").Done()
	if err := second.Drain(second.ctx()); err != nil {
		t.Fatal(err)
	}
	if n := d.sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if left := process(t, memory, "3", time.Now).Orphans("lab"); len(left) != 0 {
		t.Errorf("notes of %v are left", keysOf(left))
	}
}

func TestSessionsThatCantBeTerminatedAreCountedUntilTheyMustHaveExpired(t *testing.T) {
	d := newDouble(t)
	hideCookies(d, func(method string, w http.ResponseWriter) bool {
		if method != "TerminateSession" {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>no</faultstring><detail>
<NoPermissionFault xmlns="urn:vim25" xsi:type="NoPermission"><object type="Folder">group-d1</object>
<privilegeId>Sessions.TerminateSession</privilegeId></NoPermissionFault></detail></soapenv:Fault></soapenv:Body>
</soapenv:Envelope>`))
		return true
	})
	clock := &clock{now: time.Now()}
	memory := storetest.NewMemory(clock.Now)
	first := stage(t, d, "max-sessions: 2", noting(t, memory, "1", clock.Now))
	first.use("ann")
	first.use("bob")
	second := stage(t, d, "max-sessions: 2\nwait-timeout: 200ms", noting(t, memory, "2", clock.Now))
	for range 2 {
		if _, err := second.pool("ann").Acquire(second.ctx()); err == nil {
			t.Fatal("a session above the limit serves")
		}
	}
	eventually(t, "the session above the limit ends", func() bool { return second.State().Places == 2 })
	clock.advance(mustHaveExpired)
	second.look(clock.Now())
	second.ask(second.ctx(), clock.Now())
	second.use("ann").Done()
}

func TestTheNoteOfASessionLivesAsLongAsTheSession(t *testing.T) {
	clock := &clock{now: time.Now()}
	memory := storetest.NewMemory(clock.Now)
	s := stage(t, newDouble(t), "max-lifetime: 1h", noting(t, memory, "1", clock.Now))
	x := s.use("ann")
	x.Session().Pin() // a controller may keep a session for weeks
	x.Done()
	for range 24 {
		clock.advance(10 * time.Minute)
		s.look(clock.Now())
		s.ask(s.ctx(), clock.Now())
	}
	next := process(t, memory, "2", clock.Now).Orphans("lab")
	if len(next) != 1 || !next[0].Expires.After(clock.Now()) {
		t.Errorf("after four hours the notes are those of %v", keysOf(next))
	}
}

func TestTheProcessesOfAClusterDivideTheSessions(t *testing.T) {
	d := newDouble(t)
	d.limit = 3
	memory := storetest.NewMemory(time.Now)
	total := 0
	for i := range 2 {
		alive := note.New(note.Options{Node: string(rune('a' + i)), Alive: func(string) bool { return true }})
		m := store.NewMirror(memory, alive.View())
		alive.Attach(m)
		storetest.Follow(t, m)
		s := stage(t, d, "max-sessions: 3\nwait-timeout: 200ms", func(o *Options) {
			o.Notes, o.Now, o.Share = alive, time.Now, func() (int, int) { return i, 2 }
		})
		total += s.State().MaxPlaces
		for range s.State().MaxPlaces {
			x := s.use([]string{"ann", "bob"}[i])
			x.Session().Pin()
			s.mu.Lock()
			x.Session().draining = true // so that the next caller needs another
			s.mu.Unlock()
		}
		if _, err := s.pool("ann").Acquire(s.ctx()); err == nil && s.State().MaxPlaces < 2 {
			t.Error("a session above the share")
		}
		if n := s.book.Orphans("lab"); len(n) != 0 {
			t.Errorf("the sessions of a running process count as orphans: %v", keysOf(n))
		}
	}
	if total != 3 {
		t.Errorf("the shares are %d together", total)
	}
}
