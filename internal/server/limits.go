package server

import "time"

// Limits bound what clients can make the server hold. A zero member is the
// default that its comment gives.
type Limits struct {
	// Connections in all, without the admin listener's (20,000), and per
	// listener (20,000). Connections past it are closed at once: a client that
	// is told so can go elsewhere, one that waits in a queue can't.
	Connections         int
	ListenerConnections int
	// AddressConnections of one IPv4 address, one /64 of IPv6 or one user of the
	// Unix socket, without the admin listener's and those of trusted proxies (a
	// quarter of Connections). Past it they are closed at once.
	AddressConnections int
	// Requests in flight in all, long polls among them (50,000). It bounds
	// what HTTP/2 streams multiply. Past it: 503 with Retry-After.
	Requests int
	// AddressRequests of one address that are in flight over HTTP/2, where one
	// connection has many (a quarter of Requests). Past it: 503 with Retry-After.
	AddressRequests int
	// Headers is the memory of the headers of all requests, in flight and coming, past
	// the first 2 KiB of each (64 MiB). One address may have a quarter. Past it the
	// connection is closed; over HTTP/2: 503 with Retry-After.
	Headers int
	// HTTP2 connections in all (a sixteenth of Connections). One address may have a
	// quarter. A client past it is offered HTTP/1.1 only.
	HTTP2 int
	// Tunnels are the connections through CONNECT (1,000).
	Tunnels int
	// HeaderBytes of one request (64 KiB).
	HeaderBytes int
	// StreamsPerConnection of HTTP/2 (128).
	StreamsPerConnection int

	// Header is the time for the TLS handshake, and for a request's header (10 s).
	Header time.Duration
	// Request is the time for a whole request with its body, from its first
	// byte (30 s). It ends with the body: a call that waits for updates is not
	// cut off by it.
	Request time.Duration
	// Idle is how long a connection may be without a request (15 min and 2 s).
	// pyVmomi uses one again that has been idle for up to 15 minutes, and fails
	// if it is closed by then.
	Idle time.Duration
	// Stall is how long the client may take no byte of an answer (1 min).
	//
	// There is no limit on the time of an answer as a whole. Calls that wait
	// for updates take 30 minutes, and long lists take as long as the client's
	// line needs; what must not be is a client that stops reading.
	Stall time.Duration
	// Drain is the time that requests in flight have to finish (15 s).
	Drain time.Duration
}

func (l Limits) withDefaults() Limits {
	number := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	number(&l.Connections, 20_000)
	number(&l.ListenerConnections, 20_000)
	number(&l.AddressConnections, max(1, l.Connections/4))
	number(&l.Requests, 50_000)
	number(&l.AddressRequests, max(1, l.Requests/4))
	number(&l.Headers, 64<<20)
	number(&l.HTTP2, max(1, l.Connections/16))
	number(&l.Tunnels, 1_000)
	number(&l.HeaderBytes, 64<<10)
	number(&l.StreamsPerConnection, 128)
	span(&l.Header, 10*time.Second)
	span(&l.Request, 30*time.Second)
	span(&l.Idle, 15*time.Minute+2*time.Second)
	span(&l.Stall, time.Minute)
	span(&l.Drain, 15*time.Second)
	return l
}
