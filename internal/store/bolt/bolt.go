// Package bolt is the embedded store: one file for one process, on bbolt. It is for a single
// server; package etcd is the store that several servers share. [Open] returns a [Store], which
// implements store.Store.
//
// One goroutine writes. It puts all waiting writes into one transaction, and so into one fsync. A
// write is acknowledged after that, and delivered to the watchers in the same order.
//
// Pages and records have checksums or are checked against the format, see pages.go and layout.go.
// Damage is reported with its place. A damaged record is never treated as absent.
package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/vigate/vigate/internal/store"
)

// ErrLocked: another process, or another Store of this process, has the file open.
var ErrLocked = errors.New("store is in use by another process")

// Options are the options of Open. The zero value is valid.
type Options struct {
	Now    func() time.Time // the clock by which records expire; nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
	// Observe, if set, is called after each transaction, with the number of writes in it, the time
	// until it was durable, and its error. It must return quickly.
	Observe func(writes int, took time.Duration, err error)
	// ReadOnly opens an existing file, even a sealed one, for reading. It fails with ErrLocked
	// while the file is open for writing elsewhere. Writes fail with store.ErrUnavailable.
	ReadOnly bool

	noSync bool // for tests that don't depend on the disk
	lag    int  // how many bytes a watcher may be behind; 0: maxLag
}

// Store is an open file. It implements store.Store, and is safe for concurrent use.
type Store struct {
	db      *bolt.DB
	path    string
	now     func() time.Time
	logger  *slog.Logger
	observe func(writes int, took time.Duration, err error) // Options.Observe or a function that does nothing
	writer  writer
	hub     hub

	closing atomic.Bool
	close   sync.Once
	stopped chan struct{} // closed when the writing goroutine has ended
}

// Open opens the file. If it does not exist, Open creates it with mode 0600. Errors: ErrLocked,
// ErrSealed, *store.DamagedError, and an error that says so if a newer version has written the
// file.
func Open(path string, opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Observe == nil {
		opts.Observe = func(int, time.Duration, error) {}
	}
	if opts.lag == 0 {
		opts.lag = maxLag
	}
	db, rev, err := openFile(path, opts.ReadOnly, opts.noSync)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s := &Store{
		db: db, path: path, now: opts.Now, logger: opts.Logger, observe: opts.Observe, stopped: make(chan struct{}),
	}
	s.writer.init()
	s.hub.init(rev, opts.lag)
	go s.write()
	return s, nil
}

// Close waits for the writes that have begun, and ends the watches. Calling it again does nothing.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		s.closing.Store(true)
		s.writer.close()
		<-s.stopped
		s.hub.close()
		if err = s.db.Close(); err != nil {
			err = fmt.Errorf("close store %s: %w", s.path, err)
		}
	})
	return err
}

// ready returns an error if a call can't begin.
func (s *Store) ready(ctx context.Context) error {
	if s.closing.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, k store.Kind, id string) (r store.Record, err error) {
	if err := s.ready(ctx); err != nil {
		return r, err
	}
	if store.ValidID(id) {
		now := s.now()
		err = s.view(func(tx *bolt.Tx) error {
			var found bool
			if r, found, err = read(tx, k, []byte(id)); err != nil || found && !r.Expired(now) {
				r.Value = bytes.Clone(r.Value)
				return err
			}
			return store.ErrNotFound
		})
	} else {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Record{}, fmt.Errorf("get record of kind %d: %w", k, err)
	}
	r.ID = id
	return r, nil
}

// Newest implements store.Store.
func (s *Store) Newest(ctx context.Context) (store.Revision, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	return s.hub.revision(), nil
}

// read finds a record, expired or not. Its Value is valid until the transaction ends.
func read(tx *bolt.Tx, k store.Kind, id []byte) (store.Record, bool, error) {
	b := tx.Bucket(recordBucket(k))
	if b == nil {
		return store.Record{}, false, nil
	}
	v := b.Get(id)
	if v == nil {
		return store.Record{}, false, nil
	}
	r, err := decode(k, id, v)
	if err != nil {
		return store.Record{}, false, damaged(tx.DB().Path(), k, id, err)
	}
	return r, true, nil
}

// view runs a read transaction.
func (s *Store) view(fn func(*bolt.Tx) error) error {
	return guard(s.path, func() error {
		tx, err := s.db.Begin(false)
		if err != nil {
			return beginError(err)
		}
		defer tx.Rollback() // only ends the read transaction
		return fn(tx)
	})
}

func beginError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// guard runs fn and returns an error for the ways in which bbolt fails on damaged pages: it panics,
// or reads outside its map.
func guard(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &store.DamagedError{Where: path, Cause: fmt.Errorf("pages can't be read: %v", p)}
		}
	}()
	return fn()
}
