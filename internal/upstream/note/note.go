// Package note keeps in the store what must outlive a server that uses an upstream: the keys of its
// sessions there, and the logins there that failed.
//
// A server that is killed leaves sessions at the upstream. The keys in the store tell the next start,
// or another server of the cluster, which ones to end. The failed logins bound how often all servers
// together, restarts included, try to log in as one user, so that they never lock the user out.
//
// A key is not what authenticates a session: that is the cookie, which is not stored. At a vCenter or
// ESXi host a reader of the store can end the sessions of the keys, if it has a session there of its
// own with the privilege to do so, and can recognise them in events. At govmomi's simulator the key
// is the cookie as well, so there a reader of the store can use the sessions. No password, and nothing
// made from one, is stored.
package note

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/record"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

const (
	formatVersion = 1

	// keys and logins are the prefixes of the ids of the two sorts of records.
	keys   = "key/"
	logins = "login/"
)

// Options are the surroundings of a Book. The zero value is that of a server alone on its store.
type Options struct {
	Node string // the key of this process in the cluster; empty: a new one
	// Alive reports whether the process with the key is running. It is nil for a server that shares its
	// store with no other: then no other process is running.
	Alive func(node string) bool
	// MaxRefused is how many logins of a user may fail within Window; 0: the constant of that name.
	MaxRefused int
	Now        func() time.Time // nil: time.Now
	Logger     *slog.Logger     // nil: slog.Default
}

// Book is the view of the notes, and writes them. Without a mirror it keeps them in memory only. It is
// safe for concurrent use after Attach.
type Book struct {
	opts   Options
	mirror *store.Mirror // nil: notes are kept in memory

	mu    sync.Mutex // guards the fields below
	notes map[string]Key
	users map[string]entry
	turns map[string]chan struct{} // by user; full while somebody logs in

	staged *Book // the state that is being loaded; only the mirror's goroutine uses it
}

// Key is the note of a session at an upstream.
type Key struct {
	ID       string
	Upstream string // its name in the configuration
	Account  string // of the session: the name of a user there
	Node     string // the process that logged in
	Key      secret.Text
	Since    time.Time
	// REST is set for a session of the Automation API, which can't be ended by its key.
	REST bool
	// Expires is when the note vanishes.
	Expires time.Time

	revision store.Revision
}

// row is the record of a Key.
type row struct {
	Upstream string    `json:"upstream"`
	Account  string    `json:"account"`
	Node     string    `json:"node"`
	Key      string    `json:"key"`
	Since    time.Time `json:"since"`
	REST     bool      `json:"rest,omitempty"`
}

