package extension

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/vigate/vigate/internal/event"
	"github.com/vigate/vigate/internal/eviction"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/roster"
	"github.com/vigate/vigate/internal/store"
)

var (
	// ErrNotFound is returned if no extension has the key.
	ErrNotFound = errors.New("no such extension")
	// ErrTooMany is returned if there would be too many extensions, or their data or privileges
	// would be too large together.
	ErrTooMany = errors.New("the maximum number or total size of extensions is reached")
	// ErrExists is returned if an extension or a user has the same name or one that looks like it.
	ErrExists = errors.New("extension exists already")
)

// Authority removes the permission of an extension that is unregistered.
type Authority interface {
	// Retire returns the changes that the commit which removes a principal must include. It is
	// called again for each attempt to commit.
	Retire(ctx context.Context, by event.Actor, who principal.Name, forget bool) ([]store.Change, error)
}

// Options of a Manager. Mirror, Table, Roster, Events, Authority and End are needed.
type Options struct {
	Mirror    *store.Mirror // feeds Table and the state that Authority reads
	Table     *Table
	Roster    *roster.Roster
	Events    *event.Log
	Authority Authority
	// End ends the sessions of an extension that is unregistered or whose login credentials have
	// changed.
	End    eviction.Ender
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// Manager changes extensions. A change is durable when the call returns. The parameter by is the
// acting principal, for the event. Besides the errors that a method names, it returns errors of the
// store, and a *store.DamagedError for an extension whose record can't be read.
type Manager struct {
	table     *Table
	mirror    *store.Mirror
	events    *event.Log
	authority Authority
	roster    *roster.Roster
	evictor   *eviction.Evictor
	now       func() time.Time
}

// NewManager returns a manager.
func NewManager(o Options) *Manager {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Manager{
		table: o.Table, mirror: o.Mirror, events: o.Events, authority: o.Authority, roster: o.Roster, now: o.Now,
		evictor: &eviction.Evictor{Kind: store.Extension, Mirror: o.Mirror, Duties: &o.Table.duties, End: o.End,
			Logger: o.Logger},
	}
}

// Register registers an extension.
//
// Errors: ErrExists, ErrTooMany, ErrKey, ErrSubjectName, ErrPrivilege, ErrData, ErrText.
func (m *Manager) Register(ctx context.Context, by event.Actor, reg Registration) error {
	const what = "register extension"
	if err := principal.CheckNew(reg.Key, maxKey); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrKey, err)
	}
	if err := reg.checkNew(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	r := &row{id: id(reg.Key), Key: reg.Key, Registered: m.now().UTC()}
	m.fill(r, reg)
	b, err := r.encode()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = m.roster.Enter(ctx, r.Key, func(turn store.Change) error {
		if _, d := m.table.get(r.Key); d != nil {
			return d.Err
		}
		if err := m.table.room(nil, r); err != nil {
			return err
		}
		create := store.Create(store.Extension, r.id, b, time.Time{})
		_, err := m.mirror.Commit(ctx, turn, create, m.event("registered", by, r))
		return err
	})
	if errors.Is(err, roster.ErrTaken) {
		err = ErrExists
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// fill writes a registration into the record. The key stays as it was registered first.
func (m *Manager) fill(r *row, reg Registration) {
	r.SubjectName, r.Updated = reg.SubjectName, m.now().UTC()
	r.Privileges, r.Data = slices.Clone(reg.Privileges), bytes.Clone(reg.Data)
}

// Update replaces the extension's registration. Its certificate and public key don't change. A
// different subject name ends the extension's sessions, except the one with the key keep.
//
// Errors: ErrNotFound, ErrTooMany, ErrKey, ErrSubjectName, ErrPrivilege, ErrData, ErrText.
func (m *Manager) Update(ctx context.Context, by event.Actor, reg Registration, keep string) error {
	if err := reg.checkNew(); err != nil {
		return fmt.Errorf("update extension: %w", err)
	}
	return m.change(ctx, "update extension", "updated", by, reg.Key, keep, func(r *row) { m.fill(r, reg) })
}

// SetCertificate sets the certificate, in PEM or DER, with which the extension logs in. A different
// certificate ends the extension's sessions, except the one with the key keep.
//
// Errors: ErrNotFound, ErrBadCertificate.
func (m *Manager) SetCertificate(
	ctx context.Context, by event.Actor, key string, certificate []byte, keep string,
) error {
	c, err := parseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("set extension's certificate: %w", err)
	}
	return m.change(ctx, "set extension's certificate", "certificate", by, key, keep, func(r *row) {
		r.Certificate = bytes.Clone(c.Raw)
	})
}

// SetPublicKey sets the extension's public key, in PEM.
//
// Errors: ErrNotFound, ErrBadPublicKey.
func (m *Manager) SetPublicKey(ctx context.Context, by event.Actor, key, publicKey string) error {
	if err := checkPublicKey(publicKey); err != nil {
		return fmt.Errorf("set extension's public key: %w", err)
	}
	return m.change(ctx, "set extension's public key", "publickey", by, key, "",
		func(r *row) { r.PublicKey = publicKey })
}

// attempts is how often a change is tried again after a conflict.
const attempts = 20

// change calls edit with a copy of the extension's record and commits the result. If the
// extension's login credentials change, its sessions end, except the one with the key keep. edit
// may be called several times.
func (m *Manager) change(
	ctx context.Context, what, eventID string, by event.Actor, key, keep string, edit func(*row),
) error {
	return m.again(what, func() (bool, error) { return m.try(ctx, eventID, by, key, keep, edit) })
}

// again calls try until it is done or has failed with too many conflicts.
func (m *Manager) again(what string, try func() (done bool, err error)) error {
	var err error
	for done, n := false, 0; !done && n < attempts; n++ {
		done, err = try()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (m *Manager) try(
	ctx context.Context, eventID string, by event.Actor, key, keep string, edit func(*row),
) (bool, error) {
	turn, err := m.roster.Turn(ctx)
	if err != nil {
		return true, err
	}
	old, broken := m.table.get(key)
	switch {
	case broken != nil:
		return true, broken.Err
	case old == nil:
		return true, ErrNotFound
	}
	r := *old
	edit(&r)
	b, err := r.encode()
	if err != nil {
		return true, err
	}
	changes := []store.Change{
		store.Update(store.Extension, old.id, old.revision, b, time.Time{}), m.event(eventID, by, &r),
	}
	if r.size > old.size || len(r.Privileges) > len(old.Privileges) {
		if err := m.table.room(old, &r); err != nil {
			return true, err
		}
		changes = append(changes, turn)
	}
	if bytes.Equal(r.Certificate, old.Certificate) && r.SubjectName == old.SubjectName {
		_, err := m.mirror.Commit(ctx, changes...)
		return !errors.Is(err, store.ErrConflict), err
	}
	return m.commitAndEnd(ctx, r.extension().Principal(), keep, changes)
}

// commitAndEnd commits the changes together with the instruction to end the extension's sessions,
// and then ends them. It reports whether the change is finished, so that another attempt is
// pointless.
func (m *Manager) commitAndEnd(
	ctx context.Context, who principal.Name, keep string, changes []store.Change,
) (bool, error) {
	rev, err := m.mirror.Commit(ctx, append(changes, m.evictor.Note(who, keep))...)
	if _, stands := errors.AsType[*store.CommittedError](err); err != nil && !stands {
		return !errors.Is(err, store.ErrConflict), err
	}
	// Do this even if ctx has ended, because the change is committed.
	return true, errors.Join(err, m.evictor.Settle(ctx, who, keep, rev))
}

// Unregister removes the extension, its permission and its sessions. An extension that is
// registered later with the same key inherits nothing. It also removes an extension whose record
// can't be read.
//
// Errors: ErrNotFound.
func (m *Manager) Unregister(ctx context.Context, by event.Actor, key string) error {
	return m.again("unregister extension", func() (bool, error) { return m.tryUnregister(ctx, by, key) })
}

// tryUnregister makes one attempt. It reports whether the change is finished, so that another
// attempt is pointless.
func (m *Manager) tryUnregister(ctx context.Context, by event.Actor, key string) (bool, error) {
	if err := m.mirror.Sync(ctx); err != nil {
		return true, err
	}
	old, broken := m.table.get(key)
	switch {
	case broken != nil:
		old = &row{id: broken.ID, Key: key, revision: broken.Revision}
	case old == nil:
		return true, ErrNotFound
	}
	who := old.extension().Principal()
	changes, err := m.authority.Retire(ctx, by, who, true)
	if err != nil {
		return true, err
	}
	changes = append(changes, store.DeleteAt(store.Extension, old.id, old.revision), m.event("unregistered", by, old))
	return m.commitAndEnd(ctx, who, "", changes)
}

// Spares returns the condition that changes of the extension don't require the session with the key
// to end. The session is the extension's or acts as the extension. ok is false if the session must
// end but has not ended yet.
func (m *Manager) Spares(who principal.Name, key string) (condition store.Change, ok bool) {
	return m.evictor.Spares(who, key)
}

// Resume ends the sessions that should have been ended before a crash or a failure. Call it at the
// start and periodically.
func (m *Manager) Resume(ctx context.Context) error { return m.evictor.Resume(ctx) }

// encode encodes the record and sets its size. It returns ErrData if the record would be too large.
func (r *row) encode() ([]byte, error) {
	b, err := record.Encode(formatVersion, r, r.extra)
	if errors.Is(err, record.ErrSize) || len(b) > maxRecord && len(b) > r.size {
		return nil, ErrData
	}
	r.size = len(b)
	return b, err
}

func (m *Manager) event(eventID string, by event.Actor, r *row) store.Change {
	e := event.Event{Type: "EventEx", ID: "vigate.extension." + eventID, User: by.User, Origin: by.Origin,
		Subject: r.Key}
	if eventID == "certificate" {
		sum := sha256.Sum256(r.Certificate)
		e.Args = map[string]string{"sha256": hex.EncodeToString(sum[:])}
	}
	return m.events.Change(e)
}
