package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

func TestARequestWithoutTLSIsToldSo(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Listen: "127.0.0.1:0"})
	for _, method := range []string{"GET", "POST", "DELETE"} {
		c, err := net.Dial("tcp", r.Addr("tls").String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, method+" / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if code := status(t, bufio.NewReader(c)); code != 400 {
			t.Errorf("%s: %d", method, code)
		}
	}
}

func TestNobodyWaitsForTheHandshakesOfOthers(t *testing.T) {
	r := start(t, Config{Handler: tellPeer, Listen: "127.0.0.1:0", Limits: Limits{ListenerConnections: 5}})
	silent := make([]net.Conn, 4)
	for i := range silent {
		c, err := net.Dial("tcp", r.Addr("tls").String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent[i] = c
	}
	if code, _ := r.get("tls", "/", nil); code != 200 {
		t.Errorf("beside silent ones: %d", code)
	}
	r.stop() // they don't hold the server's end either
	began := time.Now()
	if err := <-r.done; err != nil || time.Since(began) > 4*time.Second {
		t.Errorf("Run: %v after %v", err, time.Since(began))
	}
	for _, c := range silent {
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("a silent connection lives on: %v", err)
		}
	}
}

// fails accepts nothing but errors, until it is closed.
type fails struct {
	net.Listener
	errs chan error
}

func (f fails) Accept() (net.Conn, error) {
	if err, ok := <-f.errs; ok {
		return nil, err
	}
	return nil, net.ErrClosed
}

func (f fails) Close() error { close(f.errs); return nil }

func TestErrorsOfAcceptAreForWhoAccepts(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	f := fails{errs: make(chan error, 2)}
	f.errs <- first
	f.errs <- second
	s := newSecureListener(f, &tls.Config{}, time.Minute, slog.New(slog.DiscardHandler))
	for _, want := range []error{first, second} {
		if _, err := s.Accept(); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAHandshakeThatPanicsEndsItsConnectionOnly(t *testing.T) {
	near, far := net.Pipe()
	log := &logs{}
	s := &secureListener{within: time.Minute, logger: slog.New(slog.NewTextHandler(log, nil)), ctx: t.Context(),
		config: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("broken") }}}
	done := make(chan struct{})
	go func() {
		s.shake(near)
		close(done)
	}()
	if err := tls.Client(far, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(t.Context()); err == nil {
		t.Error("the handshake went well")
	}
	<-done
	if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the connection is open: %v", err)
	}
	if !strings.Contains(log.String(), "TLS handshake panicked") {
		t.Errorf("the log has %q", log)
	}
}
