package note

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/store"
)

const (
	// Window and MaxRefused bound the failed logins of one user at one upstream. By default vCenter
	// locks a user out after 5 failures in 3 minutes, and ESXi after 5 failures in 15 minutes. One is
	// left for a person who mistypes the password.
	Window     = 15 * time.Minute
	MaxRefused = 4

	// loginTime bounds how long a login may take. When it is over, another process may log in.
	loginTime = 2 * time.Minute
	pause     = 50 * time.Millisecond // between looks at another process's login
)

// tries is the record of the logins of one user at one upstream.
type tries struct {
	// Refused are the times of failed logins, and of logins whose outcome nobody knows.
	Refused []time.Time `json:"refused,omitempty"`
	// Node is the process that is logging in, until Until. Empty: none is.
	Node  string    `json:"node,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

type entry struct {
	tries
	revision store.Revision
	expires  time.Time
}

// at returns the entry of the record if it has not expired.
func (b *Book) at(id string, now time.Time) (e entry, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, found = b.users[id]; found && !now.Before(e.expires) {
		return entry{}, false // the store counts it as absent
	}
	return e, found
}

// BudgetError means that the budget of the user's failed logins is used up: after one more failure, the upstream
// might lock the user out.
type BudgetError struct{ Until time.Time }

func (e *BudgetError) Error() string {
	return "too many logins of the user failed: none is tried until " + e.Until.Format(time.RFC3339)
}

// Outcome is how a login ended.
type Outcome uint8

// The outcomes.
const (
	Unsent   Outcome = iota // the upstream has not seen the password
	Accepted                // the password was right
	Refused                 // the password was wrong
	Unknown                 // it may have been wrong: it counts as Refused
)

// Try is the right to log in once. It must be ended with End.
type Try struct {
	book *Book
	id   string
	at   entry
	turn chan struct{}
}

// Begin waits until no other login of the user is in progress, in any process, and returns the right to
// log in. It counts the login as failed until its outcome is known, so that a process that is killed
// in between counts too. Once it is the caller's turn, Begin calls check, and returns its error. Else
// the error is a *BudgetError if no login may be tried, or an error of the store or of ctx.
func (b *Book) Begin(ctx context.Context, upstream, user string, check func() error) (*Try, error) {
	id := userID(upstream, user)
	turn := b.turn(id)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := check(); err != nil {
		<-turn
		return nil, err
	}
	t, err := b.begin(ctx, id)
	if err != nil {
		<-turn
		return nil, fmt.Errorf("begin login: %w", err)
	}
	t.turn = turn
	return t, nil
}

// maxTurns bounds the users whose turns are remembered. Anybody can name a user.
const maxTurns = 10_000

// turn returns the channel that is full while a login of the user is in progress in this process.
func (b *Book) turn(id string) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t, ok := b.turns[id]; ok {
		return t
	}
	if len(b.turns) >= maxTurns {
		for old, t := range b.turns {
			if len(t) == 0 { // nobody has it: a waiting caller gets it, and competes with new ones in the store
				delete(b.turns, old)
				break
			}
		}
	}
	t := make(chan struct{}, 1)
	b.turns[id] = t
	return t
}

func (b *Book) begin(ctx context.Context, id string) (*Try, error) {
	for {
		now := b.opts.Now().UTC()
		old, found := b.at(id, now)
		refused := recent(old.Refused, now)
		if old.Node != "" && now.Before(old.Until) && b.running(old.Node) {
			if err := wait(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if most := b.opts.MaxRefused; len(refused) >= most {
			return nil, &BudgetError{Until: refused[len(refused)-most].Add(Window)}
		}
		d := tries{Refused: append(refused, now), Node: b.opts.Node, Until: now.Add(loginTime)}
		change, err := b.write(id, d, old.revision, found, now)
		if err != nil {
			return nil, err
		}
		switch err = b.commit(ctx, change); {
		case err == nil:
			at, _ := b.at(id, now)
			return &Try{book: b, id: id, at: at}, nil
		case !errors.Is(err, store.ErrConflict):
			return nil, err
		}
	}
}

// running reports whether the process can still be logging in.
func (b *Book) running(node string) bool {
	return node != b.opts.Node && b.opts.Alive != nil && b.opts.Alive(node)
}

func wait(ctx context.Context) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Refused returns the times of the logins that have failed within Window, by user. The users have names that only
// a Book understands. With Remember, a program without a store can keep them from one run to the next.
func (b *Book) Refused() map[string][]time.Time {
	now := b.opts.Now().UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string][]time.Time{}
	for id, e := range b.users {
		if times := recent(e.Refused, now); len(times) > 0 {
			all[id] = times
		}
	}
	return all
}

// Remember adds what Refused has returned to a Book that keeps its notes in memory.
func (b *Book) Remember(all map[string][]time.Time) {
	now := b.opts.Now().UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, times := range all {
		e := b.users[id]
		e.Refused = append(e.Refused, recent(times, now)...)
		slices.SortFunc(e.Refused, time.Time.Compare)
		e.expires = now.Add(Window + loginTime)
		b.users[id] = e
	}
}

// recent returns the times that are within the window.
func recent(all []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(all), func(t time.Time) bool { return now.Sub(t) >= Window || t.After(now) })
}

// write returns the change that writes a record, or that removes it if it is empty.
func (b *Book) write(id string, d tries, at store.Revision, present bool, now time.Time) (store.Change, error) {
	if len(d.Refused) == 0 && d.Node == "" {
		return store.Clear(store.Upstream, id), nil
	}
	value, err := record.Encode(formatVersion, &d, nil)
	expires := now.Add(Window + loginTime)
	switch {
	case err != nil:
		return store.Change{}, err
	case present && b.mirror != nil:
		return store.Update(store.Upstream, id, at, value, expires), nil
	}
	return store.Create(store.Upstream, id, value, expires), nil
}

// End ends the try. If the login was accepted and made a session, key is the note of the session. End sets its ID and
// keeps it until expires. The note is written together with the end, so that no session is without a note. An error
// means that nothing was written: the try counts as failed then, and the session must be ended.
func (t *Try) End(ctx context.Context, outcome Outcome, key *Key, expires time.Time) error {
	defer func() { <-t.turn }()
	b := t.book
	now := b.opts.Now().UTC()
	d := tries{Refused: t.at.Refused}
	switch outcome {
	case Accepted:
		d.Refused = nil // the upstream forgets failures as well
	case Unsent:
		d.Refused = d.Refused[:len(d.Refused)-1]
	}
	change, err := b.write(t.id, d, t.at.revision, true, now)
	changes := []store.Change{change}
	if err == nil && key != nil {
		if change, err = b.note(key, expires); err == nil {
			changes = append(changes, change)
		}
	}
	if err == nil {
		err = b.commit(ctx, changes...)
	}
	if err != nil {
		return fmt.Errorf("note login: %w", err)
	}
	return nil
}
