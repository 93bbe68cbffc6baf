package upstream

import (
	"context"
	"fmt"
	"time"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/upstream/note"
	"github.com/vigate/vigate/internal/upstream/wire"
)

// ticketTime is how long a session is kept after it has made a ticket. Programs use a ticket at once, and the
// upstream refuses the ticket of a session that has ended.
const ticketTime = 2 * time.Minute

// cloneTime is how long the session that a program makes with a ticket takes a place of vigate's. vigate can't end
// that session, and is not informed of its end.
const cloneTime = 30 * time.Minute

// CloneTicket returns a ticket of the upstream, by which a program can make itself a copy of a session of
// the pool. The copy takes a place among the sessions of the upstream. The error is one of those of
// Acquire, or says why the upstream gave no ticket.
func (p *Pool) CloneTicket(ctx context.Context) (secret.Text, error) {
	u := p.account.upstream
	content, err := u.Content(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	x, err := p.Acquire(ctx)
	if err != nil {
		return secret.Text{}, err
	}
	defer x.Done()
	s := x.Session()
	s.Pin() // it must not end to make room for its own copy
	defer s.Unpin()
	if _, err := u.acquire(ctx, demand{}); err != nil {
		return secret.Text{}, err
	}
	now := u.opts.Now()
	copied := &ghost{note: note.Key{Account: p.account.user}, until: now.Add(cloneTime), unknown: true}
	u.mu.Lock()
	u.ghosts[copied] = true
	s.keep = now.Add(ticketTime)
	u.mu.Unlock()
	ticket, err := u.server.Client(s.cookie).CloneTicket(ctx, *content.SessionManager)
	if err == nil {
		return ticket, nil
	}
	if wire.Ended(err) {
		s.Lost(err)
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	u.freeGhost(copied)
	return secret.Text{}, err
}
