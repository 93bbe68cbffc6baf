package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/eviction"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/store"
)

var (
	// ErrNotFound: there is no such local user.
	ErrNotFound = errors.New("no such local user")
	// ErrExists: there is a user or an extension already whose name is the same or
	// alike.
	ErrExists = errors.New("user exists already")
	// ErrName: not a local user's name, or not of this domain.
	ErrName = errors.New("not a local user's name")
	// ErrFullName: the full name is too long or has characters that are not seen.
	ErrFullName = errors.New("not a full name")
	// ErrPassword: the new password is too short or too long.
	ErrPassword = errors.New("password's length is out of bounds")
	// ErrRejected: no such user, or disabled, or the wrong password.
	ErrRejected = errors.New("user or password rejected")
	// ErrTooMany: there are MaxUsers users.
	ErrTooMany = errors.New("as many users as there may be")
	// ErrUnconfirmed: rejected by what this process knows, and it could not find out
	// whether it knows all.
	ErrUnconfirmed = errors.New("rejection not confirmed")
	// ErrBusy: too many passwords are being hashed; try later.
	ErrBusy = errors.New("too many passwords to hash at once")
)

// Authority keeps the rule that an administrator is always left.
type Authority interface {
	// Retire returns what must be part of the commit that disables a user, or,
	// with forget, removes it; an error where it is the last administrator. It
	// is called anew for each attempt to commit.
	Retire(ctx context.Context, by event.Actor, who principal.Name, forget bool) ([]store.Change, error)
	// Found returns what must be part of the commit that makes the first
	// administrator; nothing where there once was one.
	Found(ctx context.Context, by event.Actor, who principal.Name) ([]store.Change, error)
}

// Options of a Manager. Mirror, Table, Roster, Events, Authority and End are needed.
type Options struct {
	Mirror    *store.Mirror // feeds Table, and what Authority reads
	Table     *Table
	Roster    *roster.Roster
	Events    *event.Log
	Authority Authority
	// End ends the sessions of a user who is disabled, removed or has a new
	// password.
	End eviction.Ender

	Cost        Cost             // zero: 19 MiB, 2 passes, 1 lane
	MinPassword int              // characters of a new password; 0: the constant MinPassword
	Cores       int              // hashes at once at most; 0: runtime.GOMAXPROCS
	Queue       int              // hashes that wait; 0: 32 for each core
	Patience    time.Duration    // how long a hash waits at most; 0: 2 s
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: slog.Default
	// Requests, if set, counts all requests since the start, logins among them:
	// while many others come in, hashing keeps to a quarter of Cores. It must be
	// quick, and may be called at any time.
	Requests func() uint64
}

// Manager verifies passwords and changes local users. Changes are durable when
// a call returns; by is who acts, for the event. Besides what each call names,
// they fail with what the store fails with, and with a *store.DamagedError for a
// user whose record can't be read.
type Manager struct {
	table       *Table
	mirror      *store.Mirror
	events      *event.Log
	authority   Authority
	roster      *roster.Roster
	evictor     *eviction.Evictor
	cost        Cost
	minPassword int
	gate        *gate
	now         func() time.Time
	// nobody is hashed against where there is no such user.
	nobody hash
}

