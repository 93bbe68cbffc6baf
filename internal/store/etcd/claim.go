package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
)

// Purpose says what Open may find under the prefix.
type Purpose uint8

const (
	// Serve: a store, or nothing, which then becomes an empty store.
	Serve Purpose = iota
	// Read: a store. Nothing is made.
	Read
	// Fill: nothing. The prefix becomes a store with Finish: until then it is
	// marked, and every Open refuses it.
	Fill
)

var (
	// ErrUnfinished: the prefix is marked as being filled, now or for ever.
	ErrUnfinished = errors.New("what is there was being filled and not finished")
	// ErrNotEmpty: there is something under the prefix that was to be filled.
	ErrNotEmpty = errors.New("the prefix is not empty")
	// ErrNoStore: there is nothing under the prefix that was to be read.
	ErrNoStore = errors.New("there is no store under the prefix")
)

// claim does with the prefix what the purpose asks for. Asking again does no
// harm: whoever is first to serve writes the same, and who fills finds its own
// mark.
func (s *Store) claim(ctx context.Context) error {
	const what = "open store in etcd"
	ctx, cancel := context.WithTimeout(ctx, s.opts.StartTimeout)
	defer cancel()
	key := s.keys.format()
	absent := clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	mine, then := format, []clientv3.Op{clientv3.OpPut(key, format)}
	switch s.opts.Purpose {
	case Read:
		then = []clientv3.Op{clientv3.OpGet(key)}
	case Fill:
		s.mark = format + beingFilled + rand.Text()
		mine, then = s.mark, []clientv3.Op{clientv3.OpPut(key, s.mark)}
		absent = clientv3.Compare(clientv3.CreateRevision(s.keys.prefix), "=", 0).WithPrefix()
	}
	op := clientv3.OpTxn([]clientv3.Cmp{absent}, then, []clientv3.Op{clientv3.OpGet(key)})
	resp, err := s.once(ctx, op)
	if err != nil && !hopeless(err) {
		s.log.Warn("waiting for etcd", "endpoints", s.opts.Endpoints, "err", err)
		resp, err = s.ask(ctx, op)
	}
	if err != nil {
		if err = s.explain(err); !errors.Is(err, ErrAccess) {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	if txn := resp.Txn(); !txn.Succeeded {
		found := string(first(txn.Responses[0]).GetValue())
		s.counted = found == countedFormat && s.opts.Purpose == Read
		if found == countedFormat && s.opts.Purpose == Serve {
			err = s.upgrade(ctx)
		} else if !s.counted {
			err = s.refusal(found, mine)
		}
	} else if s.opts.Purpose == Read {
		err = ErrNoStore
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// refusal says why a prefix of that format is not what mine is.
func (s *Store) refusal(found, mine string) error {
	switch {
	case found == mine:
		return nil
	case strings.HasPrefix(found, format+beingFilled), strings.HasPrefix(found, countedFormat+beingFilled):
		return fmt.Errorf("%q: %w: remove all under the prefix, and fill it anew", s.keys.format(), ErrUnfinished)
	case s.opts.Purpose == Fill:
		return fmt.Errorf("%q: %w", s.keys.prefix, ErrNotEmpty)
	}
	return fmt.Errorf("%q holds %.40q, this program reads %q only", s.keys.format(), found, format)
}

// Finish makes a store of what was filled, which servers open from then on.
func (s *Store) Finish(ctx context.Context) error {
	const what = "finish store in etcd"
	if err := s.ready(ctx); err != nil {
		return err
	}
	bounded, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	key := s.keys.format()
	resp, err := s.ask(bounded, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", s.mark)},
		[]clientv3.Op{clientv3.OpPut(key, format)},
		[]clientv3.Op{clientv3.OpGet(key)}))
	if err != nil {
		return s.failed(ctx, what, err)
	}
	if txn := resp.Txn(); !txn.Succeeded {
		// An earlier try may have done it.
		if kv := first(txn.Responses[0]); string(kv.GetValue()) != format {
			return fmt.Errorf("%s: %q holds %.40q, not this one's mark", what, key, kv.GetValue())
		}
	}
	return nil
}
