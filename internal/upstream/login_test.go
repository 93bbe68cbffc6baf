package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/password"
)

func (d *double) refusedLogins() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

func TestAWrongPasswordIsTriedTwiceAndThenLeftAlone(t *testing.T) {
	s := stage(t, newDouble(t), "")
	s.write("ann", "wrong")
	for range 10 {
		if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrAccount) || !errors.Is(err, ErrRejected) {
			t.Fatalf("got %v, want ErrAccount and ErrRejected", err)
		}
		s.pass(20 * time.Second) // longer than any back-off
	}
	if n := s.double.refusedLogins(); n != password.Tries {
		t.Fatalf("the password was tried %d times", n)
	}
	s.use("bob").Done() // the other account is not affected

	s.write("ann", "right")
	s.pass(time.Second)
	s.use("ann").Done()
	if strings.Contains(s.log.String(), "wrong\n") {
		t.Error("the log shows the password")
	}
}

func TestNoSequenceOfPasswordsLocksAUserOut(t *testing.T) {
	s := stage(t, newDouble(t), "")
	var failed []time.Time
	for i := range 8 * 60 {
		s.write("ann", fmt.Sprintf("wrong %d", i/3)) // another one every three minutes
		before := s.double.refusedLogins()
		_, _ = s.pool("ann").Acquire(s.ctx())
		for range s.double.refusedLogins() - before {
			failed = append(failed, s.clock.Now())
		}
		s.clock.advance(time.Minute)
		s.ask(s.ctx(), s.clock.Now())
	}
	if len(failed) < 20 {
		t.Fatalf("only %d logins were tried in eight hours", len(failed))
	}
	for i := range failed {
		if j := i + note.MaxRefused; j < len(failed) && failed[j].Sub(failed[i]) < note.Window {
			t.Fatalf("%d failed logins within %v", note.MaxRefused+1, failed[j].Sub(failed[i]))
		}
	}
}

