package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

func pipePresence() (p *presence, far net.Conn) {
	near, far := net.Pipe()
	return newPresence(near), far
}

func wantRead(t *testing.T, p *presence, size int, want string, wantErr error) {
	t.Helper()
	b := make([]byte, size)
	if n, err := p.Read(b); string(b[:n]) != want || !errors.Is(err, wantErr) {
		t.Fatalf("read %q, %v, want %q, %v", b[:n], err, want, wantErr)
	}
}

// wantBody reads "body", of which a look may have the first byte.
func wantBody(t *testing.T, p *presence) {
	t.Helper()
	b := make([]byte, 4)
	if _, err := io.ReadFull(p, b); string(b) != "body" || err != nil {
		t.Fatalf("read %q, %v", b, err)
	}
}

func TestTheFirstReadOfOneByteIsToldToWait(t *testing.T) {
	p, far := pipePresence()
	defer far.Close()
	go io.WriteString(far, "abcdef")
	for _, read := range []struct {
		size int
		want string
	}{{1, ""}, {1, "a"}, {1, "b"}, {2, "cd"}, {1, ""}, {1, "e"}, {2, "f"}} {
		wantRead(t, p, read.size, read.want, nil)
	}
}

func TestAClientThatGoesIsMissedByThoseWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, far := pipePresence()
		wantRead(t, p, 1, "", nil)
		gone := make(chan struct{})
		p.ask(func() { close(gone) })
		wantRead(t, p, 1, "", nil) // there is a look already
		synctest.Wait()
		select {
		case <-gone:
			t.Fatal("gone while it is there")
		default:
		}
		far.Close()
		<-gone
		p.forget()
		wantRead(t, p, 10, "", io.EOF)
	})
}

func TestWhatALookReadsIsNotLost(t *testing.T) {
	for _, size := range []int{1, 2, 10} {
		synctest.Test(t, func(t *testing.T) {
			p, far := pipePresence()
			p.ask(func() { t.Error("gone") })
			go func() {
				io.WriteString(far, "ab")
				far.Close()
			}()
			synctest.Wait() // the look has the first
			p.forget()
			all, err := io.ReadAll(sized{p, size})
			if string(all) != "ab" || err != nil {
				t.Errorf("by %d: %q, %v", size, all, err)
			}
		})
	}
}

// sized reads that many bytes at a time at most.
type sized struct {
	io.Reader
	size int
}

func (s sized) Read(b []byte) (int, error) { return s.Reader.Read(b[:min(len(b), s.size)]) }

func TestALookGivesWayToAReaderAndLeavesTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, far := pipePresence()
		defer far.Close()
		if err := p.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		p.ask(func() { t.Error("gone") })
		synctest.Wait()
		go io.WriteString(far, "body")
		began := time.Now()
		wantBody(t, p)
		wantRead(t, p, 10, "", os.ErrDeadlineExceeded)
		if took := time.Since(began); took != time.Second {
			t.Errorf("the deadline came after %v", took)
		}
		p.forget()
		// A deadline that comes during a look is not the client's end.
		if err := p.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		p.ask(func() { t.Error("gone") })
		<-time.After(2 * time.Second)                 // of the bubble
		wantRead(t, p, 1, "", os.ErrDeadlineExceeded) // and net/http looks itself from there
		p.forget()
		// Nor does one that ended keep the next from looking.
		if err := p.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		p.ask(func() { close(gone) })
		far.Close()
		<-gone
	})
}

func TestWhoAskedIsServedByTheLookOfNetHTTPToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, far := pipePresence()
		wantRead(t, p, 1, "", nil)
		looked := make(chan error)
		go func() { // a request that came in one piece with the one before
			_, err := p.Read(make([]byte, 1))
			looked <- err
		}()
		synctest.Wait()
		p.ask(func() { t.Error("two looks at once") })
		far.Close()
		if err := <-looked; err != io.EOF {
			t.Error(err)
		}
		synctest.Wait()
		p.forget()
		// After a body that was read while somebody asked, net/http's look is the one.
		p, far = pipePresence()
		p.ask(func() { t.Error("the look was over") })
		synctest.Wait()
		go io.WriteString(far, "body")
		wantBody(t, p)
		go func() {
			_, err := p.Read(make([]byte, 1))
			looked <- err
		}()
		synctest.Wait()
		far.Close()
		if err := <-looked; err != io.EOF {
			t.Error(err)
		}
	})
}

// TestNoByteIsLostOrMovedByLooks has one goroutine read as handlers and net/http
// do, while others look.
func TestNoByteIsLostOrMovedByLooks(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		p, far := pipePresence()
		sent := make([]byte, 200)
		for i := range sent {
			sent[i] = byte(i)
		}
		go func() {
			w := rand.New(rand.NewPCG(seed, 3))
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+w.IntN(5))
				far.Write(rest[:n])
				rest = rest[n:]
			}
			far.Close()
		}()
		var got []byte
		var err error
		for err == nil {
			var asking sync.WaitGroup
			if r.IntN(2) == 0 {
				asking.Go(func() { p.ask(func() {}) })
			}
			var n int
			b := make([]byte, 1+r.IntN(3))
			n, err = p.Read(b)
			got = append(got, b[:n]...)
			if r.IntN(3) == 0 {
				asking.Wait()
				p.forget()
			}
			asking.Wait()
		}
		if errors.Is(err, io.ErrClosedPipe) {
			err = io.EOF // a pipe whose other end is closed takes no deadline
		}
		if p.forget(); !bytes.Equal(got, sent) || err != io.EOF {
			t.Fatalf("seed %d: %d bytes %v, %v", seed, len(got), got, err)
		}
	}
}

