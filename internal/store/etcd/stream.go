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
	"github.com/vigate/vigate/internal/store/etcd/lag"
	"github.com/vigate/vigate/internal/store/etcd/layout"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

const (
	// pageSize is how many keys one request of a snapshot reads.
	pageSize = 1000
	// warnEvery is how often the interruption of a stream is logged.
	warnEvery = 30 * time.Second
)

// applyError is an error that apply returned.
type applyError struct{ error }

func (e applyError) Unwrap() error { return e.error }

// stream is one call of Watch.
type stream struct {
	apply func(store.Batch) error
	next  int64 // the revision to go on from; 0: a snapshot is needed
	lag   *lag.Stream
}

// Watch implements store.Store. If etcd can't be reached, it waits and then goes on where it was.
// If etcd has compacted what is missing, it begins anew.
func (s *Store) Watch(ctx context.Context, apply func(store.Batch) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	st := &stream{apply: apply, lag: s.lags.Add()}
	defer s.lags.Remove(st.lag)
	var warned time.Time
	for n := 0; ; n++ {
		was := st.next
		err := s.follow(ctx, st)
		var of applyError
		_, damaged := errors.AsType[*store.DamagedError](err)
		switch {
		case errors.As(err, &of):
			return of.error
		case s.closing.Load():
			return store.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case damaged, errors.Is(err, layout.ErrNewer), errors.Is(err, rpctypes.ErrPermissionDenied):
			return fmt.Errorf("follow store: %w", s.explain(err))
		case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, lag.ErrBack):
			s.opts.Logger.Warn("the stream of changes begins anew", "err", err)
			st.next = 0 // a snapshot: the changes in between can't be read any more
		case time.Since(warned) > warnEvery:
			warned = time.Now()
			s.opts.Logger.Warn("the stream of changes is interrupted", "err", err)
		}
		if st.next != was {
			n = 0
		}
		members.Pause(ctx, n)
	}
}

// follow delivers the stream until that fails.
func (s *Store) follow(ctx context.Context, st *stream) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	st.lag.Begin(end)
	if st.next == 0 {
		if err := s.snapshot(ctx, st); err != nil {
			return err
		}
	}
	return s.etcd.Watch(ctx, s.keys.Records(), st.next, func(resp clientv3.WatchResponse) error {
		if resp.IsProgressNotify() {
			// Nothing up to this revision is missing. Readers need not know: their measure is the
			// head, and its changes are events.
			st.next = max(st.next, resp.Header.Revision+1)
			return nil
		}
		return s.events(st, resp.Events)
	})
}

// events delivers the events of one message. A message contains whole revisions, because the client
// does not ask for fragments.
func (s *Store) events(st *stream, events []*clientv3.Event) error {
	if len(events) == 0 {
		return nil
	}
	at := events[len(events)-1].Kv.ModRevision
	b := store.Batch{Revision: store.Revision(at)}
	for _, e := range events {
		if string(e.Kv.Key) == s.keys.Head() {
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
	st.lag.Reached(b.Revision)
	return nil
}

func (s *Store) delta(e *clientv3.Event) (store.Delta, error) {
	if e.Type != clientv3.EventTypeDelete {
		r, err := s.keys.Decode(e.Kv)
		return store.Delta{Record: r}, err
	}
	k, id, err := s.keys.Parse(e.Kv.Key)
	r := store.Record{Kind: k, ID: id, Revision: store.Revision(e.Kv.ModRevision)}
	return store.Delta{Record: r, Deleted: true}, err
}

// snapshot delivers the whole state as of one revision.
func (s *Store) snapshot(ctx context.Context, st *stream) error {
	began := time.Now()
	var last *store.Batch // held back, because it may be the one that is Whole
	rev, err := s.pages(ctx, s.keys.Records(), func(kvs []*mvccpb.KeyValue) error {
		b := store.Batch{Reset: last == nil}
		for _, kv := range kvs {
			if string(kv.Key) == s.keys.Head() {
				continue
			}
			r, err := s.keys.Decode(kv)
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
	st.lag.Whole(rev, began)
	return nil
}

// pages calls page for all keys with the prefix, as of one revision, and returns that revision. It
// is no older than the call. page is called at least once.
func (s *Store) pages(ctx context.Context, prefix string, page func([]*mvccpb.KeyValue) error) (store.Revision, error) {
	var rev int64
	from, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
	for {
		call, cancel := s.within(ctx)
		resp, err := s.etcd.Retry(call, clientv3.OpGet(from,
			clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(rev)))
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
