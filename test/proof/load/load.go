// Package load is the load on the nodes under test. Clients log in, clone, use and end sessions at
// random, all at the same time. A [Load] records what they saw in a history, which package history
// judges. It also has the single actions of tests: races for a ticket, probes, and audits of all
// sessions.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/wire"
)

// Node is a node that clients call.
type Node struct{ Name, Addr string }

// Config configures a Load.
type Config struct {
	Nodes   []Node
	Users   int // besides the administrator
	Workers int
	Seed    uint64
	Timeout time.Duration // of a call
	// Target is the approximate number of sessions. If it is above the limits in force, the workers
	// reach the limits.
	Target int
	// Sticky: each worker uses one node only. So a node that hangs does not hold up the workers of
	// other nodes.
	Sticky bool
}

// Generous is how long a trial waits, on the slowest machines, for something that must happen. A
// trial continues until it has seen that, and fails only after this time.
const Generous = 5 * time.Minute

const userPassword = "another long password 8"

// Bounds on the use of one session. They keep its history short enough to be judged.
const (
	maxOps     = 150
	maxTickets = 40
	maxEnded   = 200 // ended sessions that are used again
	maxSpent   = 60  // spent tickets that are tried again
)

// session is a session that the clients know.
type session struct {
	wire.Session
	ops     atomic.Int64
	tickets atomic.Int64
}

// ticket is a ticket that was issued.
type ticket struct {
	text   string // secret
	number int
	of     *session
}

// Load is the clients of one site. It is safe for concurrent use.
type Load struct {
	cfg    Config
	client *wire.Client
	rec    *history.Recorder
	admin  wire.Session
	users  []string

	tickets atomic.Int64           // issued
	avoided atomic.Pointer[string] // name of the node that races avoid
	unknown atomic.Int64           // calls that may have begun a session that no client knows
	paused  sync.RWMutex           // held for reading by each call, for writing by an audit

	Stats Stats

	mu      sync.Mutex // guards the fields below
	live    []*session // as far as is known
	ended   []*session // the newest maxEnded
	spent   []ticket   // the newest maxSpent
	known   map[string]*session
	orphans map[string]bool // keys of sessions that no client was told of
	strange []string
}

// New logs the administrator in and creates the users.
func New(ctx context.Context, cfg Config, admin, password string) (*Load, error) {
	l := &Load{
		cfg: cfg, client: wire.New(cfg.Timeout), rec: history.NewRecorder(),
		known: map[string]*session{}, orphans: map[string]bool{},
	}
	a := patiently(func() wire.Answer {
		a := l.client.Login(ctx, wire.JSON, cfg.Nodes[0].Addr, admin, password)
		l.begins(a)
		return a
	})
	if a.Outcome != wire.Done {
		return nil, fmt.Errorf("log administrator in: outcome %d %s", a.Outcome, a.Detail)
	}
	l.admin = a.Session
	for i := range cfg.Users {
		name := fmt.Sprintf("user%d", i)
		a := patiently(func() wire.Answer {
			return l.client.CreateUser(ctx, cfg.Nodes[0].Addr, l.admin.Token, name, userPassword)
		})
		if a.Outcome != wire.Done {
			return nil, fmt.Errorf("make user: outcome %d %s", a.Outcome, a.Detail)
		}
		l.users = append(l.users, name)
	}
	return l, nil
}

// patiently repeats a call until its outcome is known, as good clients do.
func patiently(call func() wire.Answer) wire.Answer {
	for late := time.Now().Add(Generous); ; <-time.After(50 * time.Millisecond) {
		if a := call(); !undecided(a.Outcome) || time.Now().After(late) {
			return a
		}
	}
}

// undecided reports whether the call may be repeated: it was put off, or its outcome is not known.
func undecided(o wire.Outcome) bool {
	return o == wire.Busy || o == wire.Unsure || o == wire.NoAnswer || o == wire.NotSent
}

// Close closes idle connections.
func (l *Load) Close() { l.client.Close() }

// Recorder returns the history.
func (l *Load) Recorder() *history.Recorder { return l.rec }

// Strange returns the answers that should not exist.
func (l *Load) Strange() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strange
}

// Run lets the workers work until ctx ends.
func (l *Load) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for i := range l.cfg.Workers {
		w := &worker{Load: l, id: i, rnd: rand.New(rand.NewPCG(l.cfg.Seed, uint64(i)))}
		wg.Go(func() {
			for ctx.Err() == nil {
				if !w.turn() {
					// No server answers. Wait, so as not to spin.
					select {
					case <-ctx.Done():
					case <-time.After(5 * time.Millisecond):
					}
				}
			}
		})
	}
	wg.Wait()
}

// worker is one client. Its running call continues when the load ends.
type worker struct {
	*Load
	id  int
	rnd *rand.Rand
}

