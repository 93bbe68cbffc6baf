package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/lab"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// endAll ends all sessions of the front at the simulator, as an administrator of it would.
func (s *stage) endAll() error {
	keys, err := othersAt(s.t.Context(), s.direct)
	for _, key := range keys {
		if err == nil {
			err = s.direct.SessionManager.TerminateSession(s.t.Context(), []string{key})
		}
		if isFault[types.NotFound](err) {
			err = nil // it has ended meanwhile
		}
	}
	return err
}

// reads are the kinds of calls after which a client owns nothing.
var reads = []kind{
	{"a property", (*member).readProperty}, {"a traversal", (*member).list}, {"a search", (*member).search},
	{"Fetch", (*member).fetch}, {"VI JSON", (*member).readJSON}, {"the session", (*member).readSession},
	{"the Automation API", (*member).readPolicies},
}

// holds are the kinds of calls that make something, use it and destroy it. Collectors of events are not among them: the
// simulator keeps those of sessions that have ended, and allows 32.
var holds = []kind{
	{"a container view", (*member).useContainerView}, {"a list view", (*member).useListView},
	{"updates", (*member).useFilter}, {"updates of the default collector", (*member).useDefaultCollector},
	{"pages", (*member).readPages},
}

const (
	endEvery = 300 * time.Millisecond
	// ends is how often all upstream sessions end at least, and relogins how often a client logs in again, without
	// the flag during.
	ends, relogins = 8, 3
)

// loss is what a test of losses counts.
type loss struct {
	*crowd
	stop            atomic.Bool
	reads, uses     atomic.Int64
	relogins, ended atomic.Int64
}

// end ends all upstream sessions again and again, as long as the clients go on.
func (l *loss) end() error {
	defer l.stop.Store(true)
	tick := time.NewTicker(endEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		enough := l.ended.Load() >= ends && l.relogins.Load() >= relogins
		if enough && time.Since(began) >= *during {
			return nil
		}
		if time.Since(began) > *during+patience {
			return fmt.Errorf("after %d ends, %d logins and %d reads", l.ended.Load(), l.relogins.Load(),
				l.reads.Load())
		}
		before := l.reads.Load()
		if err := l.endAll(); err != nil {
			return fmt.Errorf("end the sessions: %w", err)
		}
		l.ended.Add(1)
		// A slow machine must come to make some calls.
		for <-tick.C; l.reads.Load() < before+10 && !l.t.Failed(); <-tick.C {
			if time.Since(began) > *during+patience {
				break
			}
		}
		if l.t.Failed() {
			return errors.New("a client has failed")
		}
	}
}

// read makes reads, none of which may fail.
func (l *loss) read(m *member) {
	for ; !l.stop.Load(); m.call++ {
		k := reads[(m.number+m.call)%len(reads)]
		if err := m.try(k); err != nil {
			l.t.Errorf("client %d that owns nothing, %s: %v", m.number, k.name, err)
			return
		}
		l.reads.Add(1)
	}
}

// use makes calls of a client that owns something. When it loses that, it logs in again.
func (l *loss) use(m *member) {
	for n, call := m.number, 0; !l.stop.Load(); call++ {
		k := holds[(n+call)%len(holds)]
		err := m.try(k)
		switch {
		case err == nil:
			l.uses.Add(1)
		case hasFault[types.NotAuthenticated](err):
			if m, err = l.join(n); err != nil {
				l.t.Errorf("client %d can't log in again: %v", n, err)
				return
			}
			l.relogins.Add(1)
		default:
			l.t.Errorf("client %d that owns something, %s: %v", n, k.name, err)
			return
		}
	}
}

// hasFault reports whether one of the errors that are joined is the fault T, and the first of them.
func hasFault[T any](err error) bool {
	for err != nil && !isFault[T](err) {
		many, ok := err.(interface{ Unwrap() []error })
		if !ok {
			err = errors.Unwrap(err)
			continue
		}
		err = many.Unwrap()[0]
	}
	return err != nil
}

func TestWhoOwnsNothingNoticesNoLossAndOthersLogInAgain(t *testing.T) {
	t.Parallel()
	l := &loss{crowd: newCrowd(t)}
	var clients sync.WaitGroup
	for n := range 12 {
		m, err := l.join(n)
		must(t, err)
		if n%3 == 2 {
			clients.Go(func() { l.use(m) })
		} else {
			clients.Go(func() { l.read(m) })
		}
	}
	err := l.end()
	clients.Wait()
	if err != nil {
		t.Error(err)
	}
	if l.uses.Load() == 0 || l.double.sessions() <= ends {
		t.Errorf("%d uses of what clients own, %d upstream sessions", l.uses.Load(), l.double.sessions())
	}
}

