package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

func withLogin(cfg *Config) {
	cfg.Login = func(ctx context.Context, c *Client) error {
		_, err := c.Login(ctx, "user", fakePassword, "")
		return err
	}
}

func TestConcurrentCallersShareOneRenewal(t *testing.T) {
	f := newFake()
	c := start(t, f, withLogin)
	login(t, c)
	f.kill()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := c.SessionList(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.count("POST SessionManager.Login"); n != 2 {
		t.Errorf("%d logins for one end of the session, want 1 besides the first", n-1)
	}
}

func TestTheDeadTokenDoesNotGoWithTheRenewal(t *testing.T) {
	f := newFake()
	c := start(t, f, withLogin)
	login(t, c)
	f.kill()
	if _, err := c.Message(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.last(t, "POST SessionManager.Login").header.Get("vmware-api-session-id"); got != "" {
		t.Error("the login carried the old token")
	}
}

func TestACallIsRenewedOnlyOnce(t *testing.T) {
	f := newFake()
	never := func(w http.ResponseWriter, _ *http.Request) { fault(w, "NotAuthenticated", "no") }
	f.on("GET SessionManager.message", never)
	c := start(t, f, withLogin)
	_, err := c.Message(t.Context())
	if !isNotAuthenticated(err) {
		t.Errorf("got %v", err)
	}
	if calls, logins := f.count("GET SessionManager.message"), f.count("POST SessionManager.Login"); calls != 2 ||
		logins != 1 {
		t.Errorf("%d calls and %d logins", calls, logins)
	}
}

func TestWithoutALoginFunctionNotAuthenticatedIsReturned(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	if _, err := c.Message(t.Context()); !isNotAuthenticated(err) {
		t.Errorf("got %v", err)
	}
	if n := f.count("POST SessionManager.Login"); n != 0 {
		t.Errorf("%d logins", n)
	}
}

func TestALoginIsNeverRenewed(t *testing.T) {
	f := newFake()
	f.on("POST SessionManager.Login", func(w http.ResponseWriter, _ *http.Request) {
		fault(w, "NotAuthenticated", "no")
	})
	c := start(t, f, withLogin)
	if _, err := c.Login(t.Context(), "u", "p", ""); !isNotAuthenticated(err) {
		t.Errorf("got %v", err)
	}
	if n := f.count("POST SessionManager.Login"); n != 1 {
		t.Errorf("%d logins", n)
	}
}

func TestCallsOfTheLoginFunctionDoNotWaitForIt(t *testing.T) {
	f := newFake()
	var inner error
	c := start(t, f, func(cfg *Config) {
		cfg.Login = func(ctx context.Context, c *Client) error {
			_, inner = c.Message(ctx)
			_, err := c.Login(ctx, "user", fakePassword, "")
			return err
		}
	})
	if _, err := c.SessionList(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !isNotAuthenticated(inner) {
		t.Errorf("the call in the login function: %v", inner)
	}
}

func TestALoginFunctionThatWaitsForItselfTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := startInProcess(t, f, func(cfg *Config) {
			cfg.Login = func(_ context.Context, c *Client) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				// the context is not the one given, so this waits for its own renewal
				_, err := c.Message(ctx)
				return err
			}
		})
		began := time.Now()
		_, err := c.Message(t.Context())
		if err == nil || time.Since(began) > renewalTimeout {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		c.Close()
		synctest.Wait()
	})
}

func TestAfterLogoutNothingLogsInAgain(t *testing.T) {
	f := newFake()
	c := start(t, f, withLogin)
	login(t, c)
	if err := c.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Message(t.Context()); !isNotAuthenticated(err) {
		t.Errorf("got %v", err)
	}
	if n := f.count("POST SessionManager.Login"); n != 1 {
		t.Errorf("%d logins", n)
	}
	login(t, c)
	f.kill()
	if _, err := c.Message(t.Context()); err != nil {
		t.Errorf("after a login of the program's own: %v", err)
	}
}

