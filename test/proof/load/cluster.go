package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/wire"
)

// begin logs a user in, outside of the random load. It repeats the call until the node has time for
// it and knows what it did.
func (l *Load) begin(user int, n Node) (*session, error) {
	for late := time.Now().Add(Generous); ; <-time.After(50 * time.Millisecond) {
		o := history.Op{Client: auditor, Node: n.Name, Kind: history.Start, Call: l.rec.Now()}
		a := l.client.Login(context.Background(), wire.JSON, n.Addr, l.users[user], userPassword)
		l.begins(a)
		if a.Outcome == wire.Done {
			o.Session, o.User = a.Session.Key, a.Session.User
			l.note(o, a)
			return l.started(a.Session), nil
		}
		if !undecided(a.Outcome) || time.Now().After(late) {
			return nil, fmt.Errorf("log in on %s: outcome %d %s", n.Name, a.Outcome, a.Detail)
		}
	}
}

// Race lets one caller for each node redeem one ticket, all at once. It returns how many won, and
// ends all sessions. decided is false if no caller won because the nodes put callers off.
func (l *Load) Race(user int, nodes []Node) (won int, decided bool, err error) {
	s, err := l.begin(user, nodes[0])
	if err != nil {
		return 0, false, err
	}
	var t ticket
	for late := time.Now().Add(Generous); t.number == 0; {
		if t, _ = l.issue(auditor, nodes[0], s); time.Now().After(late) {
			return 0, false, errors.New("no ticket to race for")
		}
	}
	won, unknown := l.race(auditor, t, nodes)
	for _, x := range l.sessions() {
		if err := l.end(x, nodes[0]); err != nil {
			return won, false, err
		}
	}
	return won, won > 0 || unknown == 0, nil
}

// sessions returns the sessions that are alive as far as the clients know.
func (l *Load) sessions() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*session(nil), l.live...)
}

// end ends the session. It repeats the call like begin.
func (l *Load) end(s *session, n Node) error {
	maybe := false // an earlier try may have ended it
	for late := time.Now().Add(Generous); ; <-time.After(50 * time.Millisecond) {
		o := history.Op{
			Client: auditor, Node: n.Name, Kind: history.End, Session: s.Key, User: s.User, Call: l.rec.Now(),
		}
		a := l.client.Logout(context.Background(), wire.JSON, n.Addr, s.Token)
		l.note(o, a)
		if a.Outcome == wire.Done || a.Outcome == wire.Refused && maybe {
			l.Stats.Ends.Add(1)
			l.over(s)
			return nil
		}
		if !undecided(a.Outcome) || time.Now().After(late) {
			return fmt.Errorf("log out on %s: outcome %d %s", n.Name, a.Outcome, a.Detail)
		}
		maybe = maybe || a.Outcome != wire.Busy
	}
}

// served uses the session until the node says whether it works.
func (l *Load) served(client int, n Node, s *session) error {
	for late := time.Now().Add(Generous); ; <-time.After(10 * time.Millisecond) {
		got := l.look(client, n, wire.JSON, s)
		if got == wire.Done {
			return nil
		}
		if !undecided(got) || time.Now().After(late) {
			return fmt.Errorf("session %s is not served on %s: outcome %d", s.Key, n.Name, got)
		}
	}
}

