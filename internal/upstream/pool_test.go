package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCallsShareOneSessionUntilItIsBusy(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 3")
	var uses []*Use
	for range callsPerSession {
		uses = append(uses, s.use("ann"))
	}
	if n := s.double.count("Login"); n != 1 {
		t.Fatalf("%d logins for the first calls", n)
	}
	uses = append(uses, s.use("ann")) // it is served at once, and another session is opened
	eventually(t, "a second session is opened", func() bool { return s.double.sessions() == 2 })
	eventually(t, "the second session serves", func() bool {
		x := s.use("ann")
		defer x.Done()
		return x.Session() != uses[0].Session()
	})
	for _, x := range uses {
		x.Done()
		x.Done() // a second time changes nothing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests != 0 || s.places != 2 {
		t.Errorf("%d requests and %d places are taken", s.requests, s.places)
	}
}

func TestEachLanguageHasAPoolOfItsOwn(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 3")
	account, _ := s.Account("ann")
	seen := map[string]string{}
	for _, locale := range []string{"de", "ja", "de", "ja"} {
		x, err := s.Pool(account, locale).Acquire(s.ctx())
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Session().Info().MessageLocale; got != locale {
			t.Errorf("a session for %s has the language %s", locale, got)
		}
		seen[x.Session().ID()] = locale
		x.Done()
	}
	if len(seen) != 2 || s.double.count("Login") != 2 {
		t.Errorf("sessions %v by %d logins", seen, s.double.count("Login"))
	}
}

func TestThereAreNeverMoreSessionsThanAllowed(t *testing.T) {
	d := newDouble(t)
	d.limit = 2
	s := stage(t, d, "max-sessions: 2\nmax-requests: 16")
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			for range 40 {
				x, err := s.pool([]string{"ann", "bob"}[i%2]).Acquire(s.ctx())
				if err != nil {
					t.Error(err)
					return
				}
				if !x.Session().Probe(s.ctx()) {
					t.Error("a session ended while it was used")
				}
				x.Done()
			}
		})
	}
	group.Wait()
	if d.most != 2 {
		t.Errorf("%d sessions at most", d.most)
	}
}

func TestAnIdleSessionMakesRoomForAnotherAccount(t *testing.T) {
	d := newDouble(t)
	d.limit = 1
	s := stage(t, d, "max-sessions: 1")
	first := s.use("ann")
	gone := first.Session().Gone()
	first.Done()
	s.use("bob").Done()
	select {
	case <-gone:
	default:
		t.Error("the session of ann has not ended")
	}
}

func TestASessionThatOwnsSomethingKeepsItsPlace(t *testing.T) {
	d := newDouble(t)
	d.limit = 1
	s := stage(t, d, "max-sessions: 1\nwait-timeout: 200ms")
	x := s.use("ann")
	x.Session().Pin()
	x.Done()
	if _, err := s.pool("bob").Acquire(s.ctx()); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	x.Session().Unpin()
	s.use("bob").Done()
}

func TestAPlaceThatBecomesFreeIsGivenAtOnce(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 1")
	x := s.use("ann")
	x.Session().Pin()
	x.Done()
	served := make(chan error)
	go func() {
		y, err := s.pool("bob").Acquire(s.ctx())
		if err == nil {
			y.Done()
		}
		served <- err
	}()
	eventually(t, "bob waits", func() bool { return s.waiting() == 1 })
	x.Session().Unpin()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestRunLogsOutWhatNobodyUses(t *testing.T) {
	s := stage(t, newDouble(t), "idle-timeout: 1s", func(o *Options) { o.Now = time.Now })
	ctx, cancel := context.WithCancel(s.ctx())
	var group sync.WaitGroup
	group.Go(func() { s.Run(ctx) })
	eventually(t, "the upstream is found", func() bool { return s.Ready() == nil })
	s.use("ann").Done()
	eventually(t, "the session is logged out", func() bool { return s.double.sessions() == 0 })
	cancel()
	group.Wait()
}

func BenchmarkAcquireAndDone(b *testing.B) {
	d := newDouble(b)
	s := stage(b, d, "max-requests: 1000", func(o *Options) { o.Now = time.Now })
	pool := s.pool("ann")
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			x, err := pool.Acquire(b.Context())
			if err != nil {
				b.Error(err)
				return
			}
			x.Done()
		}
	})
}

