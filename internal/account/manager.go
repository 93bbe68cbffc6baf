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
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

var (
	// ErrNotFound is returned if there is no such local user.
	ErrNotFound = errors.New("no such local user")
	// ErrExists is returned if a user or an extension has the same name or one that looks like it.
	ErrExists = errors.New("user exists already")
	// ErrName is returned if a name is not valid for a local user or is not in this domain.
	ErrName = errors.New("not a local user's name")
	// ErrFullName is returned if a full name is too long or contains invisible characters.
	ErrFullName = errors.New("not a full name")
	// ErrPassword is returned if a new password is too short or too long.
	ErrPassword = fmt.Errorf("a password must have at least %d characters and at most %d bytes", MinPassword,
		MaxPassword)
	// ErrRejected is returned if there is no such user, the user is disabled, or the password is
	// wrong.
	ErrRejected = errors.New("user or password rejected")
	// ErrTooMany is returned if there are MaxUsers users.
	ErrTooMany = errors.New("the maximum number of users is reached")
	// ErrUnconfirmed is returned if this process would reject the login, but can't determine
	// whether its state is up to date.
	ErrUnconfirmed = errors.New("rejection not confirmed")
	// ErrBusy is returned if too many passwords are being hashed. The caller should try again
	// later.
	ErrBusy = errors.New("too many passwords to hash at once")
)

// Authority enforces the rule that at least one administrator remains.
type Authority interface {
	// Retire returns the changes for the commit that disables a user or, if forget is set, removes
	// it. It returns an error if the user is the last administrator. It is called again for each
	// attempt to commit.
	Retire(ctx context.Context, by event.Actor, who principal.Name, forget bool) ([]store.Change, error)
	// Found returns the changes for the commit that makes the first administrator, or none if there
	// ever was one.
	Found(ctx context.Context, by event.Actor, who principal.Name) ([]store.Change, error)
}

// Options of a Manager. Mirror, Table, Roster, Events, Authority and End are needed.
type Options struct {
	Mirror    *store.Mirror // feeds Table and the state that Authority reads
	Table     *Table
	Roster    *roster.Roster
	Events    *event.Log
	Authority Authority
	// End ends the sessions of a user that is disabled or removed, or whose password has changed.
	End eviction.Ender

	Cost Cost // zero: 19 MiB, 2 passes, 1 lane
	// minimum number of characters of a new password; 0: the constant MinPassword
	MinPassword int
	Cores       int              // hashes at once at most; 0: runtime.GOMAXPROCS
	Queue       int              // waiting hashes; 0: 32 for each core
	Patience    time.Duration    // how long a hash may wait; 0: 2 s
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: slog.Default
	// Requests, if set, returns the number of all requests since the start, including logins. While
	// there are many other requests, hashing is limited to a quarter of Cores. Requests must be
	// quick and safe for concurrent use.
	Requests func() uint64
}

// Manager verifies passwords and changes local users. A change is durable when the call returns.
// The parameter by is the acting principal, for the event. Besides the errors that a method names,
// it returns errors of the store, and a *store.DamagedError for a user whose record can't be read.
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
	// nobody is the hash that passwords of unknown users are compared with, so that they take as
	// long.
	nobody hash
}

// NewManager returns a manager. It returns an error if Cost is out of bounds.
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

// Create creates a user.
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

// fresh returns the record of a new user.
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