// turn makes one random call and reports whether a server was there.
func (w *worker) turn() bool {
	w.paused.RLock()
	defer w.paused.RUnlock()
	w.mu.Lock()
	n := len(w.live)
	w.mu.Unlock()
	dice := w.rnd.IntN(100)
	switch {
	case n == 0 || dice < 5:
		return w.login()
	case dice < 30 && n < w.cfg.Target:
		return w.clone()
	case dice < 76:
		return w.use(w.pick())
	case dice < 83:
		return w.use(w.pickEnded())
	case dice < 86:
		return w.replay()
	case n < w.cfg.Target*3/4 && dice < 93:
		return w.use(w.pick()) // let the sessions become many
	case dice < 96:
		return w.logout(w.pick())
	}
	return w.terminate(w.pick())
}

func (w *worker) node() Node {
	if w.cfg.Sticky {
		return w.cfg.Nodes[w.id%len(w.cfg.Nodes)]
	}
	return w.cfg.Nodes[w.rnd.IntN(len(w.cfg.Nodes))]
}

// racer returns a node to race on: any node but the one that is cut off.
func (w *worker) racer() Node {
	n := w.cfg.Nodes[w.rnd.IntN(len(w.cfg.Nodes))]
	if avoid := w.avoided.Load(); avoid != nil && n.Name == *avoid {
		return w.node()
	}
	return n
}

// Avoid makes races avoid the node. An empty name ends that.
func (l *Load) Avoid(name string) { l.avoided.Store(&name) }

func (w *worker) binding() wire.Binding { return wire.Binding(w.rnd.IntN(4) / 3) } // one in four is SOAP

// pick returns a live session, or nil if there is none.
func (w *worker) pick() *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return choose(w.rnd, w.live)
}

func (w *worker) pickEnded() *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return choose(w.rnd, w.ended)
}

func choose(rnd *rand.Rand, from []*session) *session {
	if len(from) == 0 {
		return nil
	}
	return from[rnd.IntN(len(from))]
}

// started records a new session.
func (l *Load) started(s wire.Session) *session {
	n := &session{Session: s}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = append(l.live, n)
	l.known[s.Key] = n
	return n
}

// over records that a session has ended.
func (l *Load) over(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, x := range l.live {
		if x == s {
			l.live[i] = l.live[len(l.live)-1]
			l.live = l.live[:len(l.live)-1]
			l.ended = append(l.ended, s)
			if len(l.ended) > maxEnded {
				l.ended = l.ended[1:]
			}
			return
		}
	}
}

// note records the outcome of a call and reports whether the call was sent. o has everything but
// the outcome and the return time.
func (l *Load) note(o history.Op, a wire.Answer) bool {
	o.Return = l.rec.Now()
	switch a.Outcome {
	case wire.Done:
		o.Outcome = history.OK
	case wire.Refused:
		o.Outcome = history.Refused
		l.Stats.Refusals.Add(1)
	case wire.Full:
		l.Stats.Full.Add(1)
		if a.PerUser {
			l.Stats.FullOfUser.Add(1)
		}
		if o.Kind == history.Redeem {
			o.Outcome = history.Full
			l.rec.Add(o)
		}
		return true
	case wire.NotSent:
		return false
	case wire.Busy:
		// The server says that it did nothing. If it did, the history shows it.
		l.Stats.Busy.Add(1)
		l.Stats.LastBusy.Store(&a.Detail)
		o.Outcome = history.PutOff
		l.rec.PutOff(o)
		return false
	case wire.Unsure:
		o.Outcome = history.Unknown
		l.Stats.Unsure.Add(1)
	case wire.NoAnswer:
		o.Outcome = history.Unknown
		l.Stats.NoAnswer.Add(1)
	default:
		l.complain(fmt.Sprintf("%v: %s", o.Kind, a.Detail))
		o.Outcome = history.Unknown
	}
	l.rec.Add(o)
	return true
}

func (l *Load) complain(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.strange) < 10 {
		l.strange = append(l.strange, what)
	}
}

// begins counts a call that may have begun a session that no client was told of.
func (l *Load) begins(a wire.Answer) {
	switch a.Outcome {
	case wire.Unsure, wire.NoAnswer, wire.Strange:
		l.unknown.Add(1)
	}
}

func (w *worker) login() bool {
	// Some users log in more often than others. So they reach their own limit before the server's
	// limit is reached.
	node, user := w.node(), w.users[min(w.rnd.IntN(len(w.users)), w.rnd.IntN(len(w.users)))]
	o := history.Op{Client: w.id, Node: node.Name, Kind: history.Start, Call: w.rec.Now()}
	a := w.client.Login(context.Background(), w.binding(), node.Addr, user, userPassword)
	w.begins(a)
	if a.Outcome == wire.Refused {
		took := time.Duration(w.rec.Now() - o.Call)
		w.complain(fmt.Sprintf("a login with the right password was refused by %s after %v", node.Name, took))
		return true
	}
	o.Session, o.User = a.Session.Key, a.Session.User
	if sent := w.note(o, a); a.Outcome != wire.Done {
		return sent
	}
	w.started(a.Session)
	w.Stats.Logins.Add(1)
	return true
}

