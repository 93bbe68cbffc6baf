package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/layout"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// Purpose says what Open requires of the prefix.
type Purpose uint8

const (
	// Serve requires a store, or an empty prefix, which becomes an empty store.
	Serve Purpose = iota
	// Read requires a store. Nothing is written.
	Read
	// Fill requires an empty prefix. It becomes a store with Finish. Until then it is marked, and
	// every Open refuses it.
	Fill
)

var (
	// ErrUnfinished: the prefix is marked as being filled. The copy is running or has failed.
	ErrUnfinished = errors.New("the prefix contains an unfinished copy")
	// ErrNotEmpty: the prefix is to be filled, but contains keys.
	ErrNotEmpty = errors.New("the prefix is not empty")
	// ErrNoStore: the prefix is to be read, but contains no store.
	ErrNoStore = errors.New("there is no store under the prefix")
)

// claim checks the format of the prefix, or writes it. It may send its request more than once: every
// node that serves writes the same value, and a copy finds its own mark.
func (s *Store) claim(ctx context.Context) error {
	const what = "open store in etcd"
	ctx, cancel := context.WithTimeout(ctx, s.opts.StartTimeout)
	defer cancel()
	key := s.keys.Format()
	absent := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	mine, then := layout.Format, []clientv3.Op{clientv3.OpPut(key, layout.Format)}
	switch s.opts.Purpose {
	case Read:
		then = []clientv3.Op{clientv3.OpGet(key)}
	case Fill:
		s.mark = layout.Format + layout.Filling + rand.Text()
		mine, then = s.mark, []clientv3.Op{clientv3.OpPut(key, s.mark)}
		absent = clientv3.Compare(clientv3.CreateRevision(s.keys.Prefix), "=", 0).WithPrefix()
	}
	op := clientv3.OpTxn([]clientv3.Cmp{absent}, then, []clientv3.Op{clientv3.OpGet(key)})
	resp, err := s.etcd.Do(ctx, op)
	if err != nil && members.Classify(err) != members.Refuse {
		s.opts.Logger.Warn("waiting for etcd", "endpoints", s.opts.Endpoints, "err", err)
		resp, err = s.etcd.Retry(ctx, op)
	}
	if err != nil {
		if err = s.explain(err); !errors.Is(err, ErrAccess) {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	if txn := resp.Txn(); txn.Succeeded {
		if s.opts.Purpose == Read {
			err = ErrNoStore
		}
	} else {
		err = s.accept(ctx, string(members.FirstKey(txn.Responses[0]).GetValue()), mine)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// accept checks the format that the prefix has already. mine is the format that this Store would
// have written.
func (s *Store) accept(ctx context.Context, found, mine string) error {
	switch {
	case found == mine:
		return nil
	case found == layout.CountedFormat && s.opts.Purpose == Read:
		s.counted = true
		return nil
	case found == layout.CountedFormat && s.opts.Purpose == Serve:
		return s.upgrade(ctx)
	case strings.HasPrefix(found, layout.Format+layout.Filling),
		strings.HasPrefix(found, layout.CountedFormat+layout.Filling):
		return fmt.Errorf("%q: %w: remove all keys under the prefix, and copy again", s.keys.Format(), ErrUnfinished)
	case s.opts.Purpose == Fill:
		return fmt.Errorf("%q: %w", s.keys.Prefix, ErrNotEmpty)
	}
	return fmt.Errorf("%q holds %.40q, this program reads %q only", s.keys.Format(), found, layout.Format)
}

// Finish turns a prefix that was filled into a store. Servers open it from then on.
func (s *Store) Finish(ctx context.Context) error {
	const what = "finish store in etcd"
	if err := s.ready(ctx); err != nil {
		return err
	}
	call, cancel := s.within(ctx)
	defer cancel()
	key := s.keys.Format()
	resp, err := s.etcd.Retry(call, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", s.mark)},
		[]clientv3.Op{clientv3.OpPut(key, layout.Format)},
		[]clientv3.Op{clientv3.OpGet(key)}))
	if err != nil {
		return s.failed(ctx, what, err)
	}
	if txn := resp.Txn(); !txn.Succeeded {
		// An earlier attempt may have succeeded.
		if kv := members.FirstKey(txn.Responses[0]); string(kv.GetValue()) != layout.Format {
			return fmt.Errorf("%s: %q holds %.40q, not this copy's mark", what, key, kv.GetValue())
		}
	}
	return nil
}
