// Package members connects a process to the members of an etcd cluster.
//
// One member is current. All requests and watches go to it as long as it answers. If requests
// were spread over the members, each silent member would delay its share of them. When the
// current member fails, the next request finds the member that is the first to answer a probe: a
// read that a quorum takes part in, so a member that is cut off from the others does not win. That
// member becomes current, and the watches move to it.
//
// No request is sent again by itself, because the first may still be executed. See Class for what
// an error says about that.
package members

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/vigate/vigate/internal/secret"
)

const (
	// patience is how long First waits for the current member before it asks the others too. A
	// healthy member needs some milliseconds.
	patience = 300 * time.Millisecond

	// etcd disconnects clients that ping more often, or without a request in progress.
	pingEvery   = 5 * time.Second
	pingTimeout = 2 * time.Second
	// A connection attempt that began before the network was repaired may never succeed. These two
	// bound how long a node stays disconnected because of that.
	maxConnect = 2 * time.Second
	maxRedial  = time.Second

	minPause = 10 * time.Millisecond
	maxPause = 300 * time.Millisecond
)

var (
	// ErrMoved ends a watch when another member has become current.
	ErrMoved = errors.New("another member of etcd became current")
	// ErrEnded is the error of a watch that the member ended, or whose connection was lost.
	ErrEnded = errors.New("etcd ended the watch")
)

// Config says how to reach the members.
type Config struct {
	Endpoints []string // HOST:PORT or URL of each member
	TLS       *tls.Config
	Username  string
	Password  secret.Text
	Probe     string        // the key that probes read
	Attempt   time.Duration // how long one member has for one request
	Logger    *slog.Logger  // nil: slog.Default
}

// Members are the members of an etcd cluster.
type Members struct {
	cfg    Config
	all    []*member
	choose Mutex // held while the current member is determined
	ctx    context.Context
	stop   context.CancelFunc // ends all clients

	mu      sync.Mutex // guards the following
	current *member
	suspect bool // current has failed
	watches map[*watch]bool
}

// member is one endpoint. Its client is created when it is first needed: with a password, that
// already sends a request.
type member struct {
	config clientv3.Config
	client atomic.Pointer[clientv3.Client]
	create Mutex // held while the client is created
}

// watch is one call of Watch.
type watch struct {
	from *member
	end  context.CancelCauseFunc
}

// New returns the members. It does not connect to them. The first current member is random, so
// that the processes are spread over the members.
func New(cfg Config) (*Members, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, clientv3.ErrNoAvailableEndpoints
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	m := &Members{cfg: cfg, choose: NewMutex(), watches: map[*watch]bool{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	log := clientLog(cfg.Logger)
	for _, endpoint := range cfg.Endpoints {
		m.all = append(m.all, &member{create: NewMutex(), config: clientv3.Config{
			Endpoints:            []string{endpoint},
			TLS:                  cfg.TLS,
			Username:             cfg.Username,
			Password:             cfg.Password.Reveal(),
			DialTimeout:          cfg.Attempt, // of the request for the user's first token
			DialKeepAliveTime:    pingEvery,
			DialKeepAliveTimeout: pingTimeout,
			MaxUnaryRetries:      1, // in all: the client must not send a request again by itself
			Logger:               log,
			DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{
					BaseDelay: 50 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: maxRedial,
				},
				MinConnectTimeout: min(cfg.Attempt, maxConnect),
			})},
		}})
	}
	m.current = m.all[rand.IntN(len(m.all))]
	return m, nil
}

// Close disconnects. No method may be called any more.
func (m *Members) Close() {
	m.stop()
	for _, x := range m.all {
		if c := x.client.Load(); c != nil {
			_ = c.Close() // returns that its context has ended, as intended
		}
	}
}

// dial returns the client of a member.
func (m *Members) dial(ctx context.Context, x *member) (*clientv3.Client, error) {
	if c := x.client.Load(); c != nil {
		return c, nil
	}
	if err := x.create.Lock(ctx); err != nil {
		return nil, err
	}
	defer x.create.Unlock()
	if c := x.client.Load(); c != nil {
		return c, nil
	}
	// The client lives until Close. Until it is created, it also ends with ctx.
	base, cancel := context.WithCancel(m.ctx)
	release := context.AfterFunc(ctx, cancel)
	config := x.config
	config.Context = base
	c, err := clientv3.New(config)
	if err != nil {
		cancel()
		return nil, err
	}
	if !release() {
		_ = c.Close()
		return nil, ctx.Err()
	}
	x.client.Store(c)
	return c, nil
}

// trusted returns the current member. ok is false if it has failed and there are others.
func (m *Members) trusted() (x *member, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current, !m.suspect || len(m.all) == 1
}