func TestWhoeverWaitsIsServedInTheOrderOfArrival(t *testing.T) {
	s := stage(t, newDouble(t), "max-requests: 1")
	held := s.use("ann")
	order := make(chan int, 10)
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			x, err := s.pool("ann").Acquire(s.ctx())
			if err != nil {
				t.Error(err)
				return
			}
			order <- i
			x.Done()
		})
		eventually(t, "the caller waits", func() bool { return s.waiting() == i+1 })
	}
	held.Done()
	group.Wait()
	for i := range 10 {
		if got := <-order; got != i {
			t.Errorf("caller %d came in place %d", got, i)
		}
	}
}

func TestACallerThatGoesLeavesTheQueue(t *testing.T) {
	s := stage(t, newDouble(t), "max-requests: 1")
	held := s.use("ann")
	ctx, cancel := context.WithCancel(s.ctx())
	ended := make(chan error)
	go func() {
		_, err := s.pool("ann").Acquire(ctx)
		ended <- err
	}()
	eventually(t, "the caller waits", func() bool { return s.waiting() == 1 })
	cancel()
	if err := <-ended; !errors.Is(err, ctx.Err()) {
		t.Errorf("got %v", err)
	}
	if s.waiting() != 0 {
		t.Error("it is still in the queue")
	}
	held.Done()
	s.use("ann").Done()
}

func TestWaitsHaveABudgetOfTheirOwn(t *testing.T) {
	s := stage(t, newDouble(t), "max-waits: 1\nmax-requests: 1\nwait-timeout: 200ms")
	done, err := s.BeginWait(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	s.use("ann").Done() // requests are not affected
	if _, err := s.BeginWait(s.ctx()); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	done()
	done() // a second time changes nothing
	again, err := s.BeginWait(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestALostSessionIsReplacedAndPinnedCallersLearnOfIt(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 1")
	x := s.use("ann")
	old := x.Session()
	old.Pin()
	x.Done()
	s.double.endAll()
	if old.Probe(s.ctx()) {
		t.Fatal("the probe has not noticed the loss")
	}
	<-old.Gone()
	if _, err := s.pool("ann").AcquireOn(s.ctx(), old); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	y := s.use("ann")
	if y.Session() == old || !y.Session().Probe(s.ctx()) {
		t.Error("the pool serves the lost session")
	}
	y.Done()
}

func TestUnusedSessionsAreLoggedOutAndOldOnesReplaced(t *testing.T) {
	s := stage(t, newDouble(t), "idle-timeout: 1m\nmax-lifetime: 1h")
	s.use("ann").Done()
	s.pass(time.Minute)
	eventually(t, "the unused session is logged out", func() bool { return s.double.sessions() == 0 })
	x := s.use("ann")
	x.Session().Pin()
	x.Done()
	for range 61 {
		s.pass(time.Minute) // the probes keep it in use
	}
	if s.double.sessions() != 1 {
		t.Fatal("a session that owns something has ended")
	}
	x.Session().Unpin()
	eventually(t, "the old session is logged out", func() bool { return s.double.sessions() == 0 })
}

func TestTheLossOfASessionWithWaitsAloneIsNoticedWithinAMinute(t *testing.T) {
	s := stage(t, newDouble(t), "")
	x := s.use("ann")
	x.Session().Pin()
	x.Done()
	s.double.endAll()
	s.pass(probeAfter)
	<-x.Session().Gone()
	if !strings.Contains(s.log.String(), "the upstream has ended sessions") {
		s.pass(time.Minute)
	}
	if !strings.Contains(s.log.String(), "the upstream has ended sessions") {
		t.Error("the log does not tell of the loss")
	}
}

func TestAnAccountUnderLoadDoesNotKeepAnotherOut(t *testing.T) {
	d := newDouble(t)
	d.limit = 1
	s := stage(t, d, "max-sessions: 1", func(o *Options) { o.Now = time.Now })
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 3 {
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
				x.Session().Probe(s.ctx())
				x.Done()
			}
		})
	}
	eventually(t, "ann makes calls", func() bool { return d.count("CurrentTime") > 10 })
	for range 2 {
		s.use("bob").Done()
	}
	close(stop)
	group.Wait()
}

