package gateway

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// double stands between a front and a simulator. It sees every request, and can be taken away. In all else it is the
// simulator, but for one thing: the calls on one property collector wait for each other, as servers may let them.
type double struct {
	proxy   *httputil.ReverseProxy
	address string

	mu         sync.Mutex // guards what follows
	server     *http.Server
	secrets    map[string]bool // the keys and cookies of all sessions that there ever were
	operations map[string]bool // the ids of all calls
	turns      map[string]chan struct{}
	inFlight   map[string]int // calls by method
	logins     int
	// intercept, if not nil, may answer a request in place of the simulator. The method is empty if it is no call.
	intercept func(method string, body []byte, w http.ResponseWriter, r *http.Request) bool
}

// newDouble returns a double of the simulator at the URL.
func newDouble(t *testing.T, simulator string) *double {
	t.Helper()
	to, err := url.Parse(simulator)
	if err != nil {
		t.Fatal(err)
	}
	d := &double{
		proxy:   httputil.NewSingleHostReverseProxy(&url.URL{Scheme: to.Scheme, Host: to.Host}),
		secrets: map[string]bool{}, operations: map[string]bool{}, turns: map[string]chan struct{}{},
		inFlight: map[string]int{},
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // on the loopback device
		MaxIdleConnsPerHost: 64,
	}
	d.proxy.Transport, d.proxy.ModifyResponse = transport, d.note
	d.proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	d.proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	d.start(t)
	t.Cleanup(func() {
		d.stop()
		transport.CloseIdleConnections()
	})
	return d
}

// start listens, at the address of before if there is one.
func (d *double) start(t *testing.T) {
	t.Helper()
	address := d.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	var l net.Listener
	var err error
	eventually(t, "the port is free", func() bool {
		l, err = net.Listen("tcp", address)
		return err == nil
	})
	d.address = l.Addr().String()
	s := &http.Server{
		Handler: d, ReadHeaderTimeout: patience, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	d.mu.Lock()
	d.server = s
	d.mu.Unlock()
	go func() { _ = s.Serve(l) }() // until stop
}

// stop ends all connections and listens no more.
func (d *double) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.server.Close()
}

var (
	methodForm    = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)
	collectorForm = regexp.MustCompile(`<(?:\w+:)?_this[^>]*type="PropertyCollector"[^>]*>([^<]*)<`)
	operationForm = regexp.MustCompile(`<(?:\w+:)?operationID[^>]*>([^<]*)<`)
)

// first returns the first group of a form in a message, or nothing.
func first(form *regexp.Regexp, message []byte) string {
	if m := form.FindSubmatch(message); m != nil {
		return string(m[1])
	}
	return ""
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	intercept := d.intercept
	if r.URL.Path != "/sdk" {
		d.operations[r.Header.Get(operationHeader)] = true
	}
	d.mu.Unlock()
	if r.URL.Path != "/sdk" {
		if intercept == nil || !intercept("", nil, w, r) {
			d.proxy.ServeHTTP(w, r)
		}
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	method, collector := first(methodForm, body), first(collectorForm, body)
	turn := d.begin(r, method, collector, first(operationForm, body))
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.inFlight[method]--
	}()
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-r.Context().Done():
		return
	}
	if intercept == nil || !intercept(method, body, w, r) {
		d.proxy.ServeHTTP(w, r)
	}
}

// serial are the methods that add to the log of events, and those that make and destroy its collectors. The simulator
// is not safe for both at once.
var serial = map[string]bool{
	"Login": true, "Logout": true, "CreateCollectorForEvents": true, "DestroyCollector": true,
}

// begin notes a call, and returns what it must hold while it runs.
func (d *double) begin(r *http.Request, method, collector, operation string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.operations[operation] = true
	d.inFlight[method]++
	if serial[method] {
		collector = "events"
	} else if collector == "" || strings.HasPrefix(method, "Cancel") || strings.HasPrefix(method, "Destroy") {
		return make(chan struct{}, 1)
	}
	if collector == "propertyCollector" { // that of the session
		collector += r.Header.Get("Cookie")
	}
	if d.turns[collector] == nil {
		d.turns[collector] = make(chan struct{}, 1)
	}
	return d.turns[collector]
}

// note remembers the secrets of new sessions.
func (d *double) note(r *http.Response) error {
	var all []string
	for _, c := range r.Cookies() {
		all = append(all, c.Value)
	}
	if path := r.Request.URL.Path; r.Request.Method == http.MethodPost && strings.HasSuffix(path, "/session") {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var token string
		var wrapped struct{ Value string }
		if errors.Join(err, json.Unmarshal(body, &token)) == nil {
			all = append(all, token)
		} else if json.Unmarshal(body, &wrapped) == nil {
			all = append(all, wrapped.Value)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range all {
		if s != "" && !d.secrets[s] {
			d.secrets[s] = true
			d.logins++
		}
	}
	return nil
}

// leaked returns a secret that the bytes contain, or nothing.
func (d *double) leaked(b []byte) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.secrets {
		if bytes.Contains(b, []byte(s)) {
			return s
		}
	}
	return ""
}

// sessions returns how many sessions there ever were.
func (d *double) sessions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logins
}

// running returns how many calls of a method are in flight.
func (d *double) running(method string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inFlight[method]
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); !is(); <-again.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
