package budget

import "sync"

// Ledger records what the sessions hold. A session's account exists while the session is alive and
// holds something. All methods are safe for concurrent use.
type Ledger struct {
	limits Limits

	mu         sync.Mutex // guards the fields below, and the accounts
	sessions   map[string]*account
	principals map[string]*Amounts
	server     Amounts
}

// account records what one session holds.
type account struct {
	session, principal string
	held               Amounts
	holds              int
	ended              bool // the session has ended, and everything was released
}

// NewLedger returns an empty ledger.
func NewLedger(limits Limits) *Ledger {
	return &Ledger{limits: limits, sessions: map[string]*account{}, principals: map[string]*Amounts{}}
}

// Limits returns the limits of the ledger.
func (l *Ledger) Limits() Limits { return l.limits }

// Hold is a reservation.
type Hold struct {
	ledger   *Ledger
	of       *account
	held     Amounts // guarded by ledger.mu
	released bool    // guarded by ledger.mu
}

// Reserve reserves the amounts for the session of the principal. It reserves either all of them or
// nothing.
//
// If the session may have ended in the meantime, the caller must check that after Reserve and call
// End.
//
// The error is an *ExceededError.
func (l *Ledger) Reserve(session, principal string, a Amounts) (*Hold, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.sessions[session]
	if of == nil {
		of = &account{session: session, principal: principal}
	}
	if err := l.fits(of, a); err != nil {
		return nil, err
	}
	l.sessions[session] = of
	of.holds++
	l.book(of, a, 1)
	return &Hold{ledger: l, of: of, held: a}, nil
}

// fits returns an error if the additional amounts exceed a bound. The caller must hold mu.
func (l *Ledger) fits(of *account, more Amounts) error {
	var all Amounts // of all sessions of the principal
	if p := l.principals[of.principal]; p != nil {
		all = *p
	}
	for k, n := range more {
		if n <= 0 {
			continue
		}
		b := l.limits[k]
		for _, s := range [...]struct {
			scope     Scope
			held, max int64
		}{{OfSession, of.held[k], b.Session}, {OfPrincipal, all[k], b.Principal}, {OfServer, l.server[k], b.Server}} {
			if n > s.max-s.held {
				return &ExceededError{Kind: Kind(k), Scope: s.scope, Max: s.max, Asked: n}
			}
		}
	}
	return nil
}

// book adds the amounts to the accounts of the session, the principal and the server, or subtracts
// them. The caller must hold mu.
func (l *Ledger) book(of *account, a Amounts, sign int64) {
	of.held.add(a, sign)
	l.server.add(a, sign)
	p := l.principals[of.principal]
	if p == nil {
		p = &Amounts{}
		l.principals[of.principal] = p
	}
	if p.add(a, sign); *p == (Amounts{}) {
		delete(l.principals, of.principal)
	}
}

// Resize sets the amount of the kind in the hold to n. A hold that was released, or whose session
// has ended, stays empty.
//
// The error is an *ExceededError, and the hold is then unchanged.
func (h *Hold) Resize(k Kind, n int64) error {
	l := h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.released || h.of.ended {
		return nil
	}
	more := Of(k, n-h.held[k])
	if err := l.fits(h.of, more); err != nil {
		return err
	}
	l.book(h.of, more, 1)
	h.held.add(more, 1)
	return nil
}

// Release releases everything in the hold. Further calls have no effect, nor has a call on a nil
// Hold.
func (h *Hold) Release() {
	if h == nil {
		return
	}
	l := h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.released || h.of.ended {
		return
	}
	h.released = true
	l.book(h.of, h.held, -1)
	if h.of.holds--; h.of.holds == 0 {
		delete(l.sessions, h.of.session)
	}
}

// End releases everything that the session holds.
func (l *Ledger) End(session string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.sessions[session]
	if of == nil {
		return
	}
	delete(l.sessions, session)
	l.book(of, of.held, -1)
	of.ended = true
}

// Session returns what a session holds.
func (l *Ledger) Session(session string) Amounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.sessions[session]; of != nil {
		return of.held
	}
	return Amounts{}
}

// Principal returns what all sessions of a principal hold together.
func (l *Ledger) Principal(principal string) Amounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.principals[principal]; p != nil {
		return *p
	}
	return Amounts{}
}

// Server returns what all sessions hold together, and the number of sessions that hold something.
func (l *Ledger) Server() (held Amounts, sessions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server, len(l.sessions)
}