func TestARefusedLoginFunctionIsNotCalledAgain(t *testing.T) {
	f := newFake()
	var calls atomic.Int32
	c := start(t, f, func(cfg *Config) {
		cfg.Login = func(ctx context.Context, c *Client) error {
			calls.Add(1)
			_, err := c.Login(ctx, "user", "changed since", "")
			return err
		}
	})
	for range 3 {
		_, err := c.Message(t.Context())
		var refused *types.InvalidLogin
		if !As(err, &refused) || !isNotAuthenticated(err) {
			t.Errorf("got %v", err)
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("the password was tried %d times", n)
	}
	login(t, c)
	f.kill()
	if _, err := c.Message(t.Context()); err == nil || calls.Load() != 2 {
		t.Errorf("a login of the program's own did not make it callable again: %v", err)
	}
}

func TestALoginIsTriedAgainIfTheServerHadTooManySessions(t *testing.T) {
	f := newFake()
	f.on("POST SessionManager.Login", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		faultStatus(w, 503, "InvalidLogin", "too many sessions")
	})
	c := start(t, f, withLogin)
	_, err := c.Message(t.Context())
	if status, ok := errors.AsType[*HTTPError](err); !ok || status.RetryAfter != time.Second {
		t.Errorf("got %v", err)
	}
	f.on("POST SessionManager.Login", nil)
	if _, err := c.Message(t.Context()); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestALoginOfTheProgramsOwnMayOvertakeARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		begun, release := make(chan struct{}), make(chan struct{})
		c := startInProcess(t, f, func(cfg *Config) {
			cfg.Login = func(ctx context.Context, c *Client) error {
				begun <- struct{}{}
				<-release
				_, err := c.Login(ctx, "user", fakePassword, "")
				return err
			}
		})
		for range 2 {
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := c.Message(t.Context()); err != nil {
					t.Error(err)
				}
			})
			<-begun
			login(t, c)
			release <- struct{}{}
			wg.Wait()
			if n := f.liveSessions(); n != 1 {
				t.Errorf("%d sessions", n)
			}
			f.kill()
		}
	})
}

func TestALoginFunctionThatDoesNotLogInIsAnError(t *testing.T) {
	c := start(t, newFake(), func(cfg *Config) {
		cfg.Login = func(context.Context, *Client) error { return nil }
	})
	if _, err := c.Message(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestALogoutDuringARenewalLeavesNoSessionBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		begun, release := make(chan struct{}), make(chan struct{})
		c := startInProcess(t, f, func(cfg *Config) {
			cfg.Login = func(ctx context.Context, c *Client) error {
				close(begun)
				<-release
				_, err := c.Login(ctx, "user", fakePassword, "")
				return err
			}
		})
		var callErr error
		var wg sync.WaitGroup
		wg.Go(func() { _, callErr = c.Message(t.Context()) })
		<-begun
		wg.Go(func() {
			if err := c.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		close(release)
		wg.Wait()
		if !isNotAuthenticated(callErr) {
			t.Errorf("the call got %v", callErr)
		}
		if n := f.liveSessions(); n != 0 || !c.Token().IsZero() {
			t.Errorf("%d sessions live on, token kept: %v", n, !c.Token().IsZero())
		}
	})
}

func TestACallerThatGivesUpDoesNotEndTheRenewalOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		begun, release := make(chan struct{}), make(chan struct{})
		c := startInProcess(t, f, func(cfg *Config) {
			cfg.Login = func(ctx context.Context, c *Client) error {
				close(begun)
				<-release
				_, err := c.Login(ctx, "user", fakePassword, "")
				return err
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var wg sync.WaitGroup
		wg.Go(func() { _, first = c.Message(ctx) })
		<-begun
		wg.Go(func() { _, second = c.Message(t.Context()) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		wg.Wait()
		if !errors.Is(first, context.Canceled) || second != nil {
			t.Errorf("the first: %v; the second: %v", first, second)
		}
	})
}

func TestALogoutThatFailsCanBeRepeated(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	login(t, c)
	f.on("POST SessionManager.Logout", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	if err := c.Logout(t.Context()); err == nil || c.Token().IsZero() {
		t.Errorf("after a 503: %v, token forgotten: %v", err, c.Token().IsZero())
	}
	f.on("POST SessionManager.Logout", nil)
	if err := c.Logout(t.Context()); err != nil || f.liveSessions() != 0 {
		t.Errorf("again: %v, %d live", err, f.liveSessions())
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Errorf("without a session: %v", err)
	}
}

func TestLogoutOfADeadSessionIsNoError(t *testing.T) {
	f := newFake()
	c := start(t, f, withLogin)
	login(t, c)
	f.kill()
	if err := c.Logout(t.Context()); err != nil || !c.Token().IsZero() {
		t.Errorf("got %v", err)
	}
	if n := f.count("POST SessionManager.Login"); n != 1 {
		t.Errorf("logged in %d times", n)
	}
}
