package client

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

const tickOp = "POST ServiceInstance.CurrentTime"

// aliveTest runs a test in a synctest bubble with a client that is logged in and that has a
// keep-alive with an interval of one minute.
func aliveTest(t *testing.T, change func(*Config), body func(*testing.T, *fakeServer, *Client, <-chan error)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := startInProcess(t, f, change)
		login(t, c)
		ended, err := c.KeepAlive(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		body(t, f, c, ended)
		c.Close()
		synctest.Wait() // the bubble fails the test if a goroutine remains
	})
}

// at advances the bubble's clock by d.
func at(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestAKeepAliveCallsOnceInEachInterval(t *testing.T) {
	aliveTest(t, nil, func(t *testing.T, f *fakeServer, c *Client, ended <-chan error) {
		at(10*time.Minute + time.Second)
		if n := f.count(tickOp); n != 10 {
			t.Errorf("%d calls in 10 minutes", n)
		}
	})
}

func TestAKeepAliveStopsWhenTheSessionEnds(t *testing.T) {
	aliveTest(t, nil, func(t *testing.T, f *fakeServer, c *Client, ended <-chan error) {
		f.kill()
		if err := <-ended; !isNotAuthenticated(err) {
			t.Errorf("ended with %v", err)
		}
		at(10 * time.Minute)
		if n := f.count(tickOp); n != 1 {
			t.Errorf("%d calls for a dead session", n)
		}
	})
}

func TestAKeepAliveStopsAtLogoutCloseAndItsContextsEnd(t *testing.T) {
	stops := map[error]func(*Client, context.CancelCauseFunc){
		ErrLoggedOut:         func(c *Client, _ context.CancelCauseFunc) { _ = c.Logout(context.Background()) },
		ErrClosed:            func(c *Client, _ context.CancelCauseFunc) { c.Close() },
		http.ErrServerClosed: func(_ *Client, cancel context.CancelCauseFunc) { cancel(http.ErrServerClosed) },
		context.Canceled:     func(_ *Client, cancel context.CancelCauseFunc) { cancel(nil) },
	}
	for want, stop := range stops {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			c := startInProcess(t, f, nil)
			login(t, c)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ended, err := c.KeepAlive(ctx, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			stop(c, cancel)
			if err := <-ended; !errors.Is(err, want) {
				t.Errorf("ended with %v, want %v", err, want)
			}
			at(5 * time.Minute)
			if n := f.count(tickOp); n != 0 {
				t.Errorf("%v: %d calls after the end", want, n)
			}
		})
	}
}

func TestAKeepAliveSurvivesErrorsOfTheServer(t *testing.T) {
	aliveTest(t, nil, func(t *testing.T, f *fakeServer, c *Client, ended <-chan error) {
		f.on(tickOp, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		at(3*time.Minute + time.Second)
		f.on(tickOp, nil)
		at(2 * time.Minute)
		select {
		case err := <-ended:
			t.Errorf("ended with %v", err)
		default:
		}
		if n := f.count(tickOp); n != 5 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestAKeepAliveRenewsTheSessionIfThereIsALoginFunction(t *testing.T) {
	aliveTest(t, withLogin, func(t *testing.T, f *fakeServer, c *Client, ended <-chan error) {
		f.kill()
		at(time.Minute + time.Second)
		if n := f.liveSessions(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		select {
		case err := <-ended:
			t.Errorf("ended with %v", err)
		default:
		}
	})
}

func TestAClientHasOneKeepAliveAndOnlyForASession(t *testing.T) {
	aliveTest(t, nil, func(t *testing.T, f *fakeServer, c *Client, ended <-chan error) {
		if _, err := c.KeepAlive(t.Context(), time.Minute); err == nil {
			t.Error("a second one was started")
		}
		if err := c.Logout(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.KeepAlive(t.Context(), time.Minute); !errors.Is(err, ErrLoggedOut) {
			t.Errorf("after Logout: %v", err)
		}
		login(t, c)
		if _, err := c.KeepAlive(t.Context(), -1); err == nil {
			t.Error("a negative interval was accepted")
		}
		if _, err := c.KeepAlive(t.Context(), time.Minute); err != nil {
			t.Errorf("after a new login: %v", err)
		}
		<-ended
		at(time.Minute + time.Second)
		if n := f.count(tickOp); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := startInProcess(t, newFake(), nil)
		if _, err := c.KeepAlive(t.Context(), time.Minute); err == nil {
			t.Error("an anonymous client was kept alive")
		}
	})
}