// waiting starts a wait of a client for changes of a virtual machine, and returns its outcome.
func (m *member) waiting(ctx context.Context) (<-chan error, error) {
	pc, err := property.DefaultCollector(m.Client.Client).Create(ctx)
	if err == nil {
		err = m.watch(ctx, pc.Reference())
	}
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(ctx, m.Client, &types.WaitForUpdatesEx{This: pc.Reference(), Version: "-"})
		done <- err
	}()
	return done, nil
}

// laterBy is a clock that is late by a time that a test changes.
type laterBy struct{ atomic.Int64 }

func (c *laterBy) now() time.Time { return time.Now().Add(time.Duration(c.Load())) }

// A server goes on with a wait, or lets it hang, although its session has ended.
func TestAWaitEndsWithinAMinuteAfterTheLossOfItsSession(t *testing.T) {
	t.Parallel()
	for _, kind := range both {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var clock laterBy
			c := &crowd{names: map[types.ManagedObjectReference]string{}}
			c.stage = newStageWith(t, kind, lab.Options{Now: clock.now}, func(*settings.Config) {})
			for _, vm := range machines(t, c.direct) {
				c.names[vm.Reference()] = vm.Name()
			}
			client, err := c.connect(c.at.User, c.at.Password)
			must(t, err)
			me, err := client.SessionManager.UserSession(t.Context())
			must(t, err)
			m := &member{Client: client, crowd: c, key: me.Key}
			done, err := m.waiting(t.Context())
			must(t, err)
			arrived := func() bool { return c.double.running("WaitForUpdatesEx") == 1 }
			eventually(t, "the upstream gets the wait", arrived)
			must(t, c.endAll())
			select {
			case err := <-done:
				t.Fatalf("the wait ends at once: %v", err)
			default:
			}
			clock.Add(int64(time.Minute))
			select {
			case err := <-done:
				if !isFault[types.NotAuthenticated](err) {
					t.Errorf("the wait ends with %v", err)
				}
			case <-time.After(patience):
				t.Error("the wait goes on")
			}
		})
	}
}

// raw sends a read as a client does, and returns the status, the answer and its header Retry-After.
func (m *member) raw(ctx context.Context) (status int, answer, after string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+m.at.Host+"/sdk", strings.NewReader(
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><CurrentTime xmlns="urn:vim25">`+
			`<_this type="ServiceInstance">ServiceInstance</_this></CurrentTime></Body></Envelope>`))
	if err != nil {
		return 0, "", "", err
	}
	r.Header.Set("Content-Type", "text/xml; charset=utf-8")
	err = m.Client.Client.Do(ctx, r, func(a *http.Response) error {
		status, after = a.StatusCode, a.Header.Get("Retry-After")
		answer, err = text(a)
		return err
	})
	return status, answer, after, err
}

func TestAnUpstreamThatIsStartedAgainIsServedAgain(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	m, err := c.join(1)
	must(t, err)
	must(t, m.readProperty(t.Context()))
	must(t, c.endAll()) // a server that starts again has no sessions
	c.double.stop()
	for range 3 {
		status, answer, after, err := m.raw(t.Context())
		must(t, err)
		if status != http.StatusServiceUnavailable || after == "" || !strings.Contains(answer, "Fault") {
			t.Errorf("while the upstream is down: %d, Retry-After %q, %s", status, after, answer)
		}
	}
	eventually(t, "the front is not ready", func() bool { return !c.ready(t) })
	if err := m.readSession(t.Context()); err != nil {
		t.Errorf("what is about the session needs no upstream: %v", err)
	}
	c.double.start(t)
	eventually(t, "the session is served again", func() bool {
		status, _, _, err := m.raw(t.Context())
		return err == nil && status == http.StatusOK
	})
	must(t, m.readProperty(t.Context()))
	eventually(t, "the front is ready", func() bool { return c.ready(t) })
}

// ready asks the front whether it is ready.
func (c *crowd) ready(t *testing.T) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.at.Host+"/readyz", nil)
	must(t, err)
	status := 0
	must(t, c.direct.Client.Do(t.Context(), r, func(a *http.Response) error {
		status = a.StatusCode
		return nil
	}))
	return status == http.StatusOK
}
