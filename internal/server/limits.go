package server

import "time"

// Limits limit what clients can make the server hold. If a member is zero, the default in its
// comment is used.
type Limits struct {
	// Connections is the maximum number of all connections except the admin listener's (20,000),
	// and ListenerConnections that of each listener (20,000). Further connections are closed at
	// once, because a client that is refused can try another server, and one that waits in a queue
	// can't.
	Connections         int
	ListenerConnections int
	// AddressConnections is the maximum number of connections of one IPv4 address, one /64 network
	// of IPv6 or one user of the Unix socket (a quarter of Connections). It does not apply to the
	// admin listener and to trusted proxies. Further connections are closed at once.
	AddressConnections int
	// Requests is the maximum number of requests in flight, including long polls (50,000). It
	// limits what HTTP/2 streams multiply. Further requests get 503 with Retry-After.
	Requests int
	// AddressRequests is the maximum number of requests of one address in flight over HTTP/2, where
	// one connection carries many (a quarter of Requests). Further requests get 503 with
	// Retry-After.
	AddressRequests int
	// Headers is the maximum memory of the headers of all requests that are being received or
	// served, without the first 2 KiB of each (64 MiB). One address may use a quarter. Beyond it
	// the connection is closed, or over HTTP/2 the request gets 503 with Retry-After.
	Headers int
	// HTTP2 is the maximum number of HTTP/2 connections (a sixteenth of Connections). One address
	// may have a quarter of them. Further clients are offered HTTP/1.1 only.
	HTTP2 int
	// Tunnels is the maximum number of connections through CONNECT (1,000).
	Tunnels int
	// HeaderBytes is the maximum size of one request's header (64 KiB).
	HeaderBytes int
	// StreamsPerConnection is the maximum number of concurrent HTTP/2 streams of a connection
	// (128).
	StreamsPerConnection int

	// Header is the time limit of the TLS handshake and of a request's header (10 s).
	Header time.Duration
	// Request is the time limit of a whole request with its body, from its first byte (30 s). It
	// ends with the body, so it does not cut a call that waits for updates.
	Request time.Duration
	// Idle is how long a connection may be without a request (15 min and 2 s). pyVmomi reuses a
	// connection that was idle for up to 15 minutes, and fails if it has been closed.
	Idle time.Duration
	// Stall is the maximum time in which a client accepts no byte of a response (1 min).
	//
	// There is no time limit for a whole response: calls that wait for updates take 30 minutes, and
	// long lists take as long as the client's network needs. Only a client that stops reading must
	// be cut.
	Stall time.Duration
	// Drain is how long requests in flight may take to finish at shutdown (15 s).
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
