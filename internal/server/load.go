package server

// Load is the current load of a server and what it has refused since it was opened. It includes the
// admin listener's connections, but not its requests.
type Load struct {
	Connections map[string]int64 // open now, by the listener's name, see Addr
	InFlight    int64            // requests being served, long polls among them

	RefusedConnections uint64 // because of a limit, that of all connections or that of one address
	RefusedRequests    uint64 // because of the limit of requests in flight
}

// Load returns the server's current load.
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

// Requests returns how many requests were admitted since the server was opened. It is very cheap.
func (s *Server) Requests() uint64 { return s.ids.last.Load() }
