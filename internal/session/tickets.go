package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// The maximum numbers of unexpired tickets. Beyond them no ticket is issued, because each ticket is
// a record of the store and is kept in memory. docs/operations.md lists these limits.
const (
	maxTickets    = 20_000 // in all
	maxOwnTickets = 2_000  // of one principal: as many as its sessions may be
	maxStrangers  = 1_000  // of callers without a session, because anybody can ask for such tickets
)

// expireEvery is how often a full table is searched for expired tickets that were not swept yet.
const expireEvery = time.Second

// tickets holds the unspent tickets of the store in memory, so that to look up a forged ticket does
// not cost a read of the store.
type tickets struct {
	mu      sync.Mutex // guards what follows
	content heldTickets
	staged  *heldTickets   // the records of a snapshot while it is being loaded; otherwise nil
	pending map[string]int // about to be issued, by owner
	total   int            // sum of pending
	expired time.Time      // when expired tickets were last searched for
}

// heldTickets are tickets, and the number of tickets that count for each principal, see counts.
// Tickets of callers without a session count for "".
type heldTickets struct {
	records map[string]heldTicket
	owners  map[string]int
}

type heldTicket struct {
	store.Record
	owners []string // the ticket counts for these; nil if it is no clone or service ticket
}

// counts returns the keys that the ticket counts for: the principal that logged in and, if its
// session impersonated another principal, all impersonators of that principal together. So an
// impersonator can't use up the tickets of its target.
func (t ticket) counts() []string {
	if t.origin == "" {
		return []string{t.actor}
	}
	return []string{t.origin, actingAs + t.actor}
}

// actingAs is a prefix that no principal's key has.
const actingAs = "\x00"

func newHeldTickets() heldTickets {
	return heldTickets{records: map[string]heldTicket{}, owners: map[string]int{}}
}

func (h heldTickets) put(r store.Record) {
	h.remove(r.ID)
	t := heldTicket{Record: r}
	if strings.HasPrefix(r.ID, cloneTicket) || strings.HasPrefix(r.ID, httpTicket) {
		// A ticket that can't be read counts for "". Its use is an error.
		d, _ := decodeTicket(r.Value)
		t.owners = d.counts()
		for _, owner := range t.owners {
			h.owners[owner]++
		}
	}
	h.records[r.ID] = t
}

func (h heldTickets) remove(id string) {
	t, ok := h.records[id]
	if !ok {
		return
	}
	delete(h.records, id)
	for _, owner := range t.owners {
		if h.owners[owner]--; h.owners[owner] == 0 {
			delete(h.owners, owner)
		}
	}
}

func newTickets() *tickets {
	return &tickets{content: newHeldTickets(), pending: map[string]int{}}
}

// reset, put, remove and whole implement the store.View of Table.
func (t *tickets) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	staged := newHeldTickets()
	t.staged = &staged
}

func (t *tickets) put(r store.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.target().put(r)
}

func (t *tickets) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.target().remove(id)
}

func (t *tickets) whole() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.staged != nil {
		t.content, t.staged = *t.staged, nil
	}
}

// target returns the tickets that changes apply to. Callers hold mu.
func (t *tickets) target() heldTickets {
	if t.staged != nil {
		return *t.staged
	}
	return t.content
}

func (t *tickets) get(id string, now time.Time) (store.Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.content.records[id]
	return r.Record, ok && !r.Expired(now)
}

// reserve reserves a place for a ticket that is about to be issued. The caller calls release when
// the ticket is in the table, or was not issued.
func (t *tickets) reserve(of ticket, now time.Time) (release func(), _ error) {
	owners := of.counts()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exceeded(owners) != nil && now.Sub(t.expired) >= expireEvery {
		t.expired = now
		for id, r := range t.content.records {
			if r.Expired(now) {
				t.content.remove(id)
			}
		}
	}
	if limit := t.exceeded(owners); limit != nil {
		return nil, limit
	}
	for _, owner := range owners {
		t.pending[owner]++
	}
	t.total++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.total--
		for _, owner := range owners {
			if t.pending[owner]--; t.pending[owner] == 0 {
				delete(t.pending, owner)
			}
		}
	}, nil
}

// exceeded returns the limit that another ticket of the owners would exceed, or nil. Callers hold mu.
func (t *tickets) exceeded(owners []string) *LimitError {
	for _, owner := range owners {
		most := maxOwnTickets
		if owner == "" {
			most = maxStrangers
		}
		if n := t.content.owners[owner] + t.pending[owner]; n >= most {
			return &LimitError{Limit: "tickets", Max: most, Live: n}
		}
	}
	if n := len(t.content.records) + t.total; n >= maxTickets {
		return &LimitError{Limit: "tickets", Max: maxTickets, Live: n}
	}
	return nil
}

// Ticket returns the ticket with the id. It knows every ticket that any node has issued. It may
// still return a ticket that another node has spent an instant ago, so the commit that spends it
// must depend on its revision.
//
// Errors: ErrBadTicket if there is none, or the store's if that can't be determined.
func (m *Manager) Ticket(ctx context.Context, id string) (store.Record, error) {
	if r, ok := m.table.tickets.get(id, m.now()); ok {
		return r, nil
	}
	// On a shared store another node may have issued it an instant ago.
	if err := m.mirror.Sync(ctx); err != nil {
		return store.Record{}, fmt.Errorf("find ticket: %w", err)
	}
	if r, ok := m.table.tickets.get(id, m.now()); ok {
		return r, nil
	}
	return store.Record{}, ErrBadTicket
}
