package login

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store"
)

const addr = "192.0.2.1"

func TestAWrongPasswordAnUnknownUserAndALockAreOneAnswer(t *testing.T) {
	f := newFixture(t)
	wrong := f.try(t, from(addr, "administrator", "wrong"))
	unknown := f.try(t, from(addr, `x\y\z`, "right"))
	for range 5 {
		_ = f.try(t, from(addr, "administrator", "wrong"))
	}
	locked := f.try(t, from(addr, "administrator", "right"))
	for name, err := range map[string]error{"wrong": wrong, "unknown": unknown, "locked": locked} {
		if !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(f.posted("BadUsernameSessionEvent")); n != 8 {
		t.Errorf("%d events for 8 failures", n)
	}
}

func TestFiveFailuresLockThePairAndNobodyElse(t *testing.T) {
	f := newFixture(t)
	for range 5 {
		_ = f.try(t, from(addr, "administrator", "wrong"))
	}
	if err := f.try(t, from("192.0.2.2", `VSPHERE.LOCAL\Administrator`, "right")); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	if err := f.try(t, from(addr, "ADMINISTRATOR@vsphere.local", "right")); !errors.Is(err, ErrRejected) {
		t.Errorf("other spelling of the locked: %v", err)
	}
	f.clock.Advance(300*time.Second - 1)
	if err := f.try(t, from(addr, "administrator", "right")); !errors.Is(err, ErrRejected) {
		t.Errorf("a nanosecond early: %v", err)
	}
	f.clock.Advance(1)
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("after the lock: %v", err)
	}
	locks := f.Events.Query(event.Filter{IDs: []string{"vigate.account.locked"}})
	if len(locks) != 1 || !strings.Contains(locks[0].Subject, addr) {
		t.Errorf("events of locking: %+v", locks)
	}
}

func TestSuccessForgetsAndTimeForgives(t *testing.T) {
	f := newFixture(t)
	for range 4 {
		_ = f.try(t, from(addr, "administrator", "wrong"))
	}
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		_ = f.try(t, from(addr, "administrator", "wrong"))
	}
	f.clock.Advance(180 * time.Second)
	_ = f.try(t, from(addr, "administrator", "wrong"))
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("locked by failures that are over: %v", err)
	}
}

func TestAHundredFailuresFromAnywhereLockThePrincipalAndUnlockFreesIt(t *testing.T) {
	f := newFixture(t)
	for i := range 100 {
		_ = f.try(t, from(fmt.Sprintf("198.51.100.%d", i), "administrator", "wrong"))
	}
	if err := f.try(t, from(addr, "administrator", "right")); !errors.Is(err, ErrRejected) {
		t.Fatalf("not locked: %v", err)
	}
	if !f.throttle.Unlock(admin) {
		t.Error("nothing was locked")
	}
	if err := f.try(t, from(addr, "administrator", "right")); err != nil {
		t.Errorf("after unlock: %v", err)
	}
}

