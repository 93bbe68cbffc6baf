package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// touchBatch is how many records one transaction touches or sweeps, each on a
// condition of its own: so many inner transactions, of two conditions each,
// that both lengths together are within maxOps.
const touchBatch = 100

// takeBulk takes the lane of touches and sweeps.
func (s *Store) takeBulk(ctx context.Context) error {
	ctx, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	return s.bulkTurn.take(ctx)
}

// Touch is the contract's, in transactions of up to 100 records. Where one of
// several fails the error is store.ErrUncertain: earlier ones were done.
func (s *Store) Touch(ctx context.Context, records ...store.Record) ([]store.Revision, error) {
	const what = "touch records"
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := s.takeBulk(ctx); err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer s.bulkTurn.give()
	revs := make([]store.Revision, len(records))
	for n, batch := range touchBatches(s.keys, records) {
		err := ctx.Err()
		if err == nil {
			err = s.touch(ctx, records, batch, revs)
		}
		if err != nil && n > 0 {
			err = fmt.Errorf("%w: some were touched: %w", store.ErrUncertain, err)
		}
		if err != nil {
			return nil, s.failed(ctx, what, err)
		}
	}
	return revs, nil
}

// touchBatches says which records share a transaction, by their index. Those
// that can't be there are left out, and so is one that was named before: it is
// not at its revision any more.
func touchBatches(k keys, records []store.Record) [][]int {
	var batches [][]int
	var batch []int
	bytes := 0
	named := map[string]bool{}
	for i, r := range records {
		key := k.record(r.Kind, r.ID)
		if !store.ValidID(r.ID) || r.Revision == 0 || named[key] {
			continue
		}
		named[key] = true
		size := len(r.Value) + 3*len(key) + 64
		if len(batch) > 0 && (len(batch) == touchBatch || bytes+size > maxBytes) {
			batches = append(batches, batch)
			batch, bytes = nil, 0
		}
		batch = append(batch, i)
		bytes += size
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches
}

// touch touches the records of one batch and sets their new revisions.
func (s *Store) touch(ctx context.Context, records []store.Record, batch []int, revs []store.Revision) error {
	names := make([]string, len(batch))
	o, err := s.bulk.insist(ctx, func() txn {
		living := alive(s.now())
		var t txn
		for n, i := range batch {
			r := records[i]
			names[n] = s.keys.record(r.Kind, r.ID)
			t.then = append(t.then, clientv3.OpTxn(
				[]clientv3.Cmp{
					clientv3.Compare(clientv3.ModRevision(names[n]), "=", int64(r.Revision)),
					clientv3.Compare(clientv3.Value(names[n]), ">", living),
				},
				[]clientv3.Op{clientv3.OpPut(names[n], encode(r))}, nil))
		}
		return t
	})
	if err != nil {
		return err
	}
	var then map[string]*mvccpb.KeyValue
	if o.lost {
		if then, err = s.at(names, o.rev); err != nil {
			return err
		}
	}
	for n, i := range batch {
		hit := false
		if o.lost {
			kv := then[names[n]]
			hit = kv != nil && kv.ModRevision == int64(o.rev)
		} else {
			hit = o.responses[n].GetResponseTxn().GetSucceeded()
		}
		if hit {
			revs[i] = o.rev
		}
	}
	return nil
}

// at reads what was under the keys at the revision of a transaction whose
// answer was lost, and which of them it wrote. Where that can't be learned the
// error is store.ErrUncertain.
func (s *Store) at(names []string, rev store.Revision) (map[string]*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	ops := make([]clientv3.Op, len(names))
	for i, key := range names {
		ops[i] = clientv3.OpGet(key, clientv3.WithRev(int64(rev)))
	}
	resp, err := s.ask(ctx, clientv3.OpTxn(nil, ops, nil))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUncertain, err)
	}
	return found(names, resp.Txn().Responses), nil
}

// Sweep is the contract's. It reads all records of the kinds. A failure after
// some were removed is left to the next call to meet again.
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
	if err := s.takeBulk(ctx); err != nil {
		return 0, s.failed(ctx, what, err)
	}
	defer s.bulkTurn.give()
	leader, err := s.lead(ctx)
	if err != nil {
		return 0, s.failed(ctx, what, err)
	}
	if leader == 0 {
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
	for batch := range slices.Chunk(expired, touchBatch) {
		n, err := s.remove(ctx, leader, batch)
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

// lead returns the create revision of the sweeper's key if it is this node's,
// which it is made if there is none. 0: another node sweeps.
func (s *Store) lead(ctx context.Context) (int64, error) {
	ctx, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	key := s.keys.sweep()
	for n := 0; ; n++ {
		t, err := s.tenure(ctx)
		if err != nil {
			if pause(ctx, n) {
				continue
			}
			return 0, err
		}
		// Asking again does no harm: it finds what the first try made.
		resp, err := s.ask(ctx, clientv3.OpTxn(
			[]clientv3.Cmp{
				clientv3.Compare(clientv3.CreateRevision(key), "=", 0),
				clientv3.Compare(clientv3.CreateRevision(s.keys.lease(int64(t.lease))), ">", 0),
			},
			[]clientv3.Op{clientv3.OpPut(key, s.opts.NodeName, clientv3.WithLease(t.lease))},
			[]clientv3.Op{clientv3.OpGet(key)}))
		if err != nil {
			return 0, err
		}
		answer := resp.Txn()
		if answer.Succeeded {
			return answer.Header.Revision, nil
		}
		switch kv := first(answer.Responses[0]); {
		case kv == nil: // the lease has ended
			s.leases.drop(t)
			if !pause(ctx, n) {
				return 0, errSlotGone
			}
		case clientv3.LeaseID(kv.Lease) == t.lease:
			return kv.CreateRevision, nil
		default:
			return 0, nil
		}
	}
}

// expired adds to the list the kind's records that have expired, up to limit.
func (s *Store) expired(ctx context.Context, k store.Kind, now time.Time, limit int, list []store.Record) ([]store.Record, error) {
	full := errors.New("limit reached")
	_, err := s.pages(ctx, s.keys.kind(k), func(kvs []*mvccpb.KeyValue) error {
		for _, kv := range kvs {
			if len(list) == limit {
				return full
			}
			r, err := s.keys.decode(kv)
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

// remove removes those of the records that are still as they were found, if
// this node still is the one that sweeps, and returns how many.
func (s *Store) remove(ctx context.Context, leader int64, batch []store.Record) (int, error) {
	names := make([]string, len(batch))
	t := txn{when: []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(s.keys.sweep()), "=", leader)}}
	for i, r := range batch {
		names[i] = s.keys.record(r.Kind, r.ID)
		t.then = append(t.then, clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(names[i]), "=", int64(r.Revision))},
			[]clientv3.Op{clientv3.OpDelete(names[i])}, nil))
	}
	o, err := s.bulk.insist(ctx, func() txn { return t })
	if err != nil || !o.done {
		return 0, err
	}
	n := 0
	if o.lost {
		then, err := s.at(names, o.rev)
		return len(names) - len(then), err
	}
	for i := range batch {
		if o.responses[i].GetResponseTxn().GetSucceeded() {
			n++
		}
	}
	return n, nil
}
