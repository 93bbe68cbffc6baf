package server

// Load is what a server carries now, and what it had to refuse since it was
// opened. The admin listener's requests are left out, its connections are not.
type Load struct {
	Connections map[string]int64 // open now, by the listener's name, see Addr
	InFlight    int64            // requests being served, long polls among them

	RefusedConnections uint64 // past the limits of connections, in all and of one address
	RefusedRequests    uint64 // past the limit of requests in flight
}

// Load tells what the server carries.
func (s *Server) Load() Load {
	l := Load{
		Connections: make(map[string]int64, len(s.sites)), InFlight: s.requests.live.Load(),
		RefusedConnections: s.total.refused.Load() + s.each.refused.Load(), RefusedRequests: s.requests.refused.Load() +
			s.shares.requests.refused.Load() + s.shares.headers.refused.Load(),
	}
	for _, st := range s.sites {
		l.Connections[st.name] = st.own.live.Load()
		l.RefusedConnections += st.own.refused.Load()
	}
	return l
}

// Requests is how many requests were let in since the server was opened. It
// costs next to nothing.
func (s *Server) Requests() uint64 { return s.ids.last.Load() }
