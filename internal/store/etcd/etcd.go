// Package etcd is the store that the nodes of a cluster share.
//
// A commit is one etcd transaction, and revisions are etcd's own. What can be
// said in a transaction's conditions is: a commit costs one round trip unless
// it loses a race. The commits that one process asks for at about the same time
// share a transaction, and so a revision, where none names a record that
// another writes. No commit writes a key that commits of other nodes compare,
// unless it names the same record.
//
// A transaction whose answer is lost is never guessed about: see lane.
//
// The stream is a snapshot, read in pages at one revision, and etcd's watch
// from there. Where etcd has compacted what the watch would go on with, a new
// snapshot follows.
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
)

// Options say where the data is. Only Endpoints must be set.
type Options struct {
	Endpoints []string // HOST:PORT or URLs of the cluster's members
	Prefix    string   // all keys are under it; empty: vigate
	// TLS is for members that ask for it. Their certificates must be for the
	// endpoints' hosts: ServerName does not count.
	TLS      *tls.Config
	Username string // with Password, for an etcd that has authentication enabled
	Password secret.Text
	NodeName string // names this process to those who look into etcd
	Purpose  Purpose

	StartTimeout time.Duration // how long Open waits for etcd; 0: 30 s
	// Timeout is how long a call tries before it fails with ErrUnavailable. As
	// long again may pass until it is known what became of a write. 0: 5 s.
	Timeout time.Duration
	// MaxLag is how long ago a node may have been up to date with the cluster
	// and still be fresh, see Store.Fresh. 0: 5 s.
	MaxLag time.Duration

	Now    func() time.Time // the clock that records expire by; nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

const (
	defaultTimeout      = 5 * time.Second
	defaultStartTimeout = 30 * time.Second

	// etcd refuses clients that ping more often, or while nothing is asked.
	pingEvery   = 5 * time.Second
	pingTimeout = 2 * time.Second
	// Both bound how long a node stays away after the network is back: a try to
	// connect that began before may wait in vain.
	maxConnect = 2 * time.Second
	maxRedial  = time.Second
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

// Store is a connection to the cluster. It is a store.Store.
type Store struct {
	opts Options
	now  func() time.Time
	log  *slog.Logger
	keys keys

	members members
	queue   queue
	writer  writer
	writing turn // taken by who uses writer
	leases  leases
	// bulk is the lane of touches and sweeps, so that commits need not wait for
	// them. Who has taken bulkTurn may use it.
	bulk     lane
	bulkTurn turn
	fresh    freshness
	mark     string // the format that says that this Store fills the prefix
	counted  bool   // the store is of layout 1 and is only read

	ctx     context.Context // ends when Close begins
	stop    context.CancelFunc
	closing atomic.Bool
	close   sync.Once
	running sync.WaitGroup // the goroutines that Close waits for
}

// turn lets one at a time pass, as a mutex does, but waiting for it can be
// given up.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

// Open connects to the cluster and makes sure that what is under the prefix is
// what the purpose asks for. Errors: store.ErrUnavailable if no quorum answers
// within StartTimeout, ErrAccess, ErrUnfinished, ErrNotEmpty, ErrNoStore, and one
// that says so if a newer program made the store.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	s := &Store{opts: opts, now: opts.Now, log: opts.Logger, keys: newKeys(opts.Prefix), writing: make(turn, 1), bulkTurn: make(turn, 1)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.queue.init()
	s.leases.init()
	s.writer = writer{s: s, lane: lane{s: s}, ids: newIDs()}
	s.bulk.s = s
	s.fresh.init()
	err := s.members.init(clientv3.Config{
		Endpoints:            opts.Endpoints,
		TLS:                  opts.TLS,
		Username:             opts.Username,
		Password:             opts.Password.Reveal(),
		DialTimeout:          opts.Timeout, // for the first token of a user
		DialKeepAliveTime:    pingEvery,
		DialKeepAliveTimeout: pingTimeout,
		// The client sends nothing again by itself: what became of the first must be
		// known before, and another member may be the one to ask.
		MaxUnaryRetries: 1,
		Logger:          clientLog(opts.Logger),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: maxRedial},
			MinConnectTimeout: min(opts.StartTimeout, maxConnect),
		})},
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("open store in etcd: %w: %w", store.ErrUnavailable, err)
	}
	if err := s.claim(ctx); err != nil {
		s.stop()
		s.members.close()
		return nil, err
	}
	s.running.Go(s.write)
	s.running.Go(s.listen)
	return s, nil
}

// Close waits for the writes that were begun, ends the watches and gives up the
// node's lease.
func (s *Store) Close() error {
	s.close.Do(func() {
		s.closing.Store(true)
		s.queue.close()
		s.stop()
		s.bulkTurn <- struct{}{} // kept: no touch or sweep begins any more
		s.running.Wait()
		s.writing <- struct{}{} // kept, too
		s.leases.revoke(s)
		s.members.close()
	})
	return nil
}

