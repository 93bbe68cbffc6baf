package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// A store of layout 1 has counters, from which Append took the ids of its records.
// What they have come to is the store.Numbering of the kind: Open to serve writes
// that down and makes the store one of layout 2, and a store that is only read is
// not changed. The counters stay where they are, for nodes of an earlier version
// that still run: what those append has ids that state numbers.

// counted returns the records that counters stand for.
func (k keys) counted(kvs []*mvccpb.KeyValue) ([]store.Record, error) {
	var all []store.Record
	for _, kv := range kvs {
		kind, err := k.counterKind(kv.Key)
		if err != nil {
			return nil, err
		}
		n, err := decodeCounter(kind, kv.Value)
		if err != nil {
			return nil, damaged(kv.Key, err)
		}
		if kind.Appended() {
			all = append(all, store.Numbering{Counted: n}.Record(kind))
		}
	}
	return all, nil
}

// readCounted reads the counters as of a revision; 0: now.
func (s *Store) readCounted(ctx context.Context, at int64) ([]store.Record, []*mvccpb.KeyValue, error) {
	resp, err := s.ask(ctx, clientv3.OpGet(s.keys.counters(), clientv3.WithPrefix(), clientv3.WithRev(at)))
	if err != nil {
		return nil, nil, err
	}
	kvs := resp.Get().Kvs
	records, err := s.keys.counted(kvs)
	return records, kvs, err
}

// upgrade makes a store of layout 1 one of layout 2. Other nodes may do the same
// at the same time, and nodes of an earlier version may append meanwhile.
func (s *Store) upgrade(ctx context.Context) error {
	var damage *store.DamagedError
	err := s.tryUpgrade(ctx)
	if err != nil && !errors.As(err, &damage) {
		err = fmt.Errorf("take over counters: %w: %w", store.ErrUnavailable, err)
	}
	return err
}

func (s *Store) tryUpgrade(ctx context.Context) error {
	key := s.keys.format()
	for n := 0; ; n++ {
		records, kvs, err := s.readCounted(ctx, 0)
		if err != nil {
			return err
		}
		when := []clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", countedFormat)}
		then := []clientv3.Op{clientv3.OpPut(key, format), clientv3.OpPut(s.keys.head(), "")}
		for _, kv := range kvs {
			when = append(when, clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision))
		}
		for _, r := range records {
			then = append(then, clientv3.OpPut(s.keys.record(r.Kind, r.ID), encode(r)))
		}
		// Asking again does no harm: once it is done, the format is another.
		resp, err := s.ask(ctx, clientv3.OpTxn(when, then, []clientv3.Op{clientv3.OpGet(key)}))
		if err != nil {
			return err
		}
		txn := resp.Txn()
		if txn.Succeeded {
			return nil
		}
		if kv := first(txn.Responses[0]); string(kv.GetValue()) == format {
			return nil
		}
		if !pause(ctx, n) {
			return errContend
		}
	}
}