func TestALoginIsNotTriedAboveTheBudgetOfAllProcesses(t *testing.T) {
	d := newDouble(t)
	notes := book(time.Now, "x")
	for range note.MaxRefused {
		try, err := notes.Begin(t.Context(), "lab", "ANN", func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if err := try.End(t.Context(), note.Refused, nil, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	s := stage(t, d, "", func(o *Options) { o.Notes, o.Now = notes, time.Now })
	if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrUntried) {
		t.Errorf("got %v, want ErrUntried", err)
	}
	if n := d.count("Login"); n != 0 {
		t.Errorf("%d logins", n)
	}
}

func TestAnUpstreamThatIsDownIsFoundAgain(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "wait-timeout: 30s")
	down := func(_ string, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	d.on(down)
	began := time.Now()
	if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	if time.Since(began) > 25*time.Second {
		t.Error("the caller had to wait for the wait-timeout")
	}
	if s.Ready() == nil {
		t.Error("it says that it is ready")
	}
	d.on(nil)
	s.pass(20 * time.Second)
	if err := s.Ready(); err != nil {
		t.Error(err)
	}
	s.use("ann").Done()
	for _, line := range []string{"the upstream can't be reached", "the upstream can be reached"} {
		if n := strings.Count(s.log.String(), `msg="`+line+`"`) + strings.Count(s.log.String(), line+`" `); n == 0 {
			t.Errorf("the log does not say that %s", line)
		}
	}
}

func TestASessionThatCantBeLoggedOutKeepsItsPlaceUntilItCan(t *testing.T) {
	d := newDouble(t)
	d.limit = 1
	s := stage(t, d, "max-sessions: 1\nwait-timeout: 300ms\nidle-timeout: 1m")
	s.use("ann").Done()
	d.on(func(method string, _ http.ResponseWriter, _ *http.Request) bool {
		if method == "Logout" {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	s.pass(time.Minute)
	eventually(t, "the logout has failed", func() bool { return s.State().Ghosts == 1 })
	if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	d.on(nil)
	s.pass(ghostRetry)
	s.use("ann").Done()
}

func TestAServerThatHasEndedHasNoSessions(t *testing.T) {
	d := newDouble(t)
	var down atomic.Bool
	s := stage(t, d, "max-sessions: 1\nwait-timeout: 300ms", func(o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if down.Load() {
				return nil, syscall.ECONNREFUSED
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	d.on(func(method string, _ http.ResponseWriter, _ *http.Request) bool {
		if method == "Login" {
			down.Store(true) // it ends while somebody logs in
			panic(http.ErrAbortHandler)
		}
		return false
	})
	if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	d.server.CloseClientConnections()
	s.pass(20 * time.Second) // nobody listens
	if _, err := s.pool("ann").Acquire(s.ctx()); err == nil {
		t.Fatal("a session at a server that is down")
	}
	down.Store(false)
	d.on(nil)
	s.pass(20 * time.Second)
	s.use("ann").Done()
}

func TestALoginThatFailsForAMomentCostsNoError(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "")
	failures := 2
	d.on(func(method string, w http.ResponseWriter, _ *http.Request) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		if method != "Login" || failures == 0 {
			return false
		}
		failures--
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	s.use("ann").Done()
	if n := d.count("Login"); n != 3 {
		t.Errorf("%d logins", n)
	}
}

func TestALoginWithUnknownOutcomeKeepsItsPlace(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "max-sessions: 1\nwait-timeout: 300ms")
	d.on(func(method string, w http.ResponseWriter, _ *http.Request) bool {
		if method == "Login" {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		return false
	})
	if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	d.on(nil)
	s.pass(20 * time.Second)
	if _, err := s.pool("ann").Acquire(s.ctx()); err == nil {
		t.Fatal("a second session was opened while the first may be there")
	}
	s.pass(mustHaveExpired)
	s.use("ann").Done()
}

func TestLossesUnderLoadAreNotNoticed(t *testing.T) {
	d := newDouble(t)
	d.limit = 3
	s := stage(t, d, "max-sessions: 3")
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				x, err := s.pool("ann").Acquire(s.ctx())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := x.Session().Reader(s.ctx()); err != nil && !errors.Is(err, ErrGone) {
					t.Error(err)
				}
				x.Session().Probe(s.ctx())
				x.Done()
			}
		})
	}
	for range 20 {
		before := d.count("CurrentTime")
		eventually(t, "calls are made", func() bool { return d.count("CurrentTime") > before+20 })
		d.endAll()
	}
	close(stop)
	group.Wait()
	if s.State().Lost == 0 {
		t.Error("no session was lost")
	}
}

func live(d *double) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for key := range d.live {
		all = append(all, key)
	}
	return all
}

func TestTheAutomationAPIHasASessionOfItsOwnWithinTheLimit(t *testing.T) {
	d := newDouble(t)
	d.limit = 2
	s := stage(t, d, "max-sessions: 2\nidle-timeout: 1m")
	x := s.use("ann")
	defer x.Done()
	r, err := x.Session().REST(s.ctx())
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	again, err := x.Session().REST(s.ctx())
	if err != nil || again != r {
		t.Fatalf("another session: %v", err)
	}
	if d.sessions() != 2 {
		t.Errorf("%d sessions at the upstream", d.sessions())
	}
	r.Lost(errors.New("401"))
	r, err = x.Session().REST(s.ctx())
	if err != nil || r == again {
		t.Fatal("the lost session is still used", err)
	}
	s.clock.advance(30 * time.Second)
	s.use("bob").Done() // it gets the place of the unused session
	if n := len(live(d)); n != 2 {
		t.Errorf("%d SOAP sessions", n)
	}
	s.pass(time.Minute)
	if err := s.Drain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if d.sessions() != 0 {
		t.Errorf("%d sessions are left", d.sessions())
	}
}

func TestAnAccountLogsInToTheAutomationAPIAFewTimesAMinute(t *testing.T) {
	d := newDouble(t)
	s := stage(t, d, "max-sessions: 3")
	x := s.use("ann")
	defer x.Done()
	made := 0
	for range 20 {
		r, err := x.Session().REST(s.ctx())
		if err == nil {
			made++
			r.Lost(errors.New("401"))
			continue
		}
		if !errors.Is(err, ErrAccount) || !strings.Contains(err.Error(), "too soon") {
			t.Fatal(err)
		}
	}
	if made != restLogins {
		t.Errorf("%d sessions within a moment", made)
	}
	s.clock.advance(restWindow)
	if _, err := x.Session().REST(s.ctx()); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestACopyOfASessionTakesAPlaceForHalfAnHour(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 2\nwait-timeout: 300ms\nidle-timeout: 1m")
	for i := range 2 {
		ticket, err := s.pool("ann").CloneTicket(s.ctx())
		if (err == nil) != (i == 0) || err == nil && ticket.IsZero() || err != nil && !errors.Is(err, ErrFull) {
			t.Fatalf("ticket %d: %v", i, err)
		}
	}
	s.pass(ticketTime - time.Second)
	if n := len(live(s.double)); n != 1 {
		t.Fatalf("%d sessions while the ticket may be used", n)
	}
	s.pass(2 * time.Minute)
	eventually(t, "the session is logged out", func() bool { return len(live(s.double)) == 0 })
	s.pass(cloneTime)
	if n := s.State().Places; n != 0 {
		t.Errorf("%d places are taken", n)
	}
}

func TestASessionOnWhichSomethingIsLeftServesNobodyElse(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 1")
	x := s.use("ann")
	old := x.Session()
	old.Pin()
	old.Spoil(errors.New("a view could not be destroyed"))
	x.Done()
	own, err := s.pool("ann").AcquireOn(s.ctx(), old)
	if err != nil {
		t.Fatalf("its own client can't use it: %v", err)
	}
	own.Done()
	old.Unpin()
	if y := s.use("ann"); y.Session() == old {
		t.Error("another client got it")
	}
}

func TestPrivilegesAreAskedOnceAMinute(t *testing.T) {
	s := stage(t, newDouble(t), "")
	a, _ := s.Account("ann")
	for range 3 {
		has, err := a.Privileges(s.ctx(), "System.View", "Sessions.TerminateSession")
		if err != nil || len(has) != 2 || !has["System.View"] {
			t.Fatal(has, err)
		}
	}
	if n := s.double.count("HasPrivilegeOnEntities"); n != 1 {
		t.Errorf("the upstream was asked %d times", n)
	}
	s.clock.advance(privilegeAge)
	s.double.endAll()
	if _, err := a.Privileges(s.ctx(), "System.View"); err != nil {
		t.Error(err)
	}
}