// New returns a book that knows nothing yet.
func New(o Options) *Book {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Node == "" {
		o.Node = rand.Text()
	}
	if o.MaxRefused == 0 {
		o.MaxRefused = MaxRefused
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return &Book{opts: o, notes: map[string]Key{}, users: map[string]entry{}, turns: map[string]chan struct{}{}}
}

// Attach sets the mirror through which notes are written. Call it before the first login.
func (b *Book) Attach(m *store.Mirror) { b.mirror = m }

// View returns the view of the notes, for the mirror.
func (b *Book) View() store.View {
	return store.NewView([]store.Kind{store.Upstream}, b.reset, b.put, b.remove, b.whole)
}

func (b *Book) reset() {
	b.staged = &Book{opts: b.opts, notes: map[string]Key{}, users: map[string]entry{}}
}

func (b *Book) whole() {
	if b.staged == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes, b.users, b.staged = b.staged.notes, b.staged.users, nil
}

// put implements the view's Put. A record that can't be read is left out.
func (b *Book) put(r store.Record) {
	to := b
	if b.staged != nil {
		to = b.staged
	}
	if err := to.read(r); err != nil {
		b.opts.Logger.Warn("a note of an upstream can't be read", "record", r.ID, "err", err)
		b.remove(r.Kind, r.ID)
	}
}

func (b *Book) read(r store.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(r.ID, logins) {
		var d tries
		if _, err := record.Decode(r.Value, formatVersion, &d); err != nil {
			return err
		}
		b.users[r.ID] = entry{d, r.Revision, r.Expires}
		return nil
	}
	var d row
	if _, err := record.Decode(r.Value, formatVersion, &d); err != nil {
		return err
	}
	b.notes[r.ID] = Key{
		ID: r.ID, Upstream: d.Upstream, Account: d.Account, Node: d.Node, Key: secret.New(d.Key), Since: d.Since,
		REST: d.REST, Expires: r.Expires, revision: r.Revision,
	}
	return nil
}

func (b *Book) remove(_ store.Kind, id string) {
	to := b
	if b.staged != nil {
		to = b.staged
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	delete(to.notes, id)
	delete(to.users, id)
}

// commit writes the changes. Without a mirror it only changes the memory.
func (b *Book) commit(ctx context.Context, changes ...store.Change) error {
	if b.mirror != nil {
		_, err := b.mirror.Commit(store.WithoutGuard(ctx), changes...)
		var committed *store.CommittedError
		if errors.As(err, &committed) {
			return nil
		}
		return err
	}
	for _, c := range changes {
		if c.Op == store.OpDelete {
			b.remove(c.Record.Kind, c.Record.ID)
		} else if err := b.read(c.Record); err != nil {
			return err
		}
	}
	return nil
}

// note returns the change that writes a key, and gives it an id.
func (b *Book) note(k *Key, expires time.Time) (store.Change, error) {
	k.ID, k.Node, k.Expires = keys+rand.Text(), b.opts.Node, expires
	value, err := record.Encode(formatVersion, &row{
		Upstream: k.Upstream, Account: k.Account, Node: k.Node, Key: k.Key.Reveal(), Since: k.Since, REST: k.REST,
	}, nil)
	return store.Put(store.Upstream, k.ID, value, expires), err
}

// Prolong keeps the note of a session of this process longer. It is no error if there is no such note.
func (b *Book) Prolong(ctx context.Context, id string, expires time.Time) error {
	b.mu.Lock()
	k, ok := b.notes[id]
	b.mu.Unlock()
	if !ok {
		return nil
	}
	if _, err := b.Claim(ctx, k, expires); err != nil {
		return fmt.Errorf("prolong: %w", err)
	}
	return nil
}

// Forget removes the note of a session that has ended.
func (b *Book) Forget(ctx context.Context, id string) error {
	if err := b.commit(ctx, store.Clear(store.Upstream, id)); err != nil {
		return fmt.Errorf("remove note of session: %w", err)
	}
	return nil
}

// Orphans returns the notes of processes that are not running, for one upstream.
func (b *Book) Orphans(upstream string) []Key {
	var all []Key
	for _, k := range b.of(upstream) {
		if k.Node != b.opts.Node && (b.opts.Alive == nil || !b.opts.Alive(k.Node)) {
			all = append(all, k)
		}
	}
	return all
}

// Count returns the number of sessions that all processes have noted, for one upstream.
func (b *Book) Count(upstream string) int { return len(b.of(upstream)) }

func (b *Book) of(upstream string) []Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Collect(maps.Values(b.notes))
	all = slices.DeleteFunc(all, func(k Key) bool { return k.Upstream != upstream })
	slices.SortFunc(all, func(x, y Key) int { return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID)) })
	return all
}

// Claim makes an orphan a note of this process, until it expires. It returns false if another process
// was faster, or the note is gone.
func (b *Book) Claim(ctx context.Context, k Key, expires time.Time) (bool, error) {
	value, err := record.Encode(formatVersion, &row{
		Upstream: k.Upstream, Account: k.Account, Node: b.opts.Node, Key: k.Key.Reveal(), Since: k.Since, REST: k.REST,
	}, nil)
	if err == nil {
		err = b.commit(ctx, store.Update(store.Upstream, k.ID, k.revision, value, expires))
	}
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim note of session: %w", err)
	}
	return true, nil
}

// userID returns the id of the record of a user's logins. A name can be longer than an id.
func userID(upstream, user string) string {
	sum := sha256.Sum256([]byte(upstream + "\x00" + strings.ToLower(user)))
	return logins + hex.EncodeToString(sum[:])
}
