package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// Sequences is store.Sequencer's.
func (s *Store) Sequences(ctx context.Context) (map[store.Kind]uint64, error) {
	const what = "read sequences"
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	bounded, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	resp, err := s.ask(bounded, clientv3.OpGet(s.keys.counters(), clientv3.WithPrefix()))
	if err != nil {
		return nil, s.failed(ctx, what, err)
	}
	all := map[store.Kind]uint64{}
	for _, kv := range resp.Get().Kvs {
		k, err := s.keys.counterKind(kv.Key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		c, err := s.keys.counterOf(k, kv)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		all[k] = c.n
	}
	return all, nil
}

// Advance is store.Sequencer's. It does not go through the lane: on the condition
// that the counter is as it was read, a write whose answer was lost can only be
// found done at the next reading, or never be done.
func (s *Store) Advance(ctx context.Context, k store.Kind, to uint64) error {
	what := fmt.Sprintf("advance sequence of kind %d", k)
	if err := s.ready(ctx); err != nil {
		return err
	}
	bounded, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	key := s.keys.counter(k)
	for n := 0; ; n++ {
		resp, err := s.ask(bounded, clientv3.OpGet(key))
		if err != nil {
			return s.failed(ctx, what, err)
		}
		var c counter
		if kvs := resp.Get().Kvs; len(kvs) > 0 {
			if c, err = s.keys.counterOf(k, kvs[0]); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		if c.n >= to {
			return nil
		}
		_, err = s.once(bounded, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", c.rev)},
			[]clientv3.Op{clientv3.OpPut(key, encodeCounter(k, to))}, nil))
		if err != nil && (hopeless(err) || futile(err) || !pause(bounded, n)) {
			return s.failed(ctx, what, err)
		}
	}
}
