package budget

import "sync"

// Ledger is the account of what sessions hold. A session's account is made when
// it first holds something, and goes when it holds nothing or the session ends.
// All methods may be called at the same time.
type Ledger struct {
	limits Limits

	mu         sync.Mutex // guards what follows, and the accounts
	sessions   map[string]*account
	principals map[string]*Amounts
	server     Amounts
}

// account is what one session holds.
type account struct {
	session, principal string
	held               Amounts
	holds              int
	ended              bool // the session is over: all was given back
}

// NewLedger makes an empty ledger.
func NewLedger(limits Limits) *Ledger {
	return &Ledger{limits: limits, sessions: map[string]*account{}, principals: map[string]*Amounts{}}
}

// Limits are the bounds of the ledger.
func (l *Ledger) Limits() Limits { return l.limits }

// Hold is what was taken and not given back yet.
type Hold struct {
	ledger *Ledger
	of     *account
	held   Amounts // guarded by ledger.mu
	given  bool    // guarded by ledger.mu
}

// Take lets the session of the principal hold the amounts. Either all is taken
// or nothing.
//
// A caller for whom the session may have ended meanwhile looks after Take
// whether it still lives, and calls End if not.
//
// Errors: *ExceededError.
func (l *Ledger) Take(session, principal string, a Amounts) (*Hold, error) {
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

// fits reports whether so much more may be held. Callers hold mu.
func (l *Ledger) fits(of *account, more Amounts) error {
	var all Amounts // of the principal
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

// book adds the amounts to all three accounts, or takes them off. Callers hold
// mu.
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

// Resize makes n what the hold has of the kind. A hold that was given back, or
// whose session ended, stays empty.
//
// Errors: *ExceededError; the hold is then as it was.
func (h *Hold) Resize(k Kind, n int64) error {
	l := h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.given || h.of.ended {
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

// Give gives back all that the hold has. Only the first call counts; a nil Hold
// has nothing.
func (h *Hold) Give() {
	if h == nil {
		return
	}
	l := h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.given || h.of.ended {
		return
	}
	h.given = true
	l.book(h.of, h.held, -1)
	if h.of.holds--; h.of.holds == 0 {
		delete(l.sessions, h.of.session)
	}
}

// End gives back all that the session holds.
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

// Session is what a session holds.
func (l *Ledger) Session(session string) Amounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.sessions[session]; of != nil {
		return of.held
	}
	return Amounts{}
}

// Principal is what all sessions of a principal hold.
func (l *Ledger) Principal(principal string) Amounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.principals[principal]; p != nil {
		return *p
	}
	return Amounts{}
}

// Server is what all sessions hold, and how many they are.
func (l *Ledger) Server() (held Amounts, sessions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server, len(l.sessions)
}
