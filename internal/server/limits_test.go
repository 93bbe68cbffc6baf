package server

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// bubble is a listener that the test dials within its bubble of time.
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

// TestAConnectionAtRestIsKeptForFifteenMinutes is about pyVmomi, which uses a
// connection again that has been idle for up to 900 s, and fails if the server has
// closed it.
func TestAConnectionAtRestIsKeptForFifteenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), Config{Handler: tellPeer, PlainHTTP: "127.0.0.1:0", Logger: logger(io.Discard)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		b := &bubble{conns: make(chan net.Conn)}
		h := s.newHTTPServer(&front{next: tellPeer, ids: s.ids, requests: s.requests, health: s.health, logger: s.logger})
		go h.Serve(b)
		near, far := net.Pipe()
		b.conns <- far
		c := &http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) {
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
