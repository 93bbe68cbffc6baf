package etcd

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/fence"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// Sweep implements store.Store. It reads all records of the kinds. If it fails after some were
// removed, it returns their number without the error, and the next call will find the same.
func (s *Store) Sweep(ctx context.Context, limit int, kinds ...store.Kind) (int, error) {
	const what = "sweep expired records"
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if err := store.ValidateSweep(kinds); err != nil {
		return 0, err
	}
	if limit <= 0 {
		return 0, nil
	}
	if err := s.lockBulk(ctx); err != nil {
		return 0, s.failed(ctx, what, err)
	}
	defer s.bulkLock.Unlock()
	term, err := s.lead(ctx)
	if err != nil {
		return 0, s.failed(ctx, what, err)
	}
	if term == 0 {
		return 0, nil
	}
	var expired []store.Record
	now := s.now()
	for _, k := range kinds {
		if expired, err = s.expired(ctx, k, now, limit, expired); err != nil {
			return 0, s.failed(ctx, what, err)
		}
	}
	swept := 0
	for part := range slices.Chunk(expired, bulkSize) {
		n, err := s.remove(ctx, term, part)
		swept += n
		if err != nil && swept == 0 {
			return 0, s.failed(ctx, what, err)
		}
		if err != nil || n == 0 {
			break
		}
	}
	return swept, nil
}

// lead makes this node the leader if there is none. It returns the revision at which the node became
// the leader, or 0 if another node is.
func (s *Store) lead(ctx context.Context) (term int64, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	key := s.keys.Sweep()
	for n := 0; ; n++ {
		e, err := s.epochs.Current(ctx)
		if err != nil {
			if !members.Final(err) && members.Pause(ctx, n) {
				continue
			}
			return 0, err
		}
		// The request may be sent again: it then finds what the first attempt wrote.
		resp, err := s.etcd.Retry(ctx, clientv3.OpTxn(
			[]clientv3.Cmp{
				clientv3.Compare(clientv3.CreateRevision(key), "=", 0),
				clientv3.Compare(clientv3.CreateRevision(s.keys.Lease(int64(e.Lease))), ">", 0),
			},
			[]clientv3.Op{clientv3.OpPut(key, s.opts.NodeName, clientv3.WithLease(e.Lease))},
			[]clientv3.Op{clientv3.OpGet(key)}))
		if err != nil {
			return 0, err
		}
		answer := resp.Txn()
		if answer.Succeeded {
			return answer.Header.Revision, nil
		}
		switch kv := members.FirstKey(answer.Responses[0]); {
		case kv == nil: // the lease has expired
			s.epochs.Drop(e)
			if !members.Pause(ctx, n) {
				return 0, fence.ErrGone
			}
		case clientv3.LeaseID(kv.Lease) == e.Lease:
			return kv.CreateRevision, nil
		default:
			return 0, nil
		}
	}
}

// expired appends the expired records of a kind to the list, until it has limit records.
func (s *Store) expired(ctx context.Context, k store.Kind, now time.Time, limit int,
	list []store.Record) ([]store.Record, error) {
	full := errors.New("limit reached")
	_, err := s.pages(ctx, s.keys.Kind(k), func(kvs []*mvccpb.KeyValue) error {
		for _, kv := range kvs {
			if len(list) == limit {
				return full
			}
			r, err := s.keys.Decode(kv)
			if err != nil {
				return err
			}
			if r.Expired(now) {
				r.Value = nil
				list = append(list, r)
			}
		}
		return nil
	})
	if errors.Is(err, full) {
		err = nil
	}
	return list, err
}

// remove removes the records that are still at their revisions, if this node is still the leader. It
// returns how many.
func (s *Store) remove(ctx context.Context, term int64, records []store.Record) (int, error) {
	keys := make([]string, len(records))
	t := fence.Txn{When: []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(s.keys.Sweep()), "=", term)}}
	for i, r := range records {
		keys[i] = s.keys.Record(r.Kind, r.ID)
		t.Then = append(t.Then, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(keys[i]), "=", int64(r.Revision))},
			[]clientv3.Op{clientv3.OpDelete(keys[i])}, nil))
	}
	removed, _, err := s.each(ctx, keys, func() fence.Txn { return t },
		func(kv *mvccpb.KeyValue, _ store.Revision) bool { return kv == nil })
	n := 0
	for _, is := range removed {
		if is {
			n++
		}
	}
	return n, err
}