func TestAHundredFailuresLockAnAddressForEveryWayIn(t *testing.T) {
	f := newFixture(t)
	l, _, err := f.Login(t.Context(), from("192.0.2.9", "administrator", "right"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := f.sessions.AcquireCloneTicket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	bad := Attempt{Credential: CloneTicket{Ticket: secret.New("nonsense")}}
	bad.Peer.Address = addr
	for range 100 {
		_ = f.try(t, bad)
	}
	good := bad
	good.Credential = CloneTicket{Ticket: ticket}
	if err := f.try(t, good); !errors.Is(err, ErrRejected) {
		t.Errorf("clone from the locked address: %v", err)
	}
	good.Peer.Address = "192.0.2.8"
	if err := f.try(t, good); err != nil {
		t.Errorf("the ticket was spent by the refused login: %v", err)
	}
}

func TestALoginOnALiveSessionIsRefusedAndSpendsNothing(t *testing.T) {
	f := newFixture(t)
	l, _, err := f.Login(t.Context(), from(addr, "administrator", "right"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := f.sessions.AcquireCloneTicket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	clone := Attempt{Credential: CloneTicket{Ticket: ticket}}
	if _, _, err := f.Login(t.Context(), clone, l); !errors.Is(err, ErrRejected) {
		t.Errorf("on a live session: %v", err)
	}
	if n := len(f.posted("AlreadyAuthenticatedSessionEvent")); n != 1 {
		t.Errorf("%d events", n)
	}
	if _, _, err := f.Login(t.Context(), clone, nil); err != nil {
		t.Errorf("the ticket was spent: %v", err)
	}
}

func TestTheLocaleIsCheckedBeforeThePassword(t *testing.T) {
	f := newFixture(t)
	a := from(addr, "administrator", "wrong")
	a.Locale = "xx_XX"
	if err := f.try(t, a); !errors.Is(err, locale.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if n := len(f.posted("BadUsernameSessionEvent")); n != 0 {
		t.Error("counted as a failed login")
	}
}

func TestWhoHasNoRoleGetsInNowhere(t *testing.T) {
	f := newFixture(t)
	if err := f.try(t, from(addr, "nobody", "right")); !errors.Is(err, ErrNoAccess) {
		t.Errorf("got %v", err)
	}
	if n := len(f.posted("NoAccessUserEvent")); n != 1 {
		t.Errorf("%d events", n)
	}
	if f.sessions.Size() != 0 {
		t.Error("a session was made")
	}
}

func TestOverloadIsNoFailedLogin(t *testing.T) {
	f := newFixture(t, known{busy: true})
	for range 10 {
		if err := f.try(t, from(addr, "administrator", "right")); !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v", err)
		}
	}
	if f.locked(admin, addr) {
		t.Error("locked")
	}
}

func TestACredentialThatNoMethodKnowsIsNobodys(t *testing.T) {
	f := newFixture(t)
	if err := f.try(t, Attempt{Credential: SSPI{Token: secret.NewBytes([]byte("x"))}}); !errors.Is(err, ErrNotMine) {
		t.Errorf("got %v", err)
	}
}

func TestCredentialsDoNotPrint(t *testing.T) {
	for _, c := range []Credential{
		Password{User: "u", Secret: secret.New("hunter2hunter2")}, CloneTicket{Ticket: secret.New("hunter2hunter2")},
		SSPI{Token: secret.NewBytes([]byte("hunter2hunter2"))}, Assertion{Authorization: secret.New("hunter2hunter2")},
	} {
		if s := fmt.Sprintf("%v %+v %s %#v", c, c, c, c); strings.Contains(s, "hunter2") {
			t.Errorf("%T prints %q", c, s)
		}
	}
}

func TestALongNameIsNotRememberedWhole(t *testing.T) {
	f := newFixture(t)
	for _, c := range []Credential{
		Password{User: strings.Repeat("a", 1<<20), Secret: secret.New("wrong")},
		ExtensionCertificate{Key: strings.Repeat("b", 1<<20)},
	} {
		a := Attempt{Credential: c, Peer: peer.Peer{Address: "192.0.2.1"}}
		if _, _, err := f.Login(t.Context(), a, nil); err == nil {
			t.Fatal("logged in")
		}
	}
	for k := range f.throttle.strangers.All() {
		if len(k) > 2*principal.MaxLength {
			t.Errorf("a key of %d bytes", len(k))
		}
	}
	if held(f.throttle.strangers) == 0 {
		t.Error("nothing was counted")
	}
}

func TestASubjectIsTheIdentity(t *testing.T) {
	s := Subject(session.Identity{Name: admin, Groups: []string{`VSPHERE.LOCAL\Admins`}, Extension: true})
	if !s.Principal.Equal(admin) || len(s.Groups) != 1 || !s.Extension {
		t.Errorf("%+v", s)
	}
}

// outpaced is a store in which other processes are faster: the next commits of sessions fail with a
// conflict.
type outpaced struct {
	store.Store
	left atomic.Int32 // number of commits that will fail
	down atomic.Bool  // the newest revision can't be read

	reads, commits atomic.Int32
}

func (o *outpaced) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	o.commits.Add(1)
	if changes[0].Record.Kind == store.Session && o.left.Add(-1) >= 0 {
		return 0, &store.ConflictError{Index: len(changes) - 1}
	}
	return o.Store.Commit(ctx, changes...)
}

func (o *outpaced) Newest(ctx context.Context) (store.Revision, error) {
	o.reads.Add(1)
	if o.down.Load() {
		return 0, store.ErrUnavailable
	}
	return o.Store.Newest(ctx)
}

func TestARightPasswordIsNeverRejectedBecauseOfTheStore(t *testing.T) {
	var s *outpaced
	f := newFixtureOn(t, func(m store.Store) store.Store { s = &outpaced{Store: m}; return s })
	right := from(addr, "administrator", "right")
	for range 6 { // failed logins of this number would lock
		s.left.Store(staleTries)
		if err := f.try(t, right); !errors.Is(err, session.ErrStale) || errors.Is(err, ErrRejected) {
			t.Fatalf("others faster each time: %v", err)
		}
		s.left.Store(1)
		s.down.Store(true)
		if err := f.try(t, right); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrRejected) {
			t.Fatalf("it can't be known what others did: %v", err)
		}
		s.down.Store(false)
	}
	if n := len(f.posted("BadUsernameSessionEvent")); n != 0 {
		t.Errorf("%d events of failed logins", n)
	}
	s.left.Store(staleTries - 1)
	if err := f.try(t, right); err != nil {
		t.Errorf("others faster but once: %v", err)
	}
}

func TestNobodyIsToldToHaveNoRoleWhileTheStoreCannotTell(t *testing.T) {
	var s *outpaced
	f := newFixtureOn(t, func(m store.Store) store.Store { s = &outpaced{Store: m}; return s })
	if err := f.try(t, from(addr, "stranger", "right")); !errors.Is(err, ErrNoAccess) {
		t.Errorf("one without a role: %v", err)
	}
	s.down.Store(true)
	err := f.try(t, from(addr, "stranger", "right"))
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, ErrNoAccess) {
		t.Errorf("while the store can't tell: %v", err)
	}
}

// proving returns a fixture with a live session of the administrator.
func proving(t *testing.T) (f *fixture, l *session.Live) {
	t.Helper()
	f = newFixture(t)
	l, _, err := f.Login(t.Context(), from(addr, "administrator", "right"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}

func TestAProofStartsNoSession(t *testing.T) {
	f, _ := proving(t)
	started := 0
	f.started = func(string) { started++ }
	before := len(slices.Collect(f.sessions.All()))
	p, err := f.Prove(t.Context(), from(addr, "administrator", "right"))
	if err != nil {
		t.Fatal(err)
	}
	if !p.Identity.Name.Equal(admin) || p.Method != "known" || p.Origin != nil || !p.NotAfter.IsZero() {
		t.Errorf("the proof is %+v", p)
	}
	now := len(slices.Collect(f.sessions.All()))
	if now != before || started != 0 || len(f.posted("UserLoginSessionEvent")) != 1 {
		t.Errorf("%d sessions, then %d; %d started", before, now, started)
	}
}

func TestAProofIsThrottledCountedAndPostedAsALoginIs(t *testing.T) {
	f, _ := proving(t)
	prove := func(name, password string) error {
		_, err := f.Prove(t.Context(), from(addr, name, password))
		return err
	}
	for range 5 {
		if err := prove("administrator", "wrong"); !errors.Is(err, ErrRejected) {
			t.Fatal(err)
		}
	}
	if err := prove("administrator", "right"); !errors.Is(err, ErrRejected) {
		t.Errorf("a proof under a lock: %v", err)
	}
	if err := f.try(t, from(addr, "administrator", "right")); !errors.Is(err, ErrRejected) {
		t.Errorf("a login under the lock that failed proofs made: %v", err)
	}
	if n := len(f.posted("BadUsernameSessionEvent")); n != 7 {
		t.Errorf("%d events for 7 failures", n)
	}
	if err := prove("user-without-role", "right"); !errors.Is(err, ErrNoAccess) {
		t.Errorf("without a role: %v", err)
	}
}

func TestAProofSpendsItsTicketOnce(t *testing.T) {
	f, l := proving(t)
	ticket, err := f.sessions.AcquireCloneTicket(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	a := Attempt{Credential: CloneTicket{Ticket: ticket}, Peer: peer.Peer{Address: addr}}
	p, err := f.Prove(t.Context(), a)
	if err != nil || !p.Identity.Name.Equal(admin) {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := f.Prove(t.Context(), a); !errors.Is(err, ErrRejected) {
		t.Errorf("proved again: %v", err)
	}
	if err := f.try(t, a); !errors.Is(err, ErrRejected) {
		t.Errorf("a login with the spent ticket: %v", err)
	}
}

// stale is a login method whose grants have a condition that never holds.
type stale struct{ asked *int }

func (stale) Name() string { return "stale" }

func (stale) Challenge() string { return "" }

func (s stale) Authenticate(context.Context, Attempt) (session.Grant, error) {
	*s.asked++
	return session.Grant{
		Identity: session.Identity{Name: admin},
		Scope:    session.Scope{Local: true},
		Changes:  []store.Change{store.RequireAt(store.Ticket, "none", 1)},
	}, nil
}

func TestAProofThatIsStaleEachTimeIsNoFailedLogin(t *testing.T) {
	asked := 0
	f := newFixture(t, stale{&asked})
	if _, err := f.Prove(t.Context(), from(addr, "administrator", "x")); !errors.Is(err, session.ErrStale) {
		t.Errorf("got %v", err)
	}
	if asked != staleTries || len(f.posted("BadUsernameSessionEvent")) != 0 {
		t.Errorf("asked %d times, %d failures posted", asked, len(f.posted("BadUsernameSessionEvent")))
	}
}

// The managers, tables and settings of the gate can't be reached through it.
func TestNobodyReachesThroughTheGate(t *testing.T) {
	gate := reflect.TypeFor[Gate]()
	for i := range gate.NumField() {
		if f := gate.Field(i); f.IsExported() {
			t.Errorf("the field %s is exported", f.Name)
		}
	}
	its := []string{"Challenges", "Claimed", "Flush", "Locked", "Login", "Prove", "Unlock", "Unreadable"}
	for m := range reflect.TypeFor[*Gate]().Methods() {
		if !slices.Contains(its, m.Name) {
			t.Errorf("the gate has the method %s", m.Name)
		}
	}
}
