// Package peer says who is at the other end of a request, as far as the
// connection tells: facts for decisions further in, never a decision itself.
package peer

import (
	"crypto/x509"
	"strconv"
)

// Peer is the other end of one request. The zero one is neither local nor known
// by anything.
type Peer struct {
	// Address is the client's IP address without a port: the connection's, or
	// that which a configured proxy named. A client on the Unix socket has
	// 127.0.0.1, since it is on this machine and has no other.
	Address string
	// Local: the client is on this machine, that is the request came over a
	// loopback connection or the Unix socket and nobody relayed it.
	Local bool
	// TLS: the client's own connection to this server is encrypted.
	TLS bool
	// Certificates is the chain that the client presented, leaf first. The
	// client has proved that it holds the leaf's key; whether anybody vouches
	// for the certificate is not checked.
	Certificates []*x509.Certificate
	// UnixUID is the user of the process at the other end of the Unix socket,
	// as the kernel says; nil on any other connection.
	UnixUID *uint32
	// UserAgent is what the client calls itself, at most 512 bytes of valid
	// UTF-8 without control characters.
	UserAgent string
	// Request names the request in the logs.
	Request RequestID
}

// RequestID names a request. The server makes it up; it says nothing about the
// client and is no secret. It is written out only where somebody reads it.
type RequestID struct {
	Run    string // of the server: differs from start to start
	Number uint64 // of the request in this run
}

func (id RequestID) String() string {
	b := make([]byte, 0, 24)
	b = append(append(b, id.Run...), '-')
	return string(strconv.AppendUint(b, id.Number, 36))
}
