// Package wire connects vigate to one upstream: a vCenter, an ESXi host or another server that speaks
// SOAP at /sdk.
//
// A [Transport] sends requests to that one server only, and only if its certificate is trusted. A
// [Client] makes the few calls that vigate itself needs, such as logins and logouts. The answers to
// these are read within limits. The package knows no session of a client, and never sends a call
// twice.
package wire

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/vigate/vigate/internal/datadir"
)

// Trust says which certificates of the server are trusted. If it is empty, those of the system's
// roots are.
type Trust struct {
	CA         string // PEM file of authorities
	Thumbprint []byte // SHA-256 of the certificate
	Insecure   bool   // every certificate
}

const (
	dialTime      = 10 * time.Second // of the connection, and again of the TLS handshake
	idleTime      = 60 * time.Second // of a connection without a request
	maxHeader     = 256 << 10        // bytes of the header of an answer
	maxCA         = 1 << 20          // bytes of a file of authorities
	maxIdleConns  = 1024             // the budgets of requests and waits are the real bound
	keepAliveTime = 30 * time.Second
)

var (
	// ErrUnreachable means that no connection was made, so that nothing was sent. It wraps the cause.
	ErrUnreachable = errors.New("can't reach upstream")
	// ErrRefused means that nobody listens at the address. A server that was there has ended.
	ErrRefused = errors.New("connection refused")
	// ErrElsewhere means that a request is for another server than the upstream.
	ErrElsewhere = errors.New("not a URL of the upstream")
)

// Transport is the way to one server. It is safe for concurrent use.
type Transport struct {
	url  url.URL
	http *http.Transport
	once *http.Transport // uses each connection for one request
	// seen is called after each attempt to connect or to send, with nil for an answer.
	seen func(error)
}

// options are the surroundings of a Transport.
type options struct {
	// dial connects to the server. nil: by TCP
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	// seen is called with nil for each answer, and with an error that wraps ErrUnreachable for each
	// request that found no server. nil: nobody is told
	seen func(error)
}

// newTransport returns a transport to the server. It reads the file of authorities, but sends nothing.
func newTransport(u *url.URL, trust Trust, o options) (*Transport, error) {
	config, err := trust.config(u.Hostname())
	if err != nil {
		return nil, err
	}
	dial := o.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTime, KeepAlive: keepAliveTime}).DialContext
	}
	if o.seen == nil {
		o.seen = func(error) {}
	}
	t := &Transport{url: *u, seen: o.seen}
	t.http = &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, unreachable(err)
			}
			return c, nil
		},
		// HTTP/1.1: a WebSocket needs it, and calls that wait would otherwise share one connection with
		// all others, and its limit of streams.
		TLSClientConfig: config, TLSHandshakeTimeout: dialTime,
		// What the server sends is passed on as it is.
		DisableCompression:     true,
		MaxIdleConns:           maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
	}
	t.once = t.http.Clone()
	t.once.DisableKeepAlives = true
	return t, nil
}

func unreachable(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: %w: %w", ErrUnreachable, ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// config returns the configuration of TLS.
func (t Trust) config(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	switch {
	case t.CA != "":
		b, err := readFile(t.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s has no certificate in PEM", t.CA)
		}
	case len(t.Thumbprint) > 0:
		// The certificate itself is trusted, whoever issued it and for whatever name.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(sum[:], t.Thumbprint) != 1 {
				return &thumbprintError{Got: sum}
			}
			return nil
		}
	case t.Insecure:
		c.InsecureSkipVerify = true
	}
	return c, nil
}

// thumbprintError means that the server has another certificate than the one that is trusted.
type thumbprintError struct{ Got [sha256.Size]byte }

func (e *thumbprintError) Error() string {
	return fmt.Sprintf("the server's certificate has the SHA-256 thumbprint %x, not the configured one", e.Got)
}

// readFile reads a file of authorities. An account that can change it decides which server gets the
// passwords, so other accounts must not be able to.
func readFile(name string) ([]byte, error) {
	b, _, err := datadir.ReadFile(name, maxCA)
	return b, err
}

// URL returns the URL of the SDK.
func (t *Transport) URL() *url.URL {
	u := t.url
	return &u
}

// RoundTrip implements http.RoundTripper. It refuses requests for other servers, because requests
// carry credentials. It follows no redirections and keeps no cookies.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.roundTrip(r, false) }

func (t *Transport) roundTrip(r *http.Request, fresh bool) (*http.Response, error) {
	if r.URL.Scheme != t.url.Scheme || r.URL.Host != t.url.Host {
		return nil, fmt.Errorf("send request: %w", ErrElsewhere)
	}
	way := t.http
	if fresh {
		way = t.once
	}
	w, err := way.RoundTrip(r)
	switch {
	case err == nil:
		// A proxy in front of the server answers these while the server is down.
		switch w.StatusCode {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		default:
			t.seen(nil)
		}
	case untrusted(err):
		err = fmt.Errorf("%w: %w", ErrUnreachable, withThumbprint(err))
		t.seen(err)
	case errors.Is(err, ErrUnreachable) && r.Context().Err() == nil:
		t.seen(err)
	}
	return w, err
}

// untrusted reports whether a connection failed in the TLS handshake, so that nothing was sent.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	var thumbprint *thumbprintError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &certificate) || errors.As(err, &thumbprint) || errors.As(err, &header) ||
		errors.As(err, &alert)
}

// withThumbprint adds what the configuration may name to trust the certificate that was refused.
func withThumbprint(err error) error {
	var refused *tls.CertificateVerificationError
	if !errors.As(err, &refused) || len(refused.UnverifiedCertificates) == 0 {
		return err
	}
	sum := sha256.Sum256(refused.UnverifiedCertificates[0].Raw)
	return fmt.Errorf("%w (its SHA-256 thumbprint is %x)", err, sum)
}

// Close closes the connections that serve no request.
func (t *Transport) Close() { t.http.CloseIdleConnections() }
