package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const messageOp = "GET SessionManager.message"

// failing makes the first n calls of op fail with h. Later calls are answered by the fake server.
func failing(f *fakeServer, op string, n int, h http.HandlerFunc) {
	var calls atomic.Int32
	f.on(op, func(w http.ResponseWriter, r *http.Request) {
		if int(calls.Add(1)) <= n {
			h(w, r)
			return
		}
		reply(w, `"at last"`)
	})
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func TestAReadIsRepeatedAfterATemporaryFailure(t *testing.T) {
	for _, code := range []int{502, 503, 504} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			failing(f, messageOp, 2, status(code, ""))
			c := startInProcess(t, f, nil)
			began := time.Now()
			if message, err := c.Message(t.Context()); err != nil || message != "at last" {
				t.Errorf("%d: %q, %v", code, message, err)
			}
			if d := time.Since(began); d < (firstBackoff+2*firstBackoff)/2 || d > 3*firstBackoff {
				t.Errorf("%d: repeated after %v in all", code, d)
			}
		})
	}
}

func TestAReadIsRepeatedABoundedNumberOfTimes(t *testing.T) {
	for tries, want := range map[int]int{0: 3, 5: 5, 1: 1, -1: 1} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.on(messageOp, status(503, ""))
			c := startInProcess(t, f, func(cfg *Config) { cfg.ReadTries = tries })
			_, err := c.Message(t.Context())
			if s, ok := errors.AsType[*HTTPError](err); !ok || s.StatusCode != 503 {
				t.Errorf("got %v", err)
			}
			if n := f.count(messageOp); n != want {
				t.Errorf("ReadTries %d: sent %d times, want %d", tries, n, want)
			}
		})
	}
}

func TestARetryAfterIsObeyedUnlessItIsTooLong(t *testing.T) {
	for wait, want := range map[string]time.Duration{"7": 7 * time.Second, "3600": 0} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			failing(f, messageOp, 1, status(503, wait))
			c := startInProcess(t, f, nil)
			began := time.Now()
			_, err := c.Message(t.Context())
			if d := time.Since(began); d != want || (err == nil) != (want > 0) {
				t.Errorf("Retry-After %s: waited %v, %v", wait, d, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(messageOp, status(503, "7"))
		c := startInProcess(t, f, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Message(ctx); err == nil || time.Since(began) != 0 {
			t.Errorf("waited %v although the deadline comes first: %v", time.Since(began), err)
		}
	})
}

func TestAPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.on(messageOp, status(503, "20"))
		c := startInProcess(t, f, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if _, err := c.Message(ctx); err == nil || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestAReadIsRepeatedOnANewConnection(t *testing.T) {
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `"half`)
		abort(nil, nil)
	}
	for name, h := range map[string]http.HandlerFunc{"no answer": abort, "half an answer": half} {
		f := newFake()
		failing(f, messageOp, 1, h)
		c := start(t, f, nil)
		if message, err := c.Message(t.Context()); err != nil || message != "at last" {
			t.Errorf("%s: %q, %v", name, message, err)
		}
	}
}

