package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd/fence"
	"github.com/vigate/vigate/internal/store/etcd/lag"
	"github.com/vigate/vigate/internal/store/etcd/layout"
	"github.com/vigate/vigate/internal/store/etcd/members"
)

// Options say where the data is. Only Endpoints is required.
type Options struct {
	Endpoints []string // HOST:PORT or URL of each member
	Prefix    string   // of all keys; empty: vigate
	// TLS is for members that require it. Their certificates must be valid for the hosts of the
	// endpoints: ServerName is ignored.
	TLS      *tls.Config
	Username string // with Password, for an etcd that has authentication enabled
	Password secret.Text
	NodeName string // the value of this node's keys, for people who read the keys in etcd
	Purpose  Purpose

	StartTimeout time.Duration // how long Open waits for etcd; 0: 30 s
	// Timeout is how long a call tries before it fails with ErrUnavailable. It may take as long
	// again until the outcome of a write is known. 0: 5 s.
	Timeout time.Duration
	// MaxLag is the maximum time since a node was certainly up to date with the cluster. After
	// that, Store.Fresh returns an error. 0: 5 s.
	MaxLag time.Duration

	Now    func() time.Time // the clock by which records expire; nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

const (
	defaultTimeout      = 5 * time.Second
	defaultStartTimeout = 30 * time.Second
	// attempts is how many members can be tried within Timeout.
	attempts = 3
)

func (o Options) withDefaults() Options {
	if o.StartTimeout <= 0 {
		o.StartTimeout = defaultStartTimeout
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxLag <= 0 {
		o.MaxLag = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Store is a connection to the cluster. It implements store.Store.
type Store struct {
	opts Options
	now  func() time.Time
	keys layout.Keys
	etcd *members.Members

	queue   queue
	writer  writer
	writing members.Mutex // held by the goroutine that uses writer
	epochs  *fence.Epochs
	// bulk is the fence of touches and sweeps.
	bulk     *fence.Fence
	bulkLock members.Mutex // held by the goroutine that uses bulk
	lags     *lag.Streams
	mark     string // the value of the key format while this Store fills the prefix
	counted  bool   // the store is of layout 1 and is only read

	ctx     context.Context // ends when Close begins
	stop    context.CancelFunc
	closing atomic.Bool
	close   sync.Once
	running sync.WaitGroup // the goroutines that Open starts
}

// Open connects to the cluster and checks that the prefix contains what the purpose requires.
// Errors: store.ErrUnavailable if no quorum answers within StartTimeout, ErrAccess, ErrUnfinished,
// ErrNotEmpty, ErrNoStore, and an error that says so if a newer program made the store.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	s := &Store{
		opts: opts, now: opts.Now, keys: layout.NewKeys(opts.Prefix),
		writing: members.NewMutex(), bulkLock: members.NewMutex(), lags: lag.New(opts.MaxLag),
	}
	s.queue.init()
	var err error
	s.etcd, err = members.New(members.Config{
		Endpoints: opts.Endpoints, TLS: opts.TLS, Username: opts.Username, Password: opts.Password,
		Probe: s.keys.Head(), Attempt: opts.Timeout / attempts, Logger: opts.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open store in etcd: %w: %w", store.ErrUnavailable, err)
	}
	s.epochs = fence.NewEpochs(s.etcd, s.keys, opts.NodeName, opts.Timeout, opts.Logger)
	s.writer = writer{s: s, fence: s.epochs.NewFence(), ids: newIDs()}
	s.bulk = s.epochs.NewFence()
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.claim(ctx); err != nil {
		s.stop()
		s.etcd.Close()
		return nil, err
	}
	s.running.Go(s.write)
	s.running.Go(s.observeLag)
	return s, nil
}

// Close waits for the writes that have begun, ends the watches and revokes the node's lease.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.closing.Store(true)
		s.queue.close()
		s.stop()
		// Both locks are kept, so that nothing is written any more.
		_ = s.bulkLock.Lock(context.Background())
		s.running.Wait()
		_ = s.writing.Lock(context.Background())
		s.epochs.Close()
		s.etcd.Close()
	})
	return nil
}

// ready returns the error of a call that can't begin.
func (s *Store) ready(ctx context.Context) error {
	if s.closing.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// failed returns an error in the terms of store.Store.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	_, damaged := errors.AsType[*store.DamagedError](err)
	switch {
	case damaged, errors.Is(err, layout.ErrNewer), errors.Is(err, store.ErrUncertain),
		errors.Is(err, store.ErrConflict):
	case s.closing.Load():
		err = store.ErrClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, s.explain(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ErrAccess: etcd refuses this process's user, or requires one.
var ErrAccess = errors.New("etcd refuses access")

// explain adds ErrAccess and an explanation to an error that is about the user.
func (s *Store) explain(err error) error {
	what := ""
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed):
		what = "the user name or the password is wrong"
	case errors.Is(err, rpctypes.ErrUserEmpty):
		what = "it requires a user name and a password"
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		what = fmt.Sprintf("the user may not read and write all keys under %q", s.keys.Prefix)
	default:
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrAccess, what, err)
}

// within returns a context for a call: it ends with ctx, when the store is closed, and after
// Timeout.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	release := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { release(); cancel() }
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, k store.Kind, id string) (store.Record, error) {
	if err := s.ready(ctx); err != nil {
		return store.Record{}, err
	}
	what := fmt.Sprintf("get record of kind %d", k)
	if !store.ValidID(id) {
		return store.Record{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	now := s.now()
	call, cancel := s.within(ctx)
	defer cancel()
	resp, err := s.etcd.Retry(call, clientv3.OpGet(s.keys.Record(k, id)))
	if err != nil {
		return store.Record{}, s.failed(ctx, what, err)
	}
	kvs := resp.Get().Kvs
	if len(kvs) == 0 {
		return store.Record{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	r, err := s.keys.Decode(kvs[0])
	switch {
	case err != nil:
		return store.Record{}, err
	case r.Expired(now):
		return store.Record{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	return r, nil
}

// Newest implements store.Store.
func (s *Store) Newest(ctx context.Context) (store.Revision, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	call, cancel := s.within(ctx)
	defer cancel()
	rev, _, err := s.newest(call)
	if err != nil {
		return 0, s.failed(ctx, "find newest revision", err)
	}
	return rev, nil
}

// newest returns the revision of the newest commit, and etcd's own revision, which may be later.
// A quorum confirms both after the call has begun.
func (s *Store) newest(ctx context.Context) (newest, etcd store.Revision, err error) {
	resp, err := s.etcd.First(ctx, clientv3.OpGet(s.keys.Head()))
	if err != nil {
		return 0, 0, err
	}
	get := resp.Get()
	if len(get.Kvs) > 0 {
		newest = store.Revision(get.Kvs[0].ModRevision)
	}
	return newest, store.Revision(get.Header.Revision), nil
}
