// Package peer describes the client at the other end of a request, as far as the connection shows
// it: its address, its certificates, its user on a Unix socket.
//
// The server puts a [Peer] into each request's context with [With], and all other packages read it
// with [From]. The package only states facts; whether a client is trusted or allowed to do
// something is decided elsewhere.
package peer

import (
	"crypto/x509"
	"strconv"
)

// Peer is the client of one request. The zero Peer is not local and has no identity.
type Peer struct {
	// Address is the client's IP address without a port. It is the address of the connection, or
	// the address that a configured proxy reported. A client on the Unix socket has the address
	// 127.0.0.1, because it is on the same machine and has no other address.
	Address string
	// Local is true if the client is on the same machine: the request came over a loopback
	// connection or the Unix socket, and no proxy relayed it.
	Local bool
	// TLS is true if the client's own connection to this server is encrypted.
	TLS bool
	// ProxyTLS is true if a configured proxy reported that the client's connection to it is encrypted. Only
	// the URLs that the client gets depend on it; see Scheme.
	ProxyTLS bool
	// Certificates is the certificate chain that the client presented, with the leaf first. The
	// client has proved that it has the leaf's private key. The chain is not verified.
	Certificates []*x509.Certificate
	// UnixUID is the user id of the process at the other end of the Unix socket, as reported by the
	// kernel. It is nil for other connections.
	UnixUID *uint32
	// UserAgent is the name that the client gives itself: at most 512 bytes of valid UTF-8 without
	// control characters.
	UserAgent string
	// Request identifies the request in log lines.
	Request RequestID
}

// Scheme returns the scheme of the URL that the client used: https or http.
func (p *Peer) Scheme() string {
	if p.TLS || p.ProxyTLS {
		return "https"
	}
	return "http"
}

// RequestID identifies a request. The server generates it. It contains nothing about the client and
// is no secret. It is formatted only when it is needed.
type RequestID struct {
	Run    string // identifies the run of the server; differs after each start
	Number uint64 // number of the request in this run
}

func (id RequestID) String() string {
	b := make([]byte, 0, 24)
	b = append(append(b, id.Run...), '-')
	return string(strconv.AppendUint(b, id.Number, 36))
}
