package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bubble is a listener to which the test connects within its bubble of synthetic time.
type bubble struct{ conns chan net.Conn }

func (b *bubble) Accept() (net.Conn, error) {
	c, ok := <-b.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (b *bubble) Close() error   { return nil }
func (b *bubble) Addr() net.Addr { return &net.TCPAddr{} }

// TestAConnectionAtRestIsKeptForFifteenMinutes is for pyVmomi. It reuses a connection that has been idle
// for up to 900 s, and fails if the server has closed it.
func TestAConnectionAtRestIsKeptForFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Logger: logger(io.Discard)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		b := &bubble{conns: make(chan net.Conn)}
		h := s.newHTTPServer(&front{next: tellPeer, ids: s.ids, requests: s.requests, health: s.health,
			logger: s.logger})
		go h.Serve(b)
		near, far := net.Pipe()
		b.conns <- far
		c := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn,
			error) {
			if near == nil {
				return nil, net.ErrClosed
			}
			c := near
			near = nil
			return c, nil
		}}}
		ask := func() error {
			resp, err := c.Get("http://localhost/healthz")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.ReadAll(resp.Body)
			return err
		}
		for range 3 {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			<-time.After(900 * time.Second)
		}
		<-time.After(3 * time.Second)
		if err := ask(); err == nil {
			t.Error("the connection is kept for longer")
		}
		close(b.conns)
		c.CloseIdleConnections()
		h.Close()
	})
}

func TestAConnectionWithoutARequestIsClosedAfterItsTime(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Limits: Limits{Idle: 50 * time.Millisecond}})
	for _, listener := range []string{"plain", "tls"} {
		c := r.dial(listener)
		answers := bufio.NewReader(c)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if code := status(t, answers); code != 200 {
			t.Errorf("%s: %d", listener, code)
		}
		if _, err := answers.ReadByte(); err == nil || isTimeout(err) {
			t.Errorf("%s is still connected: %v", listener, err)
		}
	}
	// Over HTTP/2 the server announces the end, and the client closes its side.
	longEnough(t, func(limit time.Duration) error {
		return closesItsEnd(t, start(t, Config{Handler: tellPeer, Limits: Limits{Idle: limit}}))
	})
}

// closesItsEnd makes a request over HTTP/2, and waits until the client has closed its idle connection.
func closesItsEnd(t *testing.T, r *running) error {
	t.Helper()
	dialled := make(chan *watched, 10)
	c, base := r.client("tls")
	tr := c.Transport.(*http.Transport)
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w := &watched{Conn: conn, ended: make(chan struct{})}
		dialled <- w
		return w, nil
	}
	resp, err := c.Get(base)
	if err != nil {
		return err
	}
	resp.Body.Close()
	select {
	case <-(<-dialled).ended:
	case <-time.After(patience):
		t.Errorf("a connection of %s is still open", resp.Proto)
	}
	return nil
}

// watched is a client's connection that reports when the client closes it.
type watched struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (w *watched) Close() error {
	w.once.Do(func() { close(w.ended) })
	return w.Conn.Close()
}
