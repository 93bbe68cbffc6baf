package serve

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/binding"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/property"
	"github.com/vigate/vigate/internal/rest"
	"github.com/vigate/vigate/internal/soap"
	"github.com/vigate/vigate/internal/vijson"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// patient is how long a test waits for an expected event.
const patient = 5 * time.Minute

// site serves all bindings over an API in memory.
type site struct {
	*vimtest.Fixture
	http.Handler
	bodies *binding.Bodies
}

func newSite(t *testing.T, bodies *binding.Bodies) *site {
	t.Helper()
	f := vimtest.New(t)
	if err := property.Serve(f.API, f.Sessions); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	vijson.Mount(mux, f.API, bodies)
	soap.Mount(mux, f.API, bodies, soap.Options{Version: vimtest.APIVersion})
	rest.Mount(mux, f.API, bodies, nil)
	return &site{f, mux, bodies}
}

// form is how a binding writes a request of a method without arguments.
type form struct{ path, contentType, before, after string }

const propertyCollector = "PropertyCollector/propertyCollector"

func jsonForm(object, method string) form {
	return form{"/sdk/vim25/8.0.1.0/" + object + "/" + method, "application/json", "{", "}"}
}

func soapForm(object, method string) form {
	typ, id, _ := strings.Cut(object, "/")
	return form{"/sdk", "text/xml; charset=utf-8",
		`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><` + method + ` xmlns="urn:vim25"><_this ` +
			`type="` + typ + `">` + id + `</_this>`,
		`</` + method + `></Body></Envelope>`}
}

// body returns a body in this form, padded with blanks to the given size.
func (f form) body(size int) string {
	return f.before + strings.Repeat(" ", max(0, size-len(f.before)-len(f.after))) + f.after
}

// request returns a request in this form. from is the client's address.
func (f form) request(ctx context.Context, from string, body string) *http.Request {
	r := httptest.NewRequest("POST", f.path, strings.NewReader(body))
	r.Header.Set("Content-Type", f.contentType)
	r.Header.Set("SOAPAction", "urn:vim25/8.0.1.0")
	return r.WithContext(peer.With(ctx, &peer.Peer{Address: from, TLS: true}))
}

// heap returns the size of the objects that are reachable, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools keep objects through one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A waiting call keeps nothing of its body: a thousand calls with half a megabyte each need no more memory
// than a thousand calls without.
func TestWaitsWithLargeBodiesLeaveNoMemory(t *testing.T) {
	const waits, size, perSession = 1000, 512 << 10, 20
	for name, f := range map[string]form{
		"VI JSON": jsonForm(propertyCollector, "WaitForUpdatesEx"),
		"SOAP":    soapForm(propertyCollector, "WaitForUpdatesEx"),
	} {
		s := newSite(t, binding.NewBodies(0))
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		answers := make(chan *httptest.ResponseRecorder, waits)
		var ended atomic.Int64
		body, token := f.body(size), "" // all requests share it, so that it does not count
		before := heap()
		for i := range waits {
			if i%perSession == 0 {
				token = s.Login(vimtest.AdminName, vimtest.AdminPassword)
			}
			r := f.request(ctx, "192.0.2.1", body)
			r.Header.Set("vmware-api-session-id", token)
			read := &signalled{Reader: r.Body, end: make(chan struct{})}
			r.Body = read
			all.Go(func() {
				defer ended.Add(1)
				defer read.signal()
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				answers <- w
			})
			<-read.end
			// The bodies arrive one after the other, because one address must not have too many at once.
			for end := time.Now().Add(patient); s.bodies.Held() > 0 && time.Now().Before(end); {
				runtime.Gosched()
			}
		}
		// The last body has arrived, but its call may still be reading it.
		deadline := time.Now().Add(patient)
		grown := heap() - before
		much := func() bool { return grown > 128<<20 || s.bodies.Held() != 0 }
		for ; much() && ended.Load() == 0 && time.Now().Before(deadline); grown = heap() - before {
			runtime.Gosched()
		}
		if grown > 128<<20 || s.bodies.Held() != 0 {
			t.Errorf("%s: %d waits with bodies of %d bytes keep %d MiB, and %d bytes of bodies are counted", name,
				waits, size, grown>>20, s.bodies.Held())
		}
		n := ended.Load()
		stop()
		all.Wait()
		if n != 0 {
			t.Errorf("%s: %d calls did not wait: %s", name, n, (<-answers).Body)
		}
	}
}

