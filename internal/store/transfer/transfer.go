// Package transfer copies a store into another one, and verifies the copy. It works for any two
// implementations of store.Store: see [Copy].
//
// Every record is copied unchanged, with its id and expiry, expired records included. Appended
// records keep their numbers but not their ids: the ids of the copy state the numbers. Records that
// only describe running processes are left out.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vigate/vigate/internal/store"
)

// These bound a commit of the copy: in records, as etcd accepts only so many in one transaction,
// and in bytes.
const (
	maxRecords = 500
	maxBytes   = 512 << 10
	overhead   = 128 // approximate size of a record without its id and value
)

var (
	// ErrChanged: another process wrote to the source during the copy.
	ErrChanged = errors.New("the source was changed during the copy")
	// ErrDiffers: the target does not hold the same records as the source.
	ErrDiffers = errors.New("the copy differs from the source")
)

// volatile has the kinds that are never copied, because they describe the processes that run on the
// source. A server on the copy would end the sessions at upstreams that these processes use.
var volatile = map[store.Kind]bool{store.Node: true, store.Upstream: true}

// Options are the options of Copy. The zero value is valid.
type Options struct {
	// Progress, if set, is called now and then with the number of records that were copied, and the
	// number that were read back.
	Progress func(copied, verified int)
	// Changing allows other processes to write to the source during the copy. The copy then holds
	// the source as it was at one instant; later writes are not in it.
	Changing bool
	// Without lists kinds that are left out. Records that are later appended to the copy get
	// numbers above those of the records that were left out.
	Without []store.Kind
}

// Report says what a copy holds.
type Report struct {
	Records map[store.Kind]int // expired ones included
	// Digest is a SHA-256 hash over the kinds, ids, values and expiries of all records. For
	// appended records it covers the numbers instead of the ids.
	Digest string
	// LeftOut is how many records of each kind in Options.Without the source had.
	LeftOut map[store.Kind]int
	// Changed: the source was changed during the copy, see Options.Changing.
	Changed bool
}

// Copy copies all of from into to, which must be empty, and then reads to back. If Copy returns an
// error, to may hold a part of the records and must not be used. Copy keeps the appended records in
// memory until all others are copied.
func Copy(ctx context.Context, from, to store.Store, opts Options) (Report, error) {
	if opts.Progress == nil {
		opts.Progress = func(int, int) {}
	}
	c := copying{to: to, without: opts.Without, left: map[store.Kind]int{}, tally: newTally(), progress: opts.Progress}
	at, err := state(ctx, from, opts.Without, c.add)
	if err == nil {
		err = c.flush(ctx)
	}
	if err != nil {
		return Report{}, fmt.Errorf("copy store: %w", err)
	}
	report := c.tally.report()
	report.LeftOut = c.left
	newest, err := from.Newest(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("copy store: %w", err)
	}
	if report.Changed = newest > at; report.Changed && !opts.Changing {
		return Report{}, fmt.Errorf("copy store: %w: stop all servers that use it", ErrChanged)
	}
	if err := verify(ctx, to, report, opts); err != nil {
		return Report{}, fmt.Errorf("verify copy: %w", err)
	}
	return report, nil
}

// copying is the state of a running copy.
type copying struct {
	to       store.Store
	without  []store.Kind
	left     map[store.Kind]int // how many records of those kinds the source had
	tally    *tally
	progress func(copied, verified int)
	changes  []store.Change
	bytes    int
	done     int
}

func (c *copying) add(ctx context.Context, r store.Record) error {
	if slices.Contains(c.without, r.Kind) {
		c.left[r.Kind]++
		return nil
	}
	size := overhead + len(r.ID) + len(r.Value)
	if len(c.changes) == maxRecords || len(c.changes) > 0 && c.bytes+size > maxBytes {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	c.tally.add(r)
	c.changes = append(c.changes, store.Put(r.Kind, r.ID, r.Value, r.Expires))
	c.bytes += size
	return nil
}

func (c *copying) flush(ctx context.Context) error {
	if len(c.changes) == 0 {
		return nil
	}
	if _, err := c.to.Commit(ctx, c.changes...); err != nil {
		first, last := c.changes[0].Record.Kind, c.changes[len(c.changes)-1].Record.Kind
		return fmt.Errorf("write %d records of kind %d to %d: %w", len(c.changes), first, last, err)
	}
	c.done += len(c.changes)
	c.changes, c.bytes = c.changes[:0], 0
	c.progress(c.done, 0)
	return nil
}

// verify reads the whole copy and compares it with the report.
func verify(ctx context.Context, to store.Store, want Report, opts Options) error {
	got := newTally()
	total, read := 0, 0
	for _, n := range want.Records {
		total += n
	}
	_, err := state(ctx, to, nil, func(_ context.Context, r store.Record) error {
		got.add(r)
		if read++; read%maxRecords == 0 {
			opts.Progress(total, read)
		}
		return nil
	})
	if err != nil {
		return err
	}
	opts.Progress(total, read)
	return got.report().same(want)
}

// visit is called for each record of a store.
type visit = func(context.Context, store.Record) error

// state calls each for every record of the store at one revision, which it returns. It skips the
// volatile kinds. Appended records come last, in their order, under ids that state their numbers.
// For a kind in without, the Numbering says that all its records were removed.
func state(ctx context.Context, s store.Store, without []store.Kind, each visit) (store.Revision, error) {
	var at store.Revision
	var a appended
	whole, begun := errors.New("whole"), false
	err := s.Watch(ctx, func(b store.Batch) error {
		if b.Reset && begun {
			return fmt.Errorf("%w: its history was compacted, try again", ErrChanged)
		}
		begun = true
		for _, d := range b.Deltas {
			if d.Deleted {
				return ErrChanged
			}
			if volatile[d.Record.Kind] || a.take(d.Record) {
				continue
			}
			if err := each(ctx, d.Record); err != nil {
				return err
			}
		}
		if at = b.Revision; b.Whole {
			return whole
		}
		return nil
	})
	if errors.Is(err, whole) {
		return at, a.each(ctx, without, each)
	}
	if err == nil {
		err = store.ErrClosed
	}
	return 0, err
}
