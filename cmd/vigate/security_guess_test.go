package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/user"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
)

// bindings are the ways to log in with a password over the network. Each makes the request. The
// server is behind a proxy that reports the client's address.
var bindings = []struct {
	name  string
	login func(base, user, password string) (*http.Request, error)
}{
	{"vijson", func(base, user, password string) (*http.Request, error) {
		return http.NewRequest("POST", base+"/sdk/vim25/8.0.1.0/"+sm+"Login",
			strings.NewReader(loginBody(user, password)))
	}},
	{"soap", func(base, user, password string) (*http.Request, error) {
		return http.NewRequest("POST", base+"/sdk",
			strings.NewReader(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>`+
				`<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>`+user+
				`</userName><password>`+password+
				`</password></Login></Body></Envelope>`))
	}},
	{"rest", func(base, user, password string) (*http.Request, error) {
		r, err := http.NewRequest("POST", base+"/api/session", nil)
		if err == nil {
			r.SetBasicAuth(user, password)
		}
		return r, err
	}},
}

// verdict is the outcome of a login.
type verdict string

const (
	in       verdict = "logged in"
	rejected verdict = "rejected"
	busy     verdict = "busy"
)

// attempt logs in over the i-th binding from the address. It fails the test if the outcome is not
// one of the verdicts.
func (s *scene) attempt(i int, address, user, password string) verdict {
	b := bindings[i%len(bindings)]
	r, err := b.login(s.plain, user, password)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	r.Header.Set("X-Forwarded-For", address)
	resp, err := s.c.Do(r)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
	case resp.StatusCode == 200 || resp.StatusCode == 201:
		return in
	case resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "":
		return busy
	case resp.StatusCode == 401, strings.Contains(string(body), "InvalidLogin"):
		return rejected
	}
	s.t.Errorf("%s: %d %s %v", b.name, resp.StatusCode, body, err)
	return ""
}

// The wrong guesses and the right one are judged at the same time. How soon the server gets them
// depends on the machine, so the test makes rounds until one has them all at once.
func TestASVS_6_3_1_GuessesAtOnceAreAsManyAsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	s := newScene(t, behindProxy)
	const password, guesses = "a good long password", 8
	for i, b := range bindings {
		end := time.Now().Add(patience)
		for round, atOnce := 0, false; !atOnce; round++ {
			if time.Now().After(end) {
				t.Fatalf("%s: in %d rounds the guesses were never judged at the same time", b.name, round)
			}
			name, address := fmt.Sprintf("user-%d-of-%s", round, b.name), fmt.Sprintf("198.51.%d.%d", 100+i, round%250)
			s.user(name, password, roleReadOnly)
			var failed int
			var last verdict
			failed, last, atOnce = s.guess(i, address, name, password, guesses)
			if failed < 5 || last == busy {
				t.Errorf("%s: %d of %d guesses were judged, and the right one was %s", b.name, failed, guesses, last)
			}
			if last == in {
				t.Errorf("%s: %d wrong guesses at once, and the right one is taken", b.name, failed)
			}
			for j := range bindings {
				if v := s.attempt(j, address, name, password); v == in {
					t.Errorf("%s: the lock does not hold over %s", b.name, bindings[j].name)
				}
			}
		}
	}
}

// guess sends wrong guesses concurrently, and the right password while they are running. It returns
// how many wrong guesses were judged and rejected, the verdict on the right password, and whether
// all of them were seen in the server at the same time.
func (s *scene) guess(i int, address, name, password string, guesses int) (failed int, last verdict, atOnce bool) {
	s.t.Helper()
	asked := s.Accounts.Load().Hashes
	verdicts := make([]verdict, guesses)
	var wrong sync.WaitGroup
	for n := range guesses {
		wrong.Go(func() { verdicts[n] = s.attempt(i, address, name, fmt.Sprint("wrong ", n)) })
	}
	eventually(s.t, "all guesses have begun", func() bool { return s.Accounts.Load().Hashes >= asked+uint64(guesses) })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		last = s.attempt(i, address, name, password)
		wrong.Wait()
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for done := false; !done; {
		l := s.Accounts.Load()
		atOnce = atOnce || l.Running+l.Waiting > guesses
		select {
		case <-answered:
			done = true
		case <-tick.C:
		}
	}
	for _, v := range verdicts {
		switch v {
		case in:
			s.t.Error("a wrong password logs in")
		case rejected:
			failed++
		}
	}
	return failed, last, atOnce
}

// A client that hangs up learns nothing, but it must not be able to guess on without being counted.
func TestASVS_6_3_1_AClientThatHangsUpBeforeItsAnswerHasGuessed(t *testing.T) {
	t.Parallel()
	s := newScene(t, behindProxy)
	const password = "a good long password"
	for i, b := range bindings {
		end := time.Now().Add(patience)
		for round, hungUp := 0, 0; hungUp == 0; round++ {
			if time.Now().After(end) {
				t.Fatalf("%s: in %d rounds each answer came before the client could hang up", b.name, round)
			}
			name, address := fmt.Sprintf("user-%d-of-%s", round, b.name), fmt.Sprintf("198.51.%d.%d", 100+i, round%250)
			s.user(name, password, roleReadOnly)
			for range 5 {
				if s.guessAndHangUp(i, address, name) {
					hungUp++
				}
			}
			if v := s.attempt(i, address, name, password); v != rejected {
				t.Errorf("%s: after 5 guesses, %d of clients that hung up, the right one is %s", b.name, hungUp, v)
			}
			if v := s.attempt(i, "192.0.2.77", name, password); v != in {
				t.Errorf("%s: from elsewhere the right one is %s", b.name, v)
			}
		}
	}
}

// guessAndHangUp sends a wrong guess, and closes the connection when the server judges it. It
// reports whether that was before the answer.
func (s *scene) guessAndHangUp(i int, address, name string) bool {
	s.t.Helper()
	r, err := bindings[i].login(s.plain, name, "wrong")
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", address)
	ctx, hangUp := context.WithCancel(s.t.Context())
	defer hangUp()
	eventually(s.t, "nothing is being hashed", func() bool { l := s.Accounts.Load(); return l.Running+l.Waiting == 0 })
	asked := s.Accounts.Load().Hashes
	answer := make(chan error, 1)
	go func() {
		resp, err := s.c.Do(r.WithContext(ctx))
		if err == nil {
			err = resp.Body.Close()
		}
		answer <- err
	}()
	// A guess that still waits for its turn is not judged if its client hangs up.
	eventually(s.t, "the guess is being judged", func() bool {
		l := s.Accounts.Load()
		return l.Hashes > asked && l.Waiting == 0
	})
	hangUp()
	err = <-answer
	if err != nil && !errors.Is(err, context.Canceled) {
		s.t.Errorf("guess: %v", err)
	}
	return err != nil
}

func TestAFloodOfUnknownNamesFromOneAddressDoesNotBlockOtherLogins(t *testing.T) {
	s := newSceneWith(t, serve.Options{}, behindProxy)
	const clients = 100
	var names, refused atomic.Int64
	var flood sync.WaitGroup
	stop, full := make(chan struct{}), make(chan struct{})
	for i := range clients {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprint("made-up-", names.Add(1))
				if s.attempt(i, "198.51.100.66", name, "wrong") == busy && refused.Add(1) == 1 {
					close(full)
				}
			}
		})
	}
	<-full
	for i := range 4 * len(bindings) {
		loginDuring(t, "the flood, over "+bindings[i%len(bindings)].name, func() (bool, bool, string) {
			v := s.attempt(i, "192.0.2.7", adminUser, adminPassword)
			return v == in, v == busy, string(v)
		})
	}
	close(stop)
	flood.Wait()
	if l := s.Accounts.Load(); l.Waiting != 0 {
		t.Errorf("after the flood: %+v", l)
	}
}

func TestLocalTicketsPastTheirBoundAreRefusedOverEachBindingAndNobodyElseIs(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(c *config.Config) { c.LocalTickets = config.LocalTicketsLoopback })
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s.permit(`LOCALOS\`+me.Username, roleReadOnly)
	body := fmt.Sprintf(`{"userName":%q}`, me.Username)
	for i := range 8 {
		if a := s.call("", sm+"AcquireLocalTicket", body); a.status != 200 {
			t.Fatalf("ticket %d: %d %s", i, a.status, a.body)
		}
	}
	if a := s.call("", sm+"AcquireLocalTicket", body); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one more over VI JSON: %d %v %s", a.status, a.header, a.body)
	}
	resp, err := s.c.Post(s.plain+"/sdk", "text/xml",
		strings.NewReader(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>`+
			`<AcquireLocalTicket xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>`+
			me.Username+
			`</userName></AcquireLocalTicket></Body></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more over SOAP: %d %v", resp.StatusCode, resp.Header)
	}
	s.must(s.admin, sm+"AcquireCloneTicket", "")
	s.loginAs(adminUser, adminPassword)
}
