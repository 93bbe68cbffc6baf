package metrics

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/store"
)

// sorts are the prefixes of the ids of ticket records, up to the slash.
var sorts = map[string]bool{"clone": true, "http": true, "local": true}

// outcomes are the outcomes of a write and their errors. The first match counts, and any other
// error counts as other.
var outcomes = []struct {
	name string
	err  error
}{
	{"conflict", store.ErrConflict},
	{"uncertain", store.ErrUncertain},
	{"unavailable", store.ErrUnavailable},
	{"unavailable", store.ErrClosed},
	{"canceled", context.Canceled},
	{"canceled", context.DeadlineExceeded},
}

const success = "success"

func (r *Recorder) openStore() {
	r.tickets = r.counter("tickets_total", "Tickets issued and used by this process, by kind of ticket.", "sort",
		"what")
	for s := range sorts {
		r.tickets.WithLabelValues(s, "issued")
		r.tickets.WithLabelValues(s, "used")
	}
	r.ended = r.counter("sessions_ended_total",
		"Sessions ended by this process, including expired ones.").WithLabelValues()
	r.writes = r.counter("store_writes_total", "Writes to the store, by kind of write and outcome.", "write", "outcome")
	r.writeSeconds = r.histogram("store_write_seconds", "Duration of writes until they were durable.", seconds, "write")
	for _, write := range []string{"commit", "touch", "sweep"} {
		r.writes.WithLabelValues(write, success)
		r.writeSeconds.WithLabelValues(write)
	}
	r.group = r.histogram("store_group_writes", "Number of writes that shared one transaction of the store and its "+
		"fsync.",
		[]float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}).WithLabelValues()
	r.groupSeconds = r.histogram("store_group_seconds", "Duration of transactions of the store, including fsync.",
		seconds).WithLabelValues()
	r.groupFailed = r.counter("store_groups_failed_total", "Transactions of the store that failed.").WithLabelValues()
}

// Group counts one transaction of a store that combines the writes of several callers.
func (r *Recorder) Group(writes int, took time.Duration, err error) {
	r.group.Observe(float64(writes))
	r.groupSeconds.Observe(took.Seconds())
	if err != nil {
		r.groupFailed.Inc()
	}
}

// Store returns a store that passes all calls to s and counts its writes.
func (r *Recorder) Store(s store.Store) store.Store { return &counted{s, r} }

// counted is a store that counts its writes.
type counted struct {
	store.Store
	r *Recorder
}

func (r *Recorder) wrote(what string, began time.Time, err error) {
	r.writeSeconds.WithLabelValues(what).Observe(time.Since(began).Seconds())
	r.writes.WithLabelValues(what, outcome(err)).Inc()
}

func outcome(err error) string {
	if err == nil {
		return success
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return other
}

// Commit implements store.Store.
func (c *counted) Commit(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	began := time.Now()
	rev, err := c.Store.Commit(ctx, changes...)
	c.r.wrote("commit", began, err)
	if err == nil {
		c.r.changed(changes)
	}
	return rev, err
}

// Touch implements store.Store.
func (c *counted) Touch(ctx context.Context, records ...store.Record) ([]store.Revision, error) {
	began := time.Now()
	revs, err := c.Store.Touch(ctx, records...)
	c.r.wrote("touch", began, err)
	return revs, err
}

// Sweep implements store.Store.
func (c *counted) Sweep(ctx context.Context, limit int, kinds ...store.Kind) (int, error) {
	began := time.Now()
	n, err := c.Store.Sweep(ctx, limit, kinds...)
	c.r.wrote("sweep", began, err)
	return n, err
}

// changed counts the effects of a commit. A commit that deletes a ticket has used it, because
// expired tickets are removed by Sweep instead.
func (r *Recorder) changed(changes []store.Change) {
	for _, c := range changes {
		switch c.Record.Kind {
		case store.Ticket:
			sort, _, _ := strings.Cut(c.Record.ID, "/")
			switch c.Op {
			case store.OpPut:
				r.tickets.WithLabelValues(known(sorts, sort), "issued").Inc()
			case store.OpDelete:
				r.tickets.WithLabelValues(known(sorts, sort), "used").Inc()
			}
		case store.Session:
			if c.Op == store.OpDelete {
				r.ended.Inc()
			}
		}
	}
}