func (w *worker) use(s *session) bool {
	if s == nil {
		return true
	}
	node := w.node()
	w.look(w.id, node, w.binding(), s)
	if s.ops.Add(1) > maxOps {
		return w.logout(s)
	}
	return true
}

// look asks which session the token belongs to.
func (l *Load) look(client int, node Node, b wire.Binding, s *session) wire.Outcome {
	return l.lookWith(context.Background(), client, node, b, s)
}

func (l *Load) lookWith(ctx context.Context, client int, node Node, b wire.Binding, s *session) wire.Outcome {
	o := history.Op{Client: client, Node: node.Name, Kind: history.Use, Session: s.Key, User: s.User, Call: l.rec.Now()}
	a := l.client.Current(ctx, b, node.Addr, s.Token)
	o.Seen, o.SeenUser = a.Session.Key, a.Session.User
	l.note(o, a)
	switch a.Outcome {
	case wire.Refused:
		l.over(s)
	case wire.Done:
		l.Stats.Uses.Add(1)
	}
	return a.Outcome
}

func (w *worker) logout(s *session) bool {
	if s == nil {
		return true
	}
	node := w.node()
	o := history.Op{Client: w.id, Node: node.Name, Kind: history.End, Session: s.Key, User: s.User, Call: w.rec.Now()}
	return w.finish(s, o, w.client.Logout(context.Background(), w.binding(), node.Addr, s.Token))
}

func (w *worker) terminate(s *session) bool {
	if s == nil {
		return true
	}
	node := w.node()
	o := history.Op{Client: w.id, Node: node.Name, Kind: history.End, Session: s.Key, User: s.User, Call: w.rec.Now()}
	return w.finish(s, o, w.client.Terminate(context.Background(), node.Addr, w.admin.Token, s.Key))
}

func (w *worker) finish(s *session, o history.Op, a wire.Answer) bool {
	sent := w.note(o, a)
	switch a.Outcome {
	case wire.Done:
		w.Stats.Ends.Add(1)
		w.over(s)
	case wire.Refused:
		w.over(s)
	}
	return sent
}

// clone gets a ticket. Up to four callers then race for it.
func (w *worker) clone() bool {
	s := w.pick()
	if s == nil || s.tickets.Add(1) > maxTickets {
		return true
	}
	t, ok := w.issue(w.id, w.node(), s)
	if !ok {
		return false
	}
	if t.number == 0 {
		return true
	}
	callers := 1 + w.rnd.IntN(4)
	nodes := make([]Node, callers)
	for i := range nodes {
		nodes[i] = w.racer()
	}
	w.race(w.id, t, nodes)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spent = append(w.spent, t); len(w.spent) > maxSpent {
		w.spent = w.spent[1:]
	}
	return true
}

// issue gets a ticket of the session. Its number is 0 if the node issued none.
func (l *Load) issue(client int, node Node, s *session) (ticket, bool) {
	o := history.Op{Client: client, Node: node.Name, Kind: history.Issue, Session: s.Key, User: s.User,
		Call: l.rec.Now()}
	a := l.client.Ticket(context.Background(), node.Addr, s.Token)
	if a.Outcome == wire.Done {
		o.Ticket = int(l.tickets.Add(1))
	}
	sent := l.note(o, a)
	return ticket{a.Text, o.Ticket, s}, sent
}

// race lets one caller for each node redeem the ticket, all at once. It returns how many won, and
// for how many this is not known.
func (l *Load) race(client int, t ticket, nodes []Node) (winners, unknown int) {
	var won, unsure atomic.Int64
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			switch got := l.redeem(1000*(client+1)+i, t, n); {
			case got == wire.Done:
				won.Add(1)
			case undecided(got):
				unsure.Add(1)
			}
		})
	}
	wg.Wait()
	return int(won.Load()), int(unsure.Load())
}

func (l *Load) redeem(client int, t ticket, node Node) wire.Outcome {
	o := history.Op{
		Client: client, Node: node.Name, Kind: history.Redeem, Session: t.of.Key, User: t.of.User,
		Ticket: t.number, Call: l.rec.Now(),
	}
	a := l.client.Clone(context.Background(), node.Addr, t.text)
	l.begins(a)
	o.Made = a.Session.Key
	l.note(o, a)
	if a.Outcome != wire.Done {
		return a.Outcome
	}
	if a.Session.User != t.of.User {
		l.complain(fmt.Sprintf("a clone of %s's session is %s's", t.of.User, a.Session.User))
	}
	l.started(a.Session)
	l.Stats.Clones.Add(1)
	return a.Outcome
}

// replay redeems a ticket again that was redeemed before.
func (w *worker) replay() bool {
	w.mu.Lock()
	var t ticket
	if n := len(w.spent); n > 0 {
		t = w.spent[w.rnd.IntN(n)]
	}
	w.mu.Unlock()
	if t.number != 0 {
		w.redeem(w.id, t, w.node())
	}
	return true
}

var errOrphans = errors.New("more sessions than the clients can have begun")
