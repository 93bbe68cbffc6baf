// Package transfer copies one store into another, of whatever make: every record
// as it is, expired ones and their ids and expiries included. Appended records
// keep their numbers instead of their ids: in the copy their ids state them. It
// says afterwards whether both hold the same.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vigate/vigate/internal/store"
)

// A commit of the copy is bounded in records, to what etcd takes in one
// transaction, and in bytes.
const (
	maxRecords = 500
	maxBytes   = 512 << 10
	overhead   = 128 // bytes of a record beside id and value, roughly
)

var (
	// ErrChanged: somebody wrote to the source during the copy.
	ErrChanged = errors.New("the source was changed during the copy")
	// ErrDiffers: the target does not hold what the source does.
	ErrDiffers = errors.New("the copy differs from the source")
)

// volatile are the kinds that a copy leaves out: what is true of the processes
// that run on the source only.
var volatile = map[store.Kind]bool{store.Node: true}

// Options may be left zero.
type Options struct {
	// Progress, if set, hears now and then how many records were copied, and how
	// many were read back.
	Progress func(copied, verified int)
	// Changing takes a source that others write to: the copy is the source as it
	// was at one instant, and what they wrote later is not in it.
	Changing bool
	// Without leaves all records of these kinds out. What is appended to the copy
	// has numbers above those of records that are left out.
	Without []store.Kind
}

// Report is what a copy holds.
type Report struct {
	Records map[store.Kind]int // expired ones included
	// Digest is a SHA-256 over all records' kinds, ids, values and expiries. Of
	// appended records the numbers count, not the ids.
	Digest string
	// LeftOut is how many records of each kind of Options.Without there were.
	LeftOut map[store.Kind]int
	// Changed: the source was written to meanwhile, see Options.Changing.
	Changed bool
}

// Copy copies all of from into to, which must be empty, and reads to back. After
// an error to holds a part of it, and must not be used. Appended records are held
// in memory until all others are copied.
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

// copying is a copy under way.
type copying struct {
	to       store.Store
	without  []store.Kind
	left     map[store.Kind]int // of those, that were seen
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
		return fmt.Errorf("write %d records of kind %d to %d: %w", len(c.changes), c.changes[0].Record.Kind, c.changes[len(c.changes)-1].Record.Kind, err)
	}
	c.done += len(c.changes)
	c.changes, c.bytes = c.changes[:0], 0
	c.progress(c.done, 0)
	return nil
}

// verify reads all of the copy.
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

// state calls each for every record of the store as of one revision, which it
// returns, those of volatile kinds left out. Appended records come last, in their
// order, under ids that state their numbers. The Numbering of kinds that are left
// out says that they were removed.
func state(ctx context.Context, s store.Store, without []store.Kind, each func(context.Context, store.Record) error) (store.Revision, error) {
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