func TestManyCallersThatWaitAreServedOneByOne(t *testing.T) {
	s := stage(t, newDouble(t), "max-requests: 2")
	s.use("ann").Done()
	held := s.use("ann")
	second := s.use("ann")
	const callers = 2000
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			x, err := s.pool("ann").Acquire(s.ctx())
			if err != nil {
				t.Error(err)
				return
			}
			x.Done()
		})
	}
	eventually(t, "all wait", func() bool { return s.waiting() == callers })
	held.Done()
	second.Done()
	group.Wait()
}

func TestPrivateSessionsServeOneClientOnly(t *testing.T) {
	d := newDouble(t)
	d.limit = 2
	s := stage(t, d, "mode: private\nmax-sessions: 2")
	seen := map[*Session]string{}
	for _, client := range []string{"a", "b", "a", "c", "b", "a"} {
		x, err := s.pool("ann").Private(s.ctx(), client)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[x.Session()]; ok && other != client {
			t.Errorf("%s has the session of %s", client, other)
		}
		seen[x.Session()] = client
		x.Done()
	}
	s.pool("ann").End("a")
	s.pool("ann").End("b")
	s.pool("ann").End("c")
	eventually(t, "the sessions end with those of the clients", func() bool { return d.sessions() == 0 })
}

func TestADrainLeavesNoSession(t *testing.T) {
	s := stage(t, newDouble(t), "")
	x, y := s.use("ann"), s.use("bob")
	x.Session().Pin()
	if err := s.Drain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if n := s.double.sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if _, err := s.pool("ann").Acquire(s.ctx()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	x.Done()
	y.Done()
}

func TestVigateIsKnownByItsUserAgent(t *testing.T) {
	d := newDouble(t)
	agents := make(chan string, 100)
	d.on(func(_ string, _ http.ResponseWriter, r *http.Request) bool {
		agents <- r.UserAgent()
		return false
	})
	s := stage(t, d, "")
	s.use("ann").Done()
	if err := s.Drain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	d.server.Close()
	close(agents)
	n := 0
	for a := range agents {
		n++
		if a != "vigate/1.2 (lab)" {
			t.Errorf("user agent %q", a)
		}
	}
	if n < 3 {
		t.Errorf("only %d calls", n)
	}
}

func TestReadersAreFewAndNotTheDefaultCollector(t *testing.T) {
	s := stage(t, newDouble(t), "max-sessions: 1")
	var uses []*Use
	for range 3 * callsPerSession {
		uses = append(uses, s.use("ann"))
	}
	seen := map[string]bool{}
	var mu sync.Mutex // guards seen
	var group sync.WaitGroup
	for _, x := range uses {
		group.Go(func() {
			for range 5 {
				ref, err := x.Session().Reader(s.ctx())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[ref.Value] = true
				mu.Unlock()
			}
		})
	}
	group.Wait()
	content, err := s.Content(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) > callsPerSession || len(seen) < 2 || seen[content.PropertyCollector.Value] {
		t.Errorf("the collectors are %v", seen)
	}
	if n := s.double.count("CreatePropertyCollector"); n != len(seen) {
		t.Errorf("%d were made, %d are used", n, len(seen))
	}
	for _, x := range uses {
		x.Done()
	}
}

func TestSecretsAreThoseOfTheSessionsThatThereAre(t *testing.T) {
	s := stage(t, newDouble(t), "")
	before := s.Secrets()
	x := s.use("ann")
	now := s.Secrets()
	var all []string
	for _, text := range now.All() {
		all = append(all, text.Reveal())
	}
	if before == now || !strings.Contains(strings.Join(all, " "), x.Session().Key().Reveal()) ||
		!strings.Contains(strings.Join(all, " "), x.Session().Cookie().Reveal()) {
		t.Errorf("the secrets are %d", len(all))
	}
	if x.Session().Info().Key != "" {
		t.Error("the information about the session shows its key")
	}
	x.Done()
	if err := s.Drain(s.ctx()); err != nil {
		t.Fatal(err)
	}
	if len(s.Secrets().All()) != 0 {
		t.Error("secrets of ended sessions are kept")
	}
}
