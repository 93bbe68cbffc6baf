// Package bolt is the embedded store: one file, one process, on bbolt.
//
// All writes pass one goroutine, which puts whatever has been asked meanwhile
// into one transaction and so one fsync. A write is acknowledged after that,
// and handed to the watchers in the same order.
//
// Pages and records are checked, see pages.go and layout.go: what is damaged is
// reported with its place, and is never taken for absent.
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

// ErrLocked: another process, or another Store of this one, has the file open.
var ErrLocked = errors.New("store is in use by another process")

// Options may be left zero.
type Options struct {
	Now    func() time.Time // the clock that records expire by; nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
	// Observe, if set, hears of each transaction: how many writes it held, how
	// long it took until it was durable, and its failure. It must be quick.
	Observe func(writes int, took time.Duration, err error)
	// ReadOnly opens a file that is there, a sealed one included, for as long as
	// nobody has it open to write. Writes fail with store.ErrUnavailable.
	ReadOnly bool

	noSync bool // for tests of what does not depend on a disk
	lag    int  // bytes that a watcher may be behind; 0: maxLag
}

// Store is an open file. It is a store.Store.
type Store struct {
	db      *bolt.DB
	path    string
	now     func() time.Time
	log     *slog.Logger
	observe func(writes int, took time.Duration, err error) // Options.Observe, or nothing
	writer  writer
	hub     hub

	closing atomic.Bool
	close   sync.Once
	stopped chan struct{} // closed when the writer has ended
}

// Open opens the file, or makes it, mode 0600, if there is none. Errors:
// ErrLocked, ErrSealed, *store.DamagedError, and one that says so where a newer
// program has written the file.
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
	s := &Store{db: db, path: path, now: opts.Now, log: opts.Logger, observe: opts.Observe, stopped: make(chan struct{})}
	s.writer.init()
	s.hub.init(rev, opts.lag)
	go s.write()
	return s, nil
}

// Close waits for the writes that were begun and ends the watches.
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

// ready returns why a call can't begin.
func (s *Store) ready(ctx context.Context) error {
	if s.closing.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Get is the contract's.
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

// Newest is the contract's.
func (s *Store) Newest(ctx context.Context) (store.Revision, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	return s.hub.revision(), nil
}

// read finds a record whether or not it has expired. Its Value lives as long as
// the transaction.
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
		defer tx.Rollback() // of a read transaction: it only ends it
		return fn(tx)
	})
}

func beginError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// guard makes an error of what bbolt does when it meets damaged pages: it
// panics, or reads outside of its map.
func guard(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &store.DamagedError{Where: path, Cause: fmt.Errorf("pages can't be read: %v", p)}
		}
	}()
	return fn()
}
