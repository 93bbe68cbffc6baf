package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"
)

// secureListener is a listener of TLS that shakes hands before net/http has the
// connection. By then it is known which protocol is spoken, so that a connection
// of HTTP/1.1 can be a presence; HTTP/2 takes nothing but a *tls.Conn, and reads
// whatever comes.
type secureListener struct {
	net.Listener
	config *tls.Config
	within time.Duration // a handshake ends
	logger *slog.Logger

	ready  chan accepted
	ctx    context.Context // ends when the listener is closed
	cancel context.CancelFunc
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// newSecureListener makes one that accepts from l until it is closed.
func newSecureListener(l net.Listener, config *tls.Config, within time.Duration, logger *slog.Logger) *secureListener {
	s := &secureListener{Listener: l, config: config, within: within, logger: logger, ready: make(chan accepted)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.acceptAll()
	return s
}

// acceptAll takes connections off the queue, however long others shake hands. An
// error is for who calls Accept, who waits before the next call or gives up.
func (s *secureListener) acceptAll() {
	for {
		c, err := s.Listener.Accept()
		if err == nil {
			go s.shake(c)
			continue
		}
		select {
		case s.ready <- accepted{err: err}:
		case <-s.ctx.Done():
			return
		}
	}
}

// Accept returns the next connection that has shaken hands.
func (s *secureListener) Accept() (net.Conn, error) {
	select {
	case a := <-s.ready:
		return a.conn, a.err
	case <-s.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener, and connections that have not been returned.
func (s *secureListener) Close() error {
	s.cancel()
	return s.Listener.Close()
}

func (s *secureListener) shake(raw net.Conn) {
	c, err := s.handshake(raw)
	if err != nil {
		s.logger.Debug("TLS handshake failed", "peer", raw.RemoteAddr(), "reason", cleanText(err.Error(), 1024))
		raw.Close()
		return
	}
	select {
	case s.ready <- accepted{conn: c}:
	case <-s.ctx.Done():
		raw.Close()
	}
}

func (s *secureListener) handshake(raw net.Conn) (_ net.Conn, err error) {
	defer func() { // as for any request: the others go on
		if v := recover(); v != nil {
			s.logger.Error("TLS handshake panicked", "panic", v, "stack", string(debug.Stack()))
			err = errors.New("internal error")
		}
	}()
	ctx, cancel := context.WithTimeout(s.ctx, s.within)
	defer cancel()
	c := tls.Server(raw, s.config)
	if err := c.HandshakeContext(ctx); err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) && looksLikeHTTP(record.RecordHeader) {
			// Best effort, for somebody who wonders.
			_, _ = io.WriteString(raw, "HTTP/1.0 400 Bad Request\r\n\r\nThis is a port for HTTPS, and the request came without TLS.\n")
			return nil, errors.New("a request without TLS")
		}
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	if c.ConnectionState().NegotiatedProtocol == "h2" {
		return c, nil
	}
	return &securePresence{newPresence(c)}, nil
}

// looksLikeHTTP: what should be the header of a record of TLS is a request's begin.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "DELET", "OPTIO":
		return true
	}
	return false
}

// securePresence is a presence over TLS.
type securePresence struct{ *presence }

// ConnectionState is for net/http, which hands it on with each request.
func (s *securePresence) ConnectionState() tls.ConnectionState {
	return s.Conn.(*tls.Conn).ConnectionState()
}
