package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/layout"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// A store of layout 1 has counters, from which Append took the IDs of its records. Open to serve
// stores what they have reached as store.Numbering, and so makes the store one of layout 2. A store
// that is only read is not changed. The counters stay for nodes of an earlier version that still
// run. The IDs of the records that those append state their numbers.

// readCounted returns the records that take the place of the counters, and the counters, as of a
// revision; 0: now.
func (s *Store) readCounted(ctx context.Context, at int64) ([]store.Record, []*mvccpb.KeyValue, error) {
	resp, err := s.etcd.Retry(ctx, clientv3.OpGet(s.keys.Counters(), clientv3.WithPrefix(), clientv3.WithRev(at)))
	if err != nil {
		return nil, nil, err
	}
	kvs := resp.Get().Kvs
	records, err := s.keys.CountedRecords(kvs)
	return records, kvs, err
}

// upgrade turns a store of layout 1 into one of layout 2. Other nodes may do the same at the same
// time, and nodes of an earlier version may append meanwhile.
func (s *Store) upgrade(ctx context.Context) error {
	err := s.tryUpgrade(ctx)
	if _, damaged := errors.AsType[*store.DamagedError](err); err != nil && !damaged {
		err = fmt.Errorf("take over counters: %w: %w", store.ErrUnavailable, err)
	}
	return err
}

func (s *Store) tryUpgrade(ctx context.Context) error {
	key := s.keys.Format()
	for n := 0; ; n++ {
		records, counters, err := s.readCounted(ctx, 0)
		if err != nil {
			return err
		}
		when := []clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", layout.CountedFormat)}
		for _, kv := range counters {
			when = append(when, clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision))
		}
		then := []clientv3.Op{clientv3.OpPut(key, layout.Format), clientv3.OpPut(s.keys.Head(), "")}
		for _, r := range records {
			then = append(then, clientv3.OpPut(s.keys.Record(r.Kind, r.ID), layout.Encode(r)))
		}
		// The request may be sent again: once it was executed, the format is another one.
		resp, err := s.etcd.Retry(ctx, clientv3.OpTxn(when, then, []clientv3.Op{clientv3.OpGet(key)}))
		if err != nil {
			return err
		}
		txn := resp.Txn()
		if txn.Succeeded || string(members.FirstKey(txn.Responses[0]).GetValue()) == layout.Format {
			return nil
		}
		if !members.Pause(ctx, n) {
			return errContended
		}
	}
}
