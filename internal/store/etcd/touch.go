package etcd

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/fence"
	"github.com/vigate/vigate/internal/store/etcd/layout"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// bulkSize is how many records one transaction touches or removes. Each has an inner transaction of
// its own, with up to two conditions, so that both lists together are within maxOps.
const bulkSize = 100

// lockBulk takes the fence of touches and sweeps.
func (s *Store) lockBulk(ctx context.Context) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.bulkLock.Lock(ctx)
}

// Touch implements store.Store, with one transaction for up to 100 records. If one of several
// transactions fails, the error is store.ErrUncertain, because earlier ones were applied.
func (s *Store) Touch(ctx context.Context, records ...store.Record) ([]store.Revision, error) {
	const what = "touch records"
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := s.lockBulk(ctx); err != nil {
		return nil, s.failed(ctx, what, err)
	}
	defer s.bulkLock.Unlock()
	revs := make([]store.Revision, len(records))
	for n, part := range touchParts(s.keys, records) {
		err := ctx.Err()
		if err == nil {
			err = s.touch(ctx, records, part, revs)
		}
		if err != nil && n > 0 {
			err = fmt.Errorf("%w: some records were touched: %w", store.ErrUncertain, err)
		}
		if err != nil {
			return nil, s.failed(ctx, what, err)
		}
	}
	return revs, nil
}

// touchParts divides the records, by their index, into transactions. It leaves out records that
// can't exist, and those that an earlier record names: that one changes the revision.
func touchParts(k layout.Keys, records []store.Record) [][]int {
	var parts [][]int
	var part []int
	bytes := 0
	named := map[string]bool{}
	for i, r := range records {
		key := k.Record(r.Kind, r.ID)
		if !store.ValidID(r.ID) || r.Revision == 0 || named[key] {
			continue
		}
		named[key] = true
		size := len(r.Value) + 3*len(key) + 64
		if len(part) > 0 && (len(part) == bulkSize || bytes+size > maxBytes) {
			parts = append(parts, part)
			part, bytes = nil, 0
		}
		part = append(part, i)
		bytes += size
	}
	if len(part) > 0 {
		parts = append(parts, part)
	}
	return parts
}

// touch touches the records of one part and sets their new revisions.
func (s *Store) touch(ctx context.Context, records []store.Record, part []int, revs []store.Revision) error {
	keys := make([]string, len(part))
	for n, i := range part {
		keys[n] = s.keys.Record(records[i].Kind, records[i].ID)
	}
	touched, rev, err := s.each(ctx, keys, func() fence.Txn {
		alive := layout.Alive(s.now())
		var t fence.Txn
		for n, i := range part {
			t.Then = append(t.Then, clientv3.OpTxn(
				[]clientv3.Cmp{
					clientv3.Compare(clientv3.ModRevision(keys[n]), "=", int64(records[i].Revision)),
					clientv3.Compare(clientv3.Value(keys[n]), ">", alive),
				},
				[]clientv3.Op{clientv3.OpPut(keys[n], layout.Encode(records[i]))}, nil))
		}
		return t
	}, func(kv *mvccpb.KeyValue, rev store.Revision) bool { return kv != nil && kv.ModRevision == int64(rev) })
	for n, i := range part {
		if touched != nil && touched[n] {
			revs[i] = rev
		}
	}
	return err
}

// each sends a transaction that consists of an inner transaction for each key, by the bulk fence. It returns which of
// them were executed, and nil if the outer conditions did not hold. If the answer is lost, executed finds out from
// the values of the keys right after the transaction. If that can't be read, the error is store.ErrUncertain.
func (s *Store) each(ctx context.Context, keys []string, build func() fence.Txn,
	executed func(*mvccpb.KeyValue, store.Revision) bool) ([]bool, store.Revision, error) {
	o, err := s.bulk.SendAgain(ctx, build)
	if err != nil || !o.Applied {
		return nil, 0, err
	}
	var after map[string]*mvccpb.KeyValue
	if o.Lost {
		if after, err = s.readAt(keys, o.Rev); err != nil {
			return nil, 0, err
		}
	}
	list := make([]bool, len(keys))
	for i, key := range keys {
		if o.Lost {
			list[i] = executed(after[key], o.Rev)
		} else {
			list[i] = o.Responses[i].GetResponseTxn().GetSucceeded()
		}
	}
	return list, o.Rev, nil
}

// readAt reads the keys as of a revision.
func (s *Store) readAt(keys []string, rev store.Revision) (map[string]*mvccpb.KeyValue, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	ops := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		ops[i] = clientv3.OpGet(key, clientv3.WithRev(int64(rev)))
	}
	resp, err := s.etcd.Retry(ctx, clientv3.OpTxn(nil, ops, nil))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUncertain, err)
	}
	return members.Found(keys, resp.Txn().Responses), nil
}