// ready returns why a call can't begin.
func (s *Store) ready(ctx context.Context) error {
	if s.closing.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// failed says in the contract's words why something could not be done.
func (s *Store) failed(ctx context.Context, what string, err error) error {
	var damage *store.DamagedError
	switch {
	case errors.As(err, &damage), errors.Is(err, errNewer), errors.Is(err, store.ErrUncertain), errors.Is(err, store.ErrConflict):
	case s.closing.Load():
		err = store.ErrClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, s.explain(err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ErrAccess: etcd refuses this process's user, or asks for one.
var ErrAccess = errors.New("etcd refuses access")

// explain adds ErrAccess and what to do to an error that is about the user.
func (s *Store) explain(err error) error {
	what := ""
	switch {
	case errors.Is(err, rpctypes.ErrAuthFailed):
		what = "the user name or the password is wrong"
	case errors.Is(err, rpctypes.ErrUserEmpty):
		what = "it requires a user name and a password"
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		what = fmt.Sprintf("the user may not read and write all keys under %q", s.keys.prefix)
	default:
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrAccess, what, err)
}

// bound ends with ctx, when the store is closed, and at the latest after d.
func (s *Store) bound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	release := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { release(); cancel() }
}

// attempt is how long one request may take before another member is asked.
func (s *Store) attempt() time.Duration { return s.opts.Timeout / 3 }

// pauses are what lies between attempts.
const (
	minPause = 10 * time.Millisecond
	maxPause = 300 * time.Millisecond
)

// pause waits before attempt n+1. It returns false once ctx has ended.
func pause(ctx context.Context, n int) bool {
	t := time.NewTimer(min(minPause<<min(n, 10), maxPause))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// ask does what may be done more than once, until ctx ends or asking again
// can't help.
func (s *Store) ask(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	for n := 0; ; n++ {
		resp, err := s.once(ctx, op)
		if err == nil || hopeless(err) || !pause(ctx, n) {
			return resp, err
		}
	}
}

// once sends one request. A member that has no leader refuses it.
func (s *Store) once(ctx context.Context, op clientv3.Op) (resp clientv3.OpResponse, err error) {
	err = s.with(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		resp, err = c.Do(clientv3.WithRequireLeader(ctx), op)
		return err
	})
	return resp, err
}

// hopeless reports whether etcd will answer the same the next time.
func hopeless(err error) bool {
	for _, e := range []error{rpctypes.ErrCompacted, rpctypes.ErrFutureRev, rpctypes.ErrPermissionDenied,
		rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty, rpctypes.ErrLeaseNotFound} {
		if errors.Is(err, e) {
			return true
		}
	}
	return rejected(err)
}

// futile reports whether a write that was refused for the cause would be so for
// as long as a call may try.
func futile(cause error) bool {
	for _, e := range []error{rpctypes.ErrNoSpace, rpctypes.ErrPermissionDenied, rpctypes.ErrAuthFailed, rpctypes.ErrUserEmpty} {
		if errors.Is(cause, e) {
			return true
		}
	}
	return false
}

// rejected reports whether etcd refused a transaction before it could write any
// of it. That it has no space is not among them: it says so too after the write
// that exceeds the quota.
func rejected(err error) bool {
	for _, e := range []error{rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrDuplicateKey, rpctypes.ErrEmptyKey} {
		if errors.Is(err, e) {
			return true
		}
	}
	// Either side's limit of a message's size.
	var ofEtcd rpctypes.EtcdError
	return !errors.As(err, &ofEtcd) && status.Code(err) == codes.ResourceExhausted
}

// Get is the contract's.
func (s *Store) Get(ctx context.Context, k store.Kind, id string) (store.Record, error) {
	if err := s.ready(ctx); err != nil {
		return store.Record{}, err
	}
	what := fmt.Sprintf("get record of kind %d", k)
	if !store.ValidID(id) {
		return store.Record{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	now := s.now()
	bounded, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	resp, err := s.ask(bounded, clientv3.OpGet(s.keys.record(k, id)))
	if err != nil {
		return store.Record{}, s.failed(ctx, what, err)
	}
	kvs := resp.Get().Kvs
	if len(kvs) == 0 {
		return store.Record{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	r, err := s.keys.decode(kvs[0])
	if err != nil {
		return store.Record{}, err
	}
	if r.Expired(now) {
		return store.Record{}, fmt.Errorf("%s: %w", what, store.ErrNotFound)
	}
	return r, nil
}

// Newest is the contract's.
func (s *Store) Newest(ctx context.Context) (store.Revision, error) {
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	bounded, cancel := s.bound(ctx, s.opts.Timeout)
	defer cancel()
	rev, _, err := s.newest(bounded)
	if err != nil {
		return 0, s.failed(ctx, "find newest revision", err)
	}
	return rev, nil
}

// newest returns the revision of the newest commit and etcd's own, which may be
// later, as of a moment after the call: a quorum has confirmed it.
func (s *Store) newest(ctx context.Context) (newest, etcd store.Revision, err error) {
	var resp clientv3.OpResponse
	for n := 0; ; n++ {
		resp, err = s.race(ctx, clientv3.OpGet(s.keys.head()), patience)
		if err == nil {
			break
		}
		if hopeless(err) || !pause(ctx, n) {
			return 0, 0, err
		}
	}
	get := resp.Get()
	if len(get.Kvs) > 0 {
		newest = store.Revision(get.Kvs[0].ModRevision)
	}
	return newest, store.Revision(get.Header.Revision), nil
}