func TestAMethodIsSentOnce(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{"503": status(503, "1"), "502": status(502, ""),
		"no answer": abort} {
		f := newFake()
		f.on("POST SessionManager.SetLocale", h)
		f.on("POST ServiceInstance.CurrentTime", h)
		c := start(t, f, nil)
		login(t, c)
		if err := c.SetLocale(t.Context(), "de"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := c.touch(t.Context(), time.Minute); err == nil {
			t.Errorf("%s: no error", name)
		}
		for _, op := range []string{"POST SessionManager.SetLocale", "POST ServiceInstance.CurrentTime"} {
			if n := f.count(op); n != 1 {
				t.Errorf("%s: %s was sent %d times", name, op, n)
			}
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var leaked atomic.Bool
	elsewhere := newFake()
	stranger := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked.Store(true)
		elsewhere.ServeHTTP(w, r)
	}), nil)
	f := newFake()
	c := start(t, f, nil)
	login(t, c)
	f.on(messageOp, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.base.String()+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := c.Message(t.Context())
	if s, ok := errors.AsType[*HTTPError](err); !ok || s.StatusCode != 307 || leaked.Load() {
		t.Errorf("%v, followed: %v", err, leaked.Load())
	}
}

func TestAnInvalidResponseIsRefused(t *testing.T) {
	text := func(media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			_, _ = io.WriteString(w, body)
		}
	}
	chunks := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"`+strings.Repeat("x", 600))
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, strings.Repeat("x", 600)+`"`)
	}
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"a page":         {text("text/html", "<html>"), "not application/json"},
		"no type":        {text("", `"x"`), "not application/json"},
		"too long":       {text("application/json", `"`+strings.Repeat("x", 2000)+`"`), "larger than the limit"},
		"endless":        {chunks, "larger than the limit"},
		"cut off":        {text("application/json", `"x`), "decode response"},
		"another type":   {text("application/json", `{"a":1}`), "decode response"},
		"two values":     {text("application/json", `"a" "b"`), "decode response"},
		"trailing brace": {text("application/json", `"a"}`), "decode response"},
	} {
		f := newFake()
		f.on(messageOp, tc.h)
		c := start(t, f, func(cfg *Config) { cfg.MaxResponse = 1000 })
		if message, err := c.Message(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %q, %v", name, message, err)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	hang := make(chan struct{})
	f := newFake()
	f.on(messageOp, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	c := start(t, f, nil)
	defer close(hang)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { _, err = c.Message(ctx) })
	for f.count(messageOp) == 0 {
		if _, err := c.DefaultLocale(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	wg.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}
}

func TestACallThatTimesOutIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := startInProcess(t, newFake(), func(cfg *Config) {
			cfg.Timeout = 20 * time.Millisecond
			cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				calls++
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		})
		began := time.Now()
		if _, err := c.Message(t.Context()); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(began) != 20*time.Millisecond {
			t.Errorf("after %v: %v, want a timeout after 20 ms", time.Since(began), err)
		}
		if calls != 1 {
			t.Errorf("%d calls: a timeout was repeated", calls)
		}
	})
}

// roundTrip is a function that implements http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOnlyALoginChangesTheToken(t *testing.T) {
	f := newFake()
	c := start(t, f, nil)
	login(t, c)
	token := c.Token()
	for op, body := range map[string]string{messageOp: `"x"`, "POST SessionManager.ImpersonateUser": sessionJSON} {
		f.on(op, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("vmware-api-session-id", "another")
			reply(w, body)
		})
	}
	if _, err := c.Message(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImpersonateUser(t.Context(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	if c.Token() != token {
		t.Error("the token has changed")
	}
}

func TestATokenFromElsewhereIsUsed(t *testing.T) {
	f := newFake()
	one := start(t, f, nil)
	login(t, one)
	two := start(t, f, nil)
	two.SetToken(NewToken(one.Token().Reveal()))
	if session, err := two.CurrentSession(t.Context()); err != nil || session == nil {
		t.Errorf("%v, %v", session, err)
	}
	two.SetToken(Token{})
	if session, err := two.CurrentSession(t.Context()); err != nil || session != nil {
		t.Errorf("anonymous again: %v, %v", session, err)
	}
}

func TestAClientIsSafeForConcurrentUse(t *testing.T) {
	f := newFake()
	c := start(t, f, withLogin)
	login(t, c)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				var err error
				switch (i + j) % 5 {
				case 0:
					_, err = c.Message(t.Context())
				case 1:
					_, err = c.CurrentSession(t.Context())
				case 2:
					_, err = c.AcquireCloneTicket(t.Context())
				case 3:
					f.kill()
					_ = fmt.Sprint(c.Token(), c.Release())
				case 4:
					_, err = c.ServiceContent(t.Context())
				}
				// The session may end between the renewal and the repetition. No other error is
				// allowed.
				if err != nil && !isNotAuthenticated(err) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAServerWithoutVIJSONIsRecognised(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") },
		"not found": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "404 page not found", http.StatusNotFound)
		},
		"a fault of SOAP": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"/>`)
		},
		"another method": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) },
	}
	for name, answer := range answers {
		f := newFake()
		f.on("GET ServiceInstance.content", answer)
		if _, err := start(t, f, nil).SessionList(t.Context()); !errors.Is(err, ErrNoVIJSON) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"busy":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a proxy": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"a fault": func(w http.ResponseWriter, _ *http.Request) { fault(w, "SystemError", "broken") },
	} {
		f := newFake()
		f.on("GET ServiceInstance.content", answer)
		c := start(t, f, func(cfg *Config) { cfg.ReadTries = -1 })
		if _, err := c.SessionList(t.Context()); err == nil || errors.Is(err, ErrNoVIJSON) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
