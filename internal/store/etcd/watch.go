package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

const (
	// pageSize is how many records one request of a snapshot reads.
	pageSize = 1000
	// warnEvery is how often a stream that can't go on says so.
	warnEvery = 30 * time.Second
)

var (
	errEnded = errors.New("etcd ended the watch")
	errBack  = errors.New("etcd is at an earlier revision than before: its data was replaced")
)

// applyError is what apply returned.
type applyError struct{ error }

func (e applyError) Unwrap() error { return e.error }

// stream is one Watch.
type stream struct {
	apply func(store.Batch) error
	next  int64         // revision to go on from; 0: needs a snapshot
	heard *acquaintance // what is known about how late it is
}

// Watch is the contract's. Where etcd can't be reached it waits until it can
// be, and goes on where it was; where etcd has compacted that it begins anew.
func (s *Store) Watch(ctx context.Context, apply func(store.Batch) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	st := &stream{apply: apply, heard: s.fresh.add()}
	defer s.fresh.remove(st.heard)
	var warned time.Time
	for n := 0; ; n++ {
		was := st.next
		err := s.follow(ctx, st)
		var of applyError
		var damage *store.DamagedError
		switch {
		case errors.As(err, &of):
			return of.error
		case s.closing.Load():
			return store.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &damage), errors.Is(err, errNewer), errors.Is(err, rpctypes.ErrPermissionDenied):
			return fmt.Errorf("follow store: %w", err)
		case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, errBack):
			s.log.Warn("the stream of changes begins anew", "error", err)
			st.next = 0 // a snapshot: the changes in between can't be read any more
		case time.Since(warned) > warnEvery:
			warned = time.Now()
			s.log.Warn("the stream of changes is interrupted", "error", err)
		}
		if st.next != was {
			n = 0
		}
		pause(ctx, n)
	}
}

// follow feeds the stream from where it is until that fails.
func (s *Store) follow(ctx context.Context, st *stream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if st.next == 0 {
		if err := s.snapshot(ctx, st); err != nil {
			return err
		}
	}
	x, err := s.member(ctx)
	if err != nil {
		return err
	}
	c, err := s.members.dial(ctx, x)
	if err != nil {
		s.members.doubt(x)
		return err
	}
	st.heard.begin(x, cancel)
	if now, _ := s.members.trusted(); now != x {
		return errMoved
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.desert(ctx, x, c, cancel)
	}()
	defer func() { cancel(nil); <-gone }()
	watched := c.Watch(clientv3.WithRequireLeader(ctx), s.keys.records(),
		clientv3.WithPrefix(), clientv3.WithRev(st.next), clientv3.WithProgressNotify())
	for resp := range watched {
		if err := resp.Err(); err != nil {
			if !hopeless(err) {
				s.members.doubt(x)
			}
			return err
		}
		if resp.IsProgressNotify() {
			// Nothing up to there is missing. It is not passed on: what matters to
			// readers is the head, whose changes are events.
			st.next = max(st.next, resp.Header.Revision+1)
			continue
		}
		if err := s.events(st, resp.Events); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errEnded
}

// events passes on what one message of etcd's holds: whole revisions, as
// messages in fragments were not asked for.
func (s *Store) events(st *stream, events []*clientv3.Event) error {
	if len(events) == 0 {
		return nil
	}
	at := events[len(events)-1].Kv.ModRevision
	b := store.Batch{Revision: store.Revision(at)}
	for _, e := range events {
		if string(e.Kv.Key) == s.keys.head() {
			continue
		}
		d, err := s.delta(e)
		if err != nil {
			return err
		}
		b.Deltas = append(b.Deltas, d)
	}
	if err := st.apply(b); err != nil {
		return applyError{err}
	}
	st.next = at + 1
	st.heard.reached(b.Revision)
	return nil
}

func (s *Store) delta(e *clientv3.Event) (store.Delta, error) {
	if e.Type != clientv3.EventTypeDelete {
		r, err := s.keys.decode(e.Kv)
		return store.Delta{Record: r}, err
	}
	k, id, err := s.keys.parse(e.Kv.Key)
	if err != nil {
		return store.Delta{}, damaged(e.Kv.Key, err)
	}
	return store.Delta{Record: store.Record{Kind: k, ID: id, Revision: store.Revision(e.Kv.ModRevision)}, Deleted: true}, nil
}

// snapshot passes on the whole state as of one revision, page by page.
func (s *Store) snapshot(ctx context.Context, st *stream) error {
	began := time.Now()
	var last *store.Batch // not passed on yet: it may be the one that is Whole
	rev, err := s.pages(ctx, s.keys.records(), func(kvs []*mvccpb.KeyValue) error {
		b := store.Batch{Reset: last == nil}
		for _, kv := range kvs {
			if string(kv.Key) == s.keys.head() {
				continue
			}
			r, err := s.keys.decode(kv)
			if err != nil {
				return err
			}
			b.Deltas = append(b.Deltas, store.Delta{Record: r})
		}
		if last != nil {
			if err := st.apply(*last); err != nil {
				return applyError{err}
			}
		}
		last = &b
		return nil
	})
	if err != nil {
		return err
	}
	if s.counted {
		records, _, err := s.readCounted(ctx, int64(rev))
		if err != nil {
			return err
		}
		for _, r := range records {
			last.Deltas = append(last.Deltas, store.Delta{Record: r})
		}
	}
	last.Whole, last.Revision = true, rev
	if err := st.apply(*last); err != nil {
		return applyError{err}
	}
	st.next = int64(rev) + 1
	st.heard.whole(rev, began)
	return nil
}

// pages calls page for all keys under the prefix as of one revision, which is
// no older than the call, and returns it. page is called at least once.
func (s *Store) pages(ctx context.Context, prefix string, page func([]*mvccpb.KeyValue) error) (store.Revision, error) {
	var rev int64
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		bounded, cancel := s.bound(ctx, s.opts.Timeout)
		resp, err := s.ask(bounded, clientv3.OpGet(from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(rev)))
		cancel()
		if err != nil {
			return 0, err
		}
		get := resp.Get()
		if rev == 0 {
			rev = get.Header.Revision
		}
		if err := page(get.Kvs); err != nil {
			return 0, err
		}
		if !get.More || len(get.Kvs) == 0 {
			return store.Revision(rev), nil
		}
		from = string(get.Kvs[len(get.Kvs)-1].Key) + "\x00"
	}
}