// EndAndWatch begins a session, waits until all nodes serve it, and ends it on one node. It returns
// how long after the acknowledgement the last of the others refused it.
func (l *Load) EndAndWatch(user int, on Node, others []Node) (time.Duration, error) {
	s, err := l.begin(user, on)
	if err != nil {
		return 0, err
	}
	for i, n := range others {
		if err := l.served(auditor+1+i, n, s); err != nil {
			return 0, err
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

// Waking is the result of requests for ended sessions to a node that was paused when they ended.
type Waking struct {
	Served, Waits, Refused int
	Took                   time.Duration // from resuming to the refusal of the last session
}

// EndBehind begins sessions that both nodes serve, pauses off, and ends the sessions on on. It
// resumes off when away has passed since the last end. Shortly before that, it begins to ask off
// for all the sessions, and goes on until off refuses them.
func (l *Load) EndBehind(sessions int, on, off Node, away time.Duration, pause, resume func() error) (Waking, error) {
	all := make([]*session, sessions)
	for i := range all {
		var err error
		if all[i], err = l.begin(i%len(l.users), on); err != nil {
			return Waking{}, err
		}
		l.over(all[i]) // so that no worker ends it
		if err := l.served(auditor+1, off, all[i]); err != nil {
			return Waking{}, err
		}
	}
	if err := pause(); err != nil {
		return Waking{}, err
	}
	for _, s := range all {
		if err := l.end(s, on); err != nil {
			return Waking{}, errors.Join(err, resume())
		}
	}
	wakes := time.Now().Add(away)
	const early = 200 * time.Millisecond
	<-time.After(time.Until(wakes) - early)
	var mu sync.Mutex // guards w
	var w Waking
	var wg, sent sync.WaitGroup
	sent.Add(len(all))
	for i, s := range all {
		// The first request for each session is sent before the node resumes.
		first := sync.OnceFunc(sent.Done)
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { first() },
		})
		wg.Go(func() {
			for over := false; !over; {
				got := l.lookWith(ctx, 2*auditor+i, off, wire.JSON, s)
				mu.Lock()
				switch got {
				case wire.Done:
					w.Served++
				case wire.Refused:
					w.Refused++
				default:
					w.Waits++
				}
				mu.Unlock()
				over = got == wire.Refused || time.Since(wakes) > Generous
			}
		})
	}
	sent.Wait()
	<-time.After(time.Until(wakes))
	woken := time.Now()
	err := resume()
	wg.Wait()
	w.Took = time.Since(woken)
	return w, err
}

// Serves calls the node until the time is reached and the node has put off at least that many
// calls. It returns the time of the last successful answer, measured from the beginning, and how
// many calls were put off.
func (l *Load) Serves(n Node, until time.Time, least int) (served time.Duration, waits int) {
	began := time.Now()
	for now := began; now.Before(until) || waits < least && now.Before(until.Add(Generous)); now = time.Now() {
		switch a := l.client.Current(context.Background(), wire.JSON, n.Addr, l.admin.Token); a.Outcome {
		case wire.Done:
			served = now.Sub(began)
		case wire.Busy:
			waits++
		}
		<-time.After(2 * time.Millisecond)
	}
	return served, waits
}

// Shares says how many attempts succeeded.
type Shares struct {
	Reads, Writes           int // successful
	AllReads, AllWrites     int
	LongestRead, LongestGap time.Duration // longest time without a read, and without a write, on any node
}

func (s Shares) String() string {
	return fmt.Sprintf("reads %.2f %% of %d, longest gap %v; writes %.2f %% of %d, longest gap %v",
		100*float64(s.Reads)/float64(max(1, s.AllReads)), s.AllReads, s.LongestRead.Round(time.Millisecond),
		100*float64(s.Writes)/float64(max(1, s.AllWrites)), s.AllWrites, s.LongestGap.Round(time.Millisecond))
}

// Availability tries reads and writes on each of the nodes, until ctx ends.
func (l *Load) Availability(ctx context.Context, nodes ...Node) <-chan Shares {
	result := make(chan Shares, 1)
	var mu sync.Mutex // guards all
	var all Shares
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			l.try(ctx, 20*time.Millisecond, &mu, &all.Reads, &all.AllReads, &all.LongestRead, func() wire.Answer {
				return l.client.Current(context.Background(), wire.JSON, n.Addr, l.admin.Token)
			})
		})
		wg.Go(func() {
			// A ticket is a write that leaves no session. It lives for two minutes, and a user can have
			// 2,000: three nodes issue fewer than that.
			l.try(ctx, 250*time.Millisecond, &mu, &all.Writes, &all.AllWrites, &all.LongestGap, func() wire.Answer {
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

// try repeats the call, with that long a pause, until ctx ends. It counts under mu.
func (l *Load) try(
	ctx context.Context, pause time.Duration, mu *sync.Mutex, worked, all *int, gap *time.Duration,
	call func() wire.Answer,
) {
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
		<-time.After(pause)
	}
}

// Begin makes that many logins, with the users in turn.
func (l *Load) Begin(sessions int) error {
	for i := range sessions {
		if _, err := l.begin(i%len(l.users), l.cfg.Nodes[i%len(l.cfg.Nodes)]); err != nil {
			return err
		}
	}
	return nil
}

// Everywhere uses each session that the clients hold on each node. It returns an error unless all
// work.
func (l *Load) Everywhere() error {
	for _, s := range l.sessions() {
		for i, n := range l.cfg.Nodes {
			if err := l.served(auditor+1+i, n, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Report is what a node reports about itself.
type Report struct {
	Name                  string
	SessionCount          int
	StartTime, ReportTime time.Time
}

// Reports returns the newest report of each node, as the node n has it.
func (l *Load) Reports(ctx context.Context, n Node) (map[string]Report, error) {
	status, b, err := l.client.Call(ctx, n.Addr, l.admin.Token, "VigateCluster/cluster/nodes", "GET")
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("list nodes: status %d: %w: %.200s", status, err, b)
	}
	var nodes []Report
	if err := json.Unmarshal(b, &nodes); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	// Nodes that were killed are listed for a while as well.
	slices.SortFunc(nodes, func(a, b Report) int { return a.StartTime.Compare(b.StartTime) })
	reports := map[string]Report{}
	for _, x := range nodes {
		reports[x.Name] = x
	}
	return reports, nil
}

// BeginElsewhere begins a session on one node and uses it at once on another one. That node may not
// have heard of the session and may say so, but must not say that it is over.
func (l *Load) BeginElsewhere(user int, on, then Node) error {
	s, err := l.begin(user, on)
	if err != nil {
		return err
	}
	l.look(auditor+1, then, wire.JSON, s)
	return nil
}
