package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// patience is how long the member in use has for what others can answer as
// well before they are asked, too. A healthy one needs milliseconds.
const patience = 300 * time.Millisecond

var (
	// errNobody: no member answers. Nothing was sent but questions.
	errNobody = errors.New("no member of etcd answers")
	errMoved  = errors.New("another member of etcd is in use")
)

// members are etcd's. One of them is in use, for all requests and streams, as
// long as it answers. To ask them in turns would have each silent one delay its
// share of all requests.
type members struct {
	all      []*member
	choosing turn // taken by who finds out which member answers
	ctx      context.Context
	stop     context.CancelFunc // ends all clients

	mu      sync.Mutex // guards what follows
	inUse   *member
	doubted bool // inUse has failed: it is to be found out which member answers
}

// member is an endpoint. Its client is made when it is first needed, which with
// a password asks the member.
type member struct {
	config  clientv3.Config
	client  atomic.Pointer[clientv3.Client]
	dialing turn // taken by who makes the client
}

// init has each process begin at a member of its own, by chance.
func (m *members) init(config clientv3.Config) error {
	if len(config.Endpoints) == 0 {
		return clientv3.ErrNoAvailableEndpoints
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.choosing = make(turn, 1)
	for _, endpoint := range config.Endpoints {
		c := config
		c.Endpoints = []string{endpoint}
		m.all = append(m.all, &member{config: c, dialing: make(turn, 1)})
	}
	m.inUse = m.all[rand.IntN(len(m.all))]
	return nil
}

// close ends the clients. Nobody asks a member any more.
func (m *members) close() {
	m.stop()
	for _, x := range m.all {
		if c := x.client.Load(); c != nil {
			_ = c.Close() // it only says that its context has ended, which is meant
		}
	}
}

// dial returns the member's client.
func (m *members) dial(ctx context.Context, x *member) (*clientv3.Client, error) {
	if c := x.client.Load(); c != nil {
		return c, nil
	}
	if err := x.dialing.take(ctx); err != nil {
		return nil, err
	}
	defer x.dialing.give()
	if c := x.client.Load(); c != nil {
		return c, nil
	}
	base, cancel := context.WithCancel(m.ctx)
	release := context.AfterFunc(ctx, cancel)
	config := x.config
	config.Context = base
	c, err := clientv3.New(config)
	if err != nil {
		cancel()
		return nil, err
	}
	if !release() { // the client's context ended with ctx
		_ = c.Close()
		return nil, ctx.Err()
	}
	x.client.Store(c)
	return c, nil
}

// trusted returns the member in use, unless it is doubted and there are others.
func (m *members) trusted() (*member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inUse, !m.doubted || len(m.all) == 1
}

// doubt takes note that the member has failed.
func (m *members) doubt(x *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubted = m.doubted || m.inUse == x
}

// use has the member be in use. It returns whether another was.
func (m *members) use(x *member) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	moved := m.inUse != x
	m.inUse, m.doubted = x, false
	return moved
}

// member returns the one to ask. Where the one in use has failed that is who
// is the first to answer a read that a quorum has a part in. Errors: errNobody,
// ctx's.
func (s *Store) member(ctx context.Context) (*member, error) {
	if x, ok := s.members.trusted(); ok {
		return x, nil
	}
	if err := s.members.choosing.take(ctx); err != nil {
		return nil, err
	}
	defer s.members.choosing.give()
	if x, ok := s.members.trusted(); ok { // another has found out meanwhile
		return x, nil
	}
	if _, err := s.race(ctx, clientv3.OpGet(s.keys.head()), 0); err != nil {
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	}
	x, _ := s.members.trusted()
	return x, nil
}

// use has the member be in use and the streams follow it.
func (s *Store) use(x *member) {
	if s.members.use(x) {
		s.fresh.moved(x)
	}
}

// answer is a member's.
type answer struct {
	from *member
	resp clientv3.OpResponse
	err  error
}

// race asks the member in use, and after the wait or once it has failed all
// others as well. Who answers first is in use from then on. op may be done more
// than once.
func (s *Store) race(ctx context.Context, op clientv3.Op, wait time.Duration) (clientv3.OpResponse, error) {
	attempt, cancel := context.WithTimeout(ctx, s.attempt())
	defer cancel()
	answers := make(chan answer) // nobody is left behind: all are heard to the end
	ask := func(x *member) {
		resp, err := s.do(attempt, x, op)
		answers <- answer{x, resp, err}
	}
	begun, _ := s.members.trusted()
	go ask(begun)
	asked, heard := 1, 0
	late := time.NewTimer(wait)
	defer late.Stop()
	others := func() {
		for _, x := range s.members.all {
			if x != begun && asked < len(s.members.all) {
				go ask(x)
				asked++
			}
		}
	}
	var won, lost answer
	for heard < asked {
		select {
		case <-late.C:
			if won.from == nil {
				others()
			}
		case a := <-answers:
			heard++
			switch {
			case won.from != nil: // what comes later is of no interest
			case a.err == nil || hopeless(a.err):
				won = a
				cancel()
				s.use(a.from)
			default:
				lost = a
				others()
			}
		}
	}
	if won.from == nil {
		if ctx.Err() == nil {
			s.members.doubt(begun)
		}
		return lost.resp, lost.err
	}
	return won.resp, won.err
}

// do sends one request to the member, which refuses it where it has no leader.
func (s *Store) do(ctx context.Context, x *member, op clientv3.Op) (clientv3.OpResponse, error) {
	c, err := s.members.dial(ctx, x)
	if err != nil {
		return clientv3.OpResponse{}, fmt.Errorf("%w: %w", errNobody, err)
	}
	return c.Do(clientv3.WithRequireLeader(ctx), op)
}

// with calls do with the client of the member in use, for as long as an attempt
// may take. If it fails for a reason that may be the member's, the next request
// finds out who answers.
func (s *Store) with(ctx context.Context, do func(context.Context, *clientv3.Client) error) error {
	x, err := s.member(ctx)
	if err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, s.attempt())
	defer cancel()
	c, err := s.members.dial(attempt, x)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNobody, err)
	} else {
		err = do(attempt, c)
	}
	if err != nil && ctx.Err() == nil && !hopeless(err) && !futile(err) {
		s.members.doubt(x)
	}
	return err
}

// desert ends the try to follow a member, whose client it is, as soon as there
// is no connection to it any more: the client itself would wait for one.
func (s *Store) desert(ctx context.Context, x *member, c *clientv3.Client, leave context.CancelCauseFunc) {
	if c.ActiveConnection().WaitForStateChange(ctx, connectivity.Ready) {
		s.members.doubt(x)
		leave(errEnded)
	}
}

// moved has the streams follow the member.
func (f *freshness) moved(to *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for a := range f.streams {
		if a.from != nil && a.from != to {
			a.cancel(errMoved)
		}
	}
}

// followed is the members that streams follow.
func (f *freshness) followed() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*member
	for a := range f.streams {
		if a.from != nil && !slices.Contains(all, a.from) {
			all = append(all, a.from)
		}
	}
	return all
}
