package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/wire"
)

// begin logs a user in, for what is no part of the random load.
func (l *Load) begin(user int, n Node) (*session, error) {
	o := history.Op{Client: auditor, Node: n.Name, Kind: history.Start, Call: l.rec.Now()}
	a := l.client.Login(context.Background(), wire.JSON, n.Addr, l.users[user], userPassword)
	l.begins(a)
	if a.Outcome != wire.Done {
		return nil, fmt.Errorf("log in on %s: %s", n.Name, a.Detail)
	}
	o.Session, o.User = a.Session.Key, a.Session.User
	l.note(o, a)
	return l.started(a.Session), nil
}

// Race has one caller a node redeem one ticket, all at once, and returns how
// many won. All sessions of it are ended then.
func (l *Load) Race(user int, nodes []Node) (int, error) {
	s, err := l.begin(user, nodes[0])
	if err != nil {
		return 0, err
	}
	t, _ := l.issue(auditor, nodes[0], s)
	if t.number == 0 {
		return 0, errors.New("no ticket to race for")
	}
	won := l.race(auditor, t, nodes)
	for _, x := range l.sessions() {
		if err := l.end(x, nodes[0]); err != nil {
			return won, err
		}
	}
	return won, nil
}

// sessions is those that live, as far as is known.
func (l *Load) sessions() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*session(nil), l.live...)
}

func (l *Load) end(s *session, n Node) error {
	o := history.Op{Client: auditor, Node: n.Name, Kind: history.End, Session: s.Key, User: s.User, Call: l.rec.Now()}
	a := l.client.Logout(context.Background(), wire.JSON, n.Addr, s.Token)
	l.note(o, a)
	if a.Outcome != wire.Done {
		return fmt.Errorf("log out on %s: outcome %d %s", n.Name, a.Outcome, a.Detail)
	}
	l.Stats.Ends.Add(1)
	l.over(s)
	return nil
}

// EndAndWatch begins a session, has all nodes serve it, ends it on one and
// returns how long after the acknowledgement the last of the others refused it.
func (l *Load) EndAndWatch(user int, on Node, others []Node) (time.Duration, error) {
	s, err := l.begin(user, on)
	if err != nil {
		return 0, err
	}
	for i, n := range others {
		if got := l.look(auditor+1+i, n, wire.JSON, s); got != wire.Done {
			return 0, fmt.Errorf("a new session is not served on %s: outcome %d", n.Name, got)
		}
	}
	if err := l.end(s, on); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	var worst atomic.Int64
	var wg sync.WaitGroup
	for i, n := range others {
		wg.Go(func() {
			for l.look(auditor+1+i, n, wire.JSON, s) == wire.Done {
			}
			d := int64(time.Since(acknowledged))
			for was := worst.Load(); d > was && !worst.CompareAndSwap(was, d); was = worst.Load() {
			}
		})
	}
	wg.Wait()
	return time.Duration(worst.Load()), nil
}

// Serves asks the node until the time comes. It returns how long it served, to
// the last answer that says a session works, and how often it told to wait.
func (l *Load) Serves(n Node, until time.Time) (served time.Duration, waits int) {
	began := time.Now()
	for time.Now().Before(until) {
		call := time.Since(began)
		switch a := l.client.Current(context.Background(), wire.JSON, n.Addr, l.admin.Token); a.Outcome {
		case wire.Done:
			served = call
		case wire.Busy:
			waits++
		}
		<-time.After(2 * time.Millisecond)
	}
	return served, waits
}

// Shares is how much of what was tried worked.
type Shares struct {
	Reads, Writes           int // that worked
	AllReads, AllWrites     int
	LongestRead, LongestGap time.Duration // without a read, without a write, on any node
}

func (s Shares) String() string {
	return fmt.Sprintf("reads %.2f %% of %d, longest gap %v; writes %.2f %% of %d, longest gap %v",
		100*float64(s.Reads)/float64(max(1, s.AllReads)), s.AllReads, s.LongestRead.Round(time.Millisecond),
		100*float64(s.Writes)/float64(max(1, s.AllWrites)), s.AllWrites, s.LongestGap.Round(time.Millisecond))
}

// Availability tries, on each node and until ctx ends, a read and a write every
// few milliseconds.
func (l *Load) Availability(ctx context.Context) <-chan Shares {
	result := make(chan Shares, 1)
	var mu sync.Mutex // guards all
	var all Shares
	var wg sync.WaitGroup
	for _, n := range l.cfg.Nodes {
		wg.Go(func() {
			l.try(ctx, &mu, &all.Reads, &all.AllReads, &all.LongestRead, func() wire.Answer {
				return l.client.Current(context.Background(), wire.JSON, n.Addr, l.admin.Token)
			})
		})
		wg.Go(func() {
			// A ticket is a write that leaves no session.
			l.try(ctx, &mu, &all.Writes, &all.AllWrites, &all.LongestGap, func() wire.Answer {
				return l.client.Ticket(context.Background(), n.Addr, l.admin.Token)
			})
		})
	}
	go func() {
		wg.Wait()
		result <- all
	}()
	return result
}

// try makes the call every few milliseconds until ctx ends, and counts, under mu.
func (l *Load) try(ctx context.Context, mu *sync.Mutex, worked, all *int, gap *time.Duration, call func() wire.Answer) {
	last := time.Now()
	for ctx.Err() == nil {
		ok := call().Outcome == wire.Done
		mu.Lock()
		*all++
		if ok {
			*worked++
			*gap = max(*gap, time.Since(last))
			last = time.Now()
		}
		mu.Unlock()
		<-time.After(20 * time.Millisecond)
	}
}

// Fill makes so many sessions, with so many callers at a time.
func (l *Load) Fill(sessions, callers int) error {
	var left atomic.Int64
	left.Store(int64(sessions))
	var roots []*session
	for i := range l.users {
		s, err := l.begin(i, l.First())
		if err != nil {
			return err
		}
		roots = append(roots, s)
	}
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			n, s := l.cfg.Nodes[i%len(l.cfg.Nodes)], roots[i%len(roots)]
			for left.Add(-1) >= 0 {
				t := l.client.Ticket(context.Background(), n.Addr, s.Token)
				if c := l.client.Clone(context.Background(), n.Addr, t.Text); t.Outcome != wire.Done || c.Outcome != wire.Done {
					errs[i] = fmt.Errorf("fill: %s %s", t.Detail, c.Detail)
					return
				}
			}
		})
	}
	wg.Wait()
	l.unknown.Add(int64(sessions)) // they are in no history
	return errors.Join(errs...)
}

// BeginElsewhere begins a session on one node and uses it at once on another,
// which may not have heard of it and may say so, but not that it is over.
func (l *Load) BeginElsewhere(user int, on, then Node) error {
	s, err := l.begin(user, on)
	if err != nil {
		return err
	}
	l.look(auditor+1, then, wire.JSON, s)
	return nil
}