// create returns the change that creates the user, after the roster has admitted its name.
func (m *Manager) create(r *row) (store.Change, error) {
	if _, d := m.table.get(r.name()); d != nil {
		return store.Change{}, d.Err
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

// Update describes a change of a user.
type Update struct {
	Password secret.Text // empty: unchanged
	FullName *string     // nil: unchanged
}

// Update changes a user. A new password ends the user's sessions, except the one with the key keep,
// which is the session in which the user changed its own password.
//
// Errors: ErrNotFound, ErrFullName, ErrPassword, ErrBusy.
func (m *Manager) Update(ctx context.Context, by event.Actor, name principal.Name, u Update, keep string) error {
	const what = "update user"
	if u.FullName != nil && !validFullName(*u.FullName) {
		return fmt.Errorf("%s: %w", what, ErrFullName)
	}
	var h hash
	if !u.Password.IsZero() {
		if err := m.mirror.Sync(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		// Checked first, so that an unknown name does not cost a hash.
		if r, d := m.table.get(name); r == nil && d == nil {
			return fmt.Errorf("%s: %w", what, ErrNotFound)
		}
		var err error
		if h, err = m.hash(ctx, []byte(u.Password.Reveal())); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return m.change(ctx, what, by, name, func(r *row) (step, error) {
		var s step
		if u.FullName != nil {
			r.FullName = *u.FullName
			s.events = append(s.events, "updated")
		}
		if !u.Password.IsZero() {
			r.Hash, r.PasswordChanged = h.String(), m.now().UTC()
			s.events = append(s.events, "password")
			s.end, s.keep = true, keep
		}
		return s, nil
	})
}

// Disable prevents a user from logging in and ends its sessions. It is not an error if the user is
// disabled already.
//
// Errors: ErrNotFound, and those of Authority.
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

// Enable allows a disabled user to log in again.
//
// Errors: ErrNotFound.
func (m *Manager) Enable(ctx context.Context, by event.Actor, name principal.Name) error {
	return m.change(ctx, "enable user", by, name, func(r *row) (step, error) {
		r.Disabled = false
		return step{events: []string{"updated"}}, nil
	})
}

// Remove removes a user, its permission and its sessions. It also removes a user whose record can't
// be read.
//
// Errors: ErrNotFound, and those of Authority.
func (m *Manager) Remove(ctx context.Context, by event.Actor, name principal.Name) error {
	return m.change(ctx, "remove user", by, name, func(*row) (step, error) {
		changes, err := m.authority.Retire(ctx, by, name, true)
		return step{changes: changes, events: []string{"removed"}, end: true, remove: true}, err
	})
}

// Spares returns the condition that changes of the user don't require the session with the key to
// end. The session is the user's or acts as the user. ok is false if the session must end but has
// not ended yet.
func (m *Manager) Spares(who principal.Name, key string) (condition store.Change, ok bool) {
	return m.evictor.Spares(who, key)
}

// Resume ends the sessions that should have been ended before a crash or a failure. Call it at the
// start and periodically.
func (m *Manager) Resume(ctx context.Context) error { return m.evictor.Resume(ctx) }

// Bootstrap creates administrator@domain with the role Admin, and reports whether it did. It does
// so once in the life of a store: if there ever was a first administrator it does nothing, even if
// that user no longer exists.
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
		if r == nil { // hash only if needed, and only once
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
		// Another server was faster. Found will report that at the next attempt.
	}
	return false, fmt.Errorf("%s: %w", what, err)
}

// step is what a change does besides writing the record.
type step struct {
	changes []store.Change
	events  []string // the last parts of the event ids vigate.account.*
	remove  bool
	end     bool // end the user's sessions, except keep
	keep    string
}

// attempts is how often a change is tried again after a conflict.
const attempts = 20

// change calls edit with a copy of the user's record and commits the result. edit may be called
// several times. If the record can't be read and is to be removed, edit gets an empty record.
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

// try makes one attempt. It reports whether the change is finished, so that another attempt is
// pointless.
func (m *Manager) try(ctx context.Context, by event.Actor, name principal.Name,
	edit func(*row) (step, error)) (bool, error) {
	if err := m.mirror.Sync(ctx); err != nil {
		return true, err
	}
	old, broken := m.table.get(name)
	var r row
	switch {
	case broken != nil:
		r = row{id: broken.ID, Domain: name.Domain, User: name.User, revision: broken.Revision}
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
		return true, broken.Err
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
		// Do this even if ctx has ended, because the change is committed.
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