// failed records that a member has failed.
func (m *Members) failed(x *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspect = m.suspect || m.current == x
}

// use makes a member current and ends the watches of other members.
func (m *Members) use(x *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current, m.suspect = x, false
	for w := range m.watches {
		if w.from != x {
			w.end(ErrMoved)
		}
	}
}

// choice returns the current member, after it has found another one if the current member has
// failed. Errors: ErrNoMember, ctx's.
func (m *Members) choice(ctx context.Context) (*member, error) {
	if x, ok := m.trusted(); ok {
		return x, nil
	}
	if err := m.choose.Lock(ctx); err != nil {
		return nil, err
	}
	defer m.choose.Unlock()
	if x, ok := m.trusted(); ok { // another caller has found it meanwhile
		return x, nil
	}
	if _, err := m.race(ctx, clientv3.OpGet(m.cfg.Probe), 0); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoMember, err)
	}
	x, _ := m.trusted()
	return x, nil
}

// Do sends a request to the current member.
func (m *Members) Do(ctx context.Context, op clientv3.Op) (resp clientv3.OpResponse, err error) {
	err = m.Call(ctx, func(ctx context.Context, c *clientv3.Client) (err error) {
		resp, err = c.Do(ctx, op)
		return err
	})
	return resp, err
}

// Call calls f with the client of the current member. If f fails for a reason that may be the
// member's fault, the next request finds the member that answers.
func (m *Members) Call(ctx context.Context, f func(context.Context, *clientv3.Client) error) error {
	x, err := m.choice(ctx)
	if err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, m.cfg.Attempt)
	defer cancel()
	err = m.call(attempt, x, f)
	if err != nil && ctx.Err() == nil && !Final(err) {
		m.failed(x)
	}
	return err
}

// call calls f with the client of the member. A member that has no leader refuses its requests.
func (m *Members) call(ctx context.Context, x *member, f func(context.Context, *clientv3.Client) error) error {
	c, err := m.dial(ctx, x)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoMember, err)
	}
	err = f(clientv3.WithRequireLeader(ctx), c)
	if m.cfg.Username != "" && errors.Is(err, rpctypes.ErrUserEmpty) {
		err = errToken
	}
	return err
}

// Retry sends a request that may be executed more than once, until it succeeds, the error is
// final, or ctx ends.
func (m *Members) Retry(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	return retry(ctx, func() (clientv3.OpResponse, error) { return m.Do(ctx, op) })
}

// First is Retry, but if the current member does not answer soon, all others are asked as well. The
// member that answers first becomes current.
func (m *Members) First(ctx context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	return retry(ctx, func() (clientv3.OpResponse, error) { return m.race(ctx, op, patience) })
}

func retry(ctx context.Context, do func() (clientv3.OpResponse, error)) (clientv3.OpResponse, error) {
	for n := 0; ; n++ {
		resp, err := do()
		if err == nil || Classify(err) == Refuse || !Pause(ctx, n) {
			return resp, err
		}
	}
}

// Pause waits between attempt n and the next one. It returns false if ctx ends first.
func Pause(ctx context.Context, n int) bool {
	t := time.NewTimer(min(minPause<<min(n, 10), maxPause))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// answer is the answer of one member.
type answer struct {
	from *member
	resp clientv3.OpResponse
	err  error
}

// race asks the current member, and all others after the wait or when the current one has failed.
// It returns when all members that were asked have answered or were cancelled.
func (m *Members) race(ctx context.Context, op clientv3.Op, wait time.Duration) (clientv3.OpResponse, error) {
	attempt, cancel := context.WithTimeout(ctx, m.cfg.Attempt)
	defer cancel()
	answers := make(chan answer)
	ask := func(x *member) {
		a := answer{from: x}
		a.err = m.call(attempt, x, func(ctx context.Context, c *clientv3.Client) (err error) {
			a.resp, err = c.Do(ctx, op)
			return err
		})
		answers <- a
	}
	begun, _ := m.trusted()
	go ask(begun)
	asked := 1
	others := func() {
		for _, x := range m.all {
			if x != begun && asked < len(m.all) {
				go ask(x)
				asked++
			}
		}
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	var won, lost answer
	for heard := 0; heard < asked; {
		select {
		case <-late.C:
			if won.from == nil {
				others()
			}
		case a := <-answers:
			heard++
			switch {
			case won.from != nil:
			case a.err == nil || Classify(a.err) == Refuse:
				won = a
				cancel()
				m.use(a.from)
			default:
				lost = a
				others()
			}
		}
	}
	if won.from == nil {
		if ctx.Err() == nil {
			m.failed(begun)
		}
		return lost.resp, lost.err
	}
	return won.resp, won.err
}