// waiter answers when it is told to, or notes that its client went.
type waiter struct {
	entered, answer chan struct{}
	gone            chan error
}

func newWaiter() *waiter {
	return &waiter{make(chan struct{}), make(chan struct{}), make(chan error, 1)}
}

func (h *waiter) Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, _ *peer.Peer) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "bad body", http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/brief" {
		fmt.Fprintf(w, "brief %s\n", b)
		return
	}
	if r.URL.Path == "/child" { // as most who wait do
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
	}
	h.entered <- struct{}{}
	select {
	case <-ctx.Done():
		h.gone <- ctx.Err()
	case <-h.answer:
		fmt.Fprintf(w, "long %s\n", b)
	}
}

func TestARequestEndsWhenItsClientGoes(t *testing.T) {
	h := newWaiter()
	r := start(t, Config{Handler: h, Listen: "127.0.0.1:0", PlainHTTP: "127.0.0.1:0", Unix: t.TempDir() + "/s"})
	for _, way := range []struct {
		listener string
		h2       bool
	}{{"plain", false}, {"tls", false}, {"tls", true}, {"unix", false}} {
		for _, path := range []string{"/", "/child"} {
			for _, body := range []string{"", "some"} {
				ctx, leave := context.WithCancel(t.Context())
				c, base := r.client(way.listener)
				c.Transport.(*http.Transport).ForceAttemptHTTP2 = way.h2
				req, err := http.NewRequestWithContext(ctx, "POST", base+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				left := make(chan error)
				go func() {
					_, err := c.Do(req)
					left <- err
				}()
				<-h.entered
				leave()
				if err := <-left; !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				select {
				case err := <-h.gone:
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%v %s: %v", way, path, err)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("%v %s with %q: nobody noticed", way, path, body)
				}
			}
		}
	}
}

func TestAConnectionIsAsGoodAfterALook(t *testing.T) {
	h := newWaiter()
	r := start(t, Config{Handler: h})
	for _, listener := range []string{"plain", "tls"} {
		c := r.dial(listener)
		lookAndGoOn(t, h, c, bufio.NewReader(c))
	}
}

// lookAndGoOn has requests come one after the other, alone and together, before
// and during looks.
func lookAndGoOn(t *testing.T, h *waiter, c net.Conn, answers *bufio.Reader) {
	t.Helper()
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	want := func(want string) {
		t.Helper()
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != want || err != nil {
			t.Fatalf("%q, %v, want %q", b, err, want)
		}
	}
	send := func(text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		send(post("/", "one"))
		<-h.entered
		if i > 0 {
			send(post("/brief", "two")) // comes during the look
		}
		h.answer <- struct{}{}
		want("long one\n")
		if i > 0 {
			want("brief two\n")
		}
		send(post("/brief", "three") + post("/", "four") + post("/brief", "five"))
		want("brief three\n")
		<-h.entered
		h.answer <- struct{}{}
		want("long four\n")
		want("brief five\n")
	}
	// A client that goes while its second request waits behind the first.
	send(post("/brief", "six") + post("/", "seven"))
	want("brief six\n")
	<-h.entered
	c.Close()
	select {
	case <-h.gone:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed")
	}
}

// TestNobodyLooksForAClientUnasked holds what presence is for to the net/http of
// the day.
func TestNobodyLooksForAClientUnasked(t *testing.T) {
	looks := func() int {
		var b bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil {
			t.Fatal(err)
		}
		return strings.Count(b.String(), ").backgroundRead(") + strings.Count(b.String(), ").lookOut(")
	}
	entered, answer := make(chan struct{}), make(chan struct{})
	r := start(t, Config{Handler: peer.HandlerFunc(func(ctx context.Context, _ http.ResponseWriter, r *http.Request, _ *peer.Peer) {
		if r.URL.Path == "/wait" {
			_ = ctx.Done()
		}
		entered <- struct{}{}
		<-answer
	})})
	conns := map[string]net.Conn{"plain": r.dial("plain"), "tls": r.dial("tls")}
	for _, tt := range []struct {
		listener, path string
		want           int
	}{{"plain", "/wait", 1}, {"plain", "/", 0}, {"plain", "/wait", 1}, {"tls", "/", 0}, {"tls", "/wait", 1}, {"tls", "/", 0}} {
		c := conns[tt.listener]
		if _, err := io.WriteString(c, "GET "+tt.path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-entered
		for tries := 0; ; tries++ {
			<-time.After(10 * time.Millisecond) // for goroutines to come to their reads, or to their ends
			got := looks()
			if got == tt.want {
				break
			}
			if tries == 1000 {
				t.Fatalf("%s %s: %d looks under way, want %d", tt.listener, tt.path, got, tt.want)
			}
		}
		answer <- struct{}{}
		if code := status(t, bufio.NewReader(c)); code != http.StatusOK {
			t.Errorf("%s: %d", tt.path, code)
		}
	}
}
