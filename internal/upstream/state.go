package upstream

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// counters count since the start.
type counters struct{ logins, failures, lost, full, requests atomic.Uint64 }

// State is what operators see of an upstream. It contains no secret.
type State struct {
	Name, URL string
	Private   bool
	// Err says why the upstream can't be used; nil if it can. Since is when that changed.
	Err   error
	Since time.Time
	// Type, Version and Build are what the upstream says about itself; empty if it never answered.
	Type, Version, Build string

	// The limits of this process, and how much of them is in use. Places are the places of
	// sessions.
	MaxPlaces, MaxRequests, MaxWaits int
	Places, InFlight, Waits          int
	// Ghosts are the places of sessions that vigate can't use, but that may be there.
	Ghosts int
	// Queued and QueuedWaits are the callers that wait for a place.
	Queued, QueuedWaits int

	Accounts []AccountState // by name
	Sessions []SessionState // by the time when they were opened

	// Since the start: attempted logins, failed logins, lost sessions, callers that got no place in time, requests.
	Logins, Failures, Lost, Full, Served uint64
}

// AccountState is what operators see of an account.
type AccountState struct {
	Name, User  string
	PassThrough bool
	Sessions    int
	REST        bool  // it has a session of its own of the Automation API
	Err         error // why the last login failed; nil: it did not
	// Retry is the time before which no login is tried; zero: one may be tried.
	Retry time.Time
}

// SessionState is what operators see of a session.
type SessionState struct {
	ID, Account, Locale string
	Client              string // in mode private: the client session that it belongs to
	Calls               int    // in flight
	Pins                int    // what is tied to it
	Opened, Used        time.Time
	Draining            bool // it takes no new clients
}

// State returns what operators see of the upstream.
func (u *Upstream) State() State {
	s := State{Name: u.name, URL: u.URL().String(), Private: u.private, Err: u.Ready()}
	s.Since = u.server.Since()
	if c := u.server.Known(); c != nil {
		s.Type, s.Version, s.Build = c.About.ApiType, c.About.Version, c.About.Build
	}
	s.Logins, s.Failures, s.Lost = u.counts.logins.Load(), u.counts.failures.Load(), u.counts.lost.Load()
	s.Full, s.Served = u.counts.full.Load(), u.counts.requests.Load()
	u.mu.Lock()
	defer u.mu.Unlock()
	s.MaxPlaces, s.MaxRequests, s.MaxWaits = u.maxSessions(u.limits.sessions), u.limits.requests, u.limits.waits
	s.Places, s.InFlight, s.Waits, s.Ghosts = u.places, u.requests, u.waits, len(u.ghosts)
	s.Queued, s.QueuedWaits = u.queue.Len(), u.lounge.Len()
	for _, all := range []map[string]*Account{u.accounts, u.users} {
		for _, a := range all {
			s.Accounts = append(s.Accounts, a.state(u.opts.Now()))
		}
	}
	for a := range u.former {
		s.Accounts = append(s.Accounts, a.state(u.opts.Now()))
	}
	for x := range u.sessions {
		if !x.ended {
			s.Sessions = append(s.Sessions, x.state())
		}
	}
	slices.SortFunc(s.Accounts, func(a, b AccountState) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Sessions, func(a, b SessionState) int {
		return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID))
	})
	return s
}

// state returns what operators see of the account. The caller holds mu.
func (a *Account) state(now time.Time) AccountState {
	s := AccountState{
		Name: a.name, User: a.user, PassThrough: a.PassThrough(), Sessions: a.size, REST: a.rest != nil, Err: a.cause,
	}
	if now.Before(a.retry) {
		s.Retry = a.retry
	}
	return s
}

// state returns what operators see of the session. The caller holds mu.
func (s *Session) state() SessionState {
	return SessionState{
		ID: s.id, Account: s.account.name, Locale: s.pool.locale, Client: s.client, Calls: s.calls, Pins: s.pins,
		Opened: s.opened, Used: s.used, Draining: s.draining,
	}
}