// NewManager makes a manager. It fails where Cost is out of bounds.
func NewManager(o Options) (*Manager, error) {
	if o.Cost == (Cost{}) {
		o.Cost = defaultCost
	}
	if !o.Cost.valid() {
		return nil, errors.New("make account manager: cost of password hashes is out of bounds")
	}
	if o.MinPassword <= 0 {
		o.MinPassword = MinPassword
	}
	if o.Cores <= 0 {
		o.Cores = runtime.GOMAXPROCS(0)
	}
	if o.Queue <= 0 {
		o.Queue = 32 * o.Cores
	}
	if o.Patience <= 0 {
		o.Patience = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Manager{
		table: o.Table, mirror: o.Mirror, events: o.Events, authority: o.Authority, roster: o.Roster,
		evictor: &eviction.Evictor{Kind: store.Account, Mirror: o.Mirror, Duties: &o.Table.duties, End: o.End,
			Logger: o.Logger},
		cost: o.Cost, minPassword: o.MinPassword, now: o.Now,
		gate:   newGate(o.Cores, o.Queue, o.Patience, pressure{requests: o.Requests, now: o.Now}),
		nobody: hash{cost: o.Cost, salt: newSalt(), key: make([]byte, keySize)},
	}, nil
}

// Create makes a user.
//
// Errors: ErrName, ErrFullName, ErrPassword, ErrExists, ErrTooMany, ErrBusy.
func (m *Manager) Create(
	ctx context.Context, by event.Actor, name principal.Name, password []byte, fullName string,
) error {
	r, err := m.fresh(ctx, name, password, fullName)
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	err = m.roster.Enter(ctx, r.User, func(turn store.Change) error {
		create, err := m.create(r)
		if err != nil {
			return err
		}
		_, err = m.mirror.Commit(ctx, turn, create, m.event("created", by, r))
		return err
	})
	if errors.Is(err, roster.ErrTaken) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// fresh makes a new user's record.
func (m *Manager) fresh(ctx context.Context, name principal.Name, password []byte, fullName string) (*row, error) {
	if err := m.table.checkName(name); err != nil {
		return nil, err
	}
	if !validFullName(fullName) {
		return nil, ErrFullName
	}
	h, err := m.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	now := m.now().UTC()
	r := &row{Domain: m.table.domain, User: name.User, FullName: fullName, Hash: h.String(), hash: h, Created: now,
		PasswordChanged: now}
	r.id = r.name().Key()
	return r, nil
}

// create is the change that makes the user, who was admitted by the roster.
func (m *Manager) create(r *row) (store.Change, error) {
	if _, d := m.table.get(r.name()); d != nil {
		return store.Change{}, d.err
	}
	if m.table.count() >= MaxUsers {
		return store.Change{}, ErrTooMany
	}
	b, err := r.encode()
	if err != nil {
		return store.Change{}, err
	}
	return store.Create(store.Account, r.id, b, time.Time{}), nil
}

// Update is what to change of a user.
type Update struct {
	Password []byte  // nil: as it is
	FullName *string // nil: as it is
}

// Update changes a user. A new password ends the user's sessions, all but the
// one with the key keep, where the user itself has set it.
//
// Errors: ErrNotFound, ErrFullName, ErrPassword, ErrBusy.
func (m *Manager) Update(ctx context.Context, by event.Actor, name principal.Name, u Update, keep string) error {
	const what = "update user"
	if u.FullName != nil && !validFullName(*u.FullName) {
		return fmt.Errorf("%s: %w", what, ErrFullName)
	}
	var h hash
	if u.Password != nil {
		if err := m.mirror.Sync(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		// Before the work of hashing, which an unknown name need not cost.
		if r, d := m.table.get(name); r == nil && d == nil {
			return fmt.Errorf("%s: %w", what, ErrNotFound)
		}
		var err error
		if h, err = m.hash(ctx, u.Password); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return m.change(ctx, what, by, name, func(r *row) (step, error) {
		var s step
		if u.FullName != nil {
			r.FullName = *u.FullName
			s.events = append(s.events, "updated")
		}
		if u.Password != nil {
			r.Hash, r.PasswordChanged = h.String(), m.now().UTC()
			s.events = append(s.events, "password")
			s.end, s.keep = true, keep
		}
		return s, nil
	})
}

// Disable keeps a user from logging in and ends its sessions. To disable it
// again is no error.
//
// Errors: ErrNotFound, and what Authority refuses with.
func (m *Manager) Disable(ctx context.Context, by event.Actor, name principal.Name) error {
	return m.change(ctx, "disable user", by, name, func(r *row) (step, error) {
		changes, err := m.authority.Retire(ctx, by, name, false)
		if err != nil {
			return step{}, err
		}
		r.Disabled = true
		return step{changes: changes, events: []string{"updated"}, end: true}, nil
	})
}

// Enable lets a user log in again.
//
// Errors: ErrNotFound.
func (m *Manager) Enable(ctx context.Context, by event.Actor, name principal.Name) error {
	return m.change(ctx, "enable user", by, name, func(r *row) (step, error) {
		r.Disabled = false
		return step{events: []string{"updated"}}, nil
	})
}

// Remove removes a user, its permission and its sessions. It also removes one
// whose record can't be read.
//
// Errors: ErrNotFound, and what Authority refuses with.
func (m *Manager) Remove(ctx context.Context, by event.Actor, name principal.Name) error {
	return m.change(ctx, "remove user", by, name, func(*row) (step, error) {
		changes, err := m.authority.Retire(ctx, by, name, true)
		return step{changes: changes, events: []string{"removed"}, end: true, remove: true}, err
	})
}

// Spares returns the condition that the session with the key, of the user or of
// one that acts as it, need not end for what became of the user. ok is false if
// it must, and is not ended yet.
func (m *Manager) Spares(who principal.Name, key string) (condition store.Change, ok bool) {
	return m.evictor.Spares(who, key)
}

// Resume ends the sessions that a crash or a failure has kept from being ended.
// Call it at the start and from time to time.
func (m *Manager) Resume(ctx context.Context) error { return m.evictor.Resume(ctx) }

// Bootstrap makes administrator@domain with the role Admin, once in the life of
// a store, and reports whether it did. Where there once was a first
// administrator it does nothing, whatever has become of that one.
func (m *Manager) Bootstrap(ctx context.Context, password []byte) (bool, error) {
	const what = "make first administrator"
	name := principal.Name{Domain: m.table.domain, User: "Administrator"}
	var r *row
	var err error
	for range attempts {
		var changes []store.Change
		if changes, err = m.authority.Found(ctx, event.Actor{}, name); err != nil || len(changes) == 0 {
			return false, err
		}
		if r == nil { // hashed only where it is needed, and once
			if r, err = m.fresh(ctx, name, password, "Administrator"); err != nil {
				break
			}
		}
		var turn, create store.Change
		if turn, err = m.roster.Admit(ctx, r.User); err == nil {
			create, err = m.create(r)
		}
		if err == nil {
			_, err = m.mirror.Commit(ctx, append(changes, turn, create, m.event("created", event.Actor{}, r))...)
		}
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, roster.ErrTaken) {
			break
		}
		// Another server was faster. Found knows next time.
	}
	return false, fmt.Errorf("%s: %w", what, err)
}

// step is what a change does besides what it wrote into the record.
type step struct {
	changes []store.Change
	events  []string // the ends of vigate.account.*
	remove  bool
	end     bool // end the user's sessions, all but keep
	keep    string
}

// attempts is how often a change is tried anew when another one was faster.
const attempts = 20

// change has edit change a copy of the user's record and commits it. edit may be
// called several times; it gets an empty record to remove where the real one
// can't be read.
func (m *Manager) change(ctx context.Context, what string, by event.Actor, name principal.Name,
	edit func(*row) (step, error)) error {
	var err error
	for done, n := false, 0; !done && n < attempts; n++ {
		done, err = m.try(ctx, by, name, edit)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// try reports whether it is of no use to try again.
func (m *Manager) try(ctx context.Context, by event.Actor, name principal.Name,
	edit func(*row) (step, error)) (bool, error) {
	if err := m.mirror.Sync(ctx); err != nil {
		return true, err
	}
	old, broken := m.table.get(name)
	var r row
	switch {
	case broken != nil:
		r = row{id: broken.id, Domain: name.Domain, User: name.User, revision: broken.revision}
	case old == nil:
		return true, ErrNotFound
	default:
		r = *old
	}
	s, err := edit(&r)
	if err != nil || len(s.events) == 0 {
		return true, err
	}
	if broken != nil && !s.remove {
		return true, broken.err
	}
	changes, err := m.changes(&r, s, by)
	if err != nil {
		return true, err
	}
	rev, err := m.mirror.Commit(ctx, changes...)
	if _, stands := errors.AsType[*store.CommittedError](err); err != nil && !stands {
		return !errors.Is(err, store.ErrConflict), err
	}
	if s.end {
		// Also where ctx has ended: the change is made.
		err = errors.Join(err, m.evictor.Settle(ctx, r.name(), s.keep, rev))
	}
	return true, err
}

func (m *Manager) changes(r *row, s step, by event.Actor) ([]store.Change, error) {
	own := store.DeleteAt(store.Account, r.id, r.revision)
	if !s.remove {
		b, err := r.encode()
		if err != nil {
			return nil, err
		}
		own = store.Update(store.Account, r.id, r.revision, b, time.Time{})
	}
	changes := append(s.changes, own)
	if s.end {
		changes = append(changes, m.evictor.Note(r.name(), s.keep))
	}
	for _, id := range s.events {
		changes = append(changes, m.event(id, by, r))
	}
	return changes, nil
}

func (m *Manager) event(id string, by event.Actor, r *row) store.Change {
	e := event.Event{Type: "EventEx", ID: "vigate.account." + id, User: by.User, Origin: by.Origin,
		Subject: r.name().String()}
	if r.Disabled {
		e.Args = map[string]string{"disabled": "true"}
	}
	return m.events.Change(e)
}