// signalled closes end when a read has reached the end of the body.
type signalled struct {
	io.Reader
	end  chan struct{}
	once sync.Once
}

func (s *signalled) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil {
		s.signal()
	}
	return n, err
}

func (s *signalled) signal() { s.once.Do(func() { close(s.end) }) }

func (s *signalled) Close() error { return nil }

// stalling is a body that stops before its end until it is released.
type stalling struct {
	*strings.Reader
	stalled func()
	release chan struct{}
	once    sync.Once
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.Len() == 1 {
		s.once.Do(s.stalled)
		<-s.release
		return 0, io.ErrUnexpectedEOF
	}
	return s.Reader.Read(p[:min(len(p), s.Len()-1)])
}

func (s *stalling) Close() error { return nil }

// Four hundred strangers send bodies of a megabyte to all bindings, and stall before the end. The memory
// for all of them is bounded, and others are served meanwhile.
func TestSlowLargeBodiesOfStrangersStayWithinOneBound(t *testing.T) {
	const strangers, size, bound = 400, 1 << 20, 64 << 20
	forms := []form{
		jsonForm("ServiceInstance/ServiceInstance", "RetrieveServiceContent"),
		soapForm("ServiceInstance/ServiceInstance", "RetrieveServiceContent"),
		jsonForm("SessionManager/SessionManager", "Login"),
		soapForm("SessionManager/SessionManager", "Login"),
	}
	for addresses, most := range map[int]int64{1: bound / 4, 40: bound * 3 / 4} {
		s := newSite(t, binding.NewBodies(bound))
		release := make(chan struct{})
		var all sync.WaitGroup
		var refused atomic.Int64
		settled := make(chan struct{}, 2*strangers) // one value for each request that has stalled or was refused
		bodies := make([]string, len(forms))        // all requests share them, so that they do not count
		for i, f := range forms {
			bodies[i] = f.body(size)
		}
		before := heap()
		for i := range strangers {
			body := bodies[i%len(forms)]
			r := forms[i%len(forms)].request(t.Context(), fmt.Sprintf("192.0.2.%d", i%addresses), body)
			r.Body = &stalling{Reader: strings.NewReader(body), release: release, stalled: func() {
				settled <- struct{}{}
			}}
			all.Go(func() {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code == http.StatusServiceUnavailable {
					refused.Add(1)
					settled <- struct{}{}
				}
			})
		}
		deadline := time.NewTimer(patient)
		for range strangers {
			select {
			case <-settled:
			case <-deadline.C:
				t.Fatal("not all bodies came to where they stall")
			}
		}
		held := s.bodies.Held()
		if grown := heap() - before; held > most || held < most/2 || grown > bound+64<<20 {
			t.Errorf("%d addresses: %d slow bodies hold %d bytes, want at most %d; the heap has grown by %d MiB",
				addresses, strangers, held, most, grown>>20)
		}
		for _, f := range forms[:2] {
			for _, padded := range []int{0, 4 << 10, 60 << 10} {
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, f.request(t.Context(), "198.51.100.1", f.body(padded))); w.Code != http.StatusOK {
					t.Errorf("%d addresses: a body of %d bytes beside them: %d %s", addresses, padded, w.Code, w.Body)
				}
			}
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, f.request(t.Context(), "192.0.2.0", f.body(0))); w.Code != http.StatusOK {
				t.Errorf("%d addresses: a small body from one of theirs: %d %s", addresses, w.Code, w.Body)
			}
		}
		close(release)
		all.Wait()
		if n := refused.Load(); s.bodies.Held() != 0 || n == 0 || n == strangers {
			t.Errorf("%d addresses: %d were refused, and %d bytes are held in the end", addresses, n, s.bodies.Held())
		}
	}
}
