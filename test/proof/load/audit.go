package load

import (
	"context"
	"fmt"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/wire"
)

// auditor is the client number of audits in the history.
const auditor = 999

// Hold stops the clients between their calls, until the caller calls the returned function.
func (l *Load) Hold() (release func()) {
	l.paused.Lock()
	return l.paused.Unlock
}

// Audit holds the clients and checks every session and ticket that may matter on every node: live
// sessions, ended sessions, and the list. The history records what it sees. Sessions that no client
// was told of are ended.
func (l *Load) Audit(ctx context.Context) error {
	defer l.Hold()()
	if err := l.settle(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	all := append(append([]*session(nil), l.live...), l.ended...)
	spent := append([]ticket(nil), l.spent...)
	l.spent = nil
	l.mu.Unlock()
	for i, s := range all {
		l.look(auditor, l.cfg.Nodes[i%len(l.cfg.Nodes)], wire.JSON, s)
	}
	for i, t := range spent {
		l.redeem(auditor, t, l.cfg.Nodes[i%len(l.cfg.Nodes)])
	}
	for _, n := range l.cfg.Nodes {
		if err := l.list(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// settle returns once every node shows all commits that were acknowledged before. A change that is
// made now reaches each node after everything else.
func (l *Load) settle(ctx context.Context) error {
	if len(l.cfg.Nodes) == 1 {
		return nil
	}
	text := fmt.Sprintf("as of %d", l.rec.Now())
	late := time.Now().Add(Generous)
	until := func(n Node, ok func() bool) error {
		for ; !ok(); <-time.After(5 * time.Millisecond) {
			if time.Now().After(late) {
				return fmt.Errorf("audit %s: it does not show a change of the service message", n.Name)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}
	n := l.cfg.Nodes[0]
	err := until(n, func() bool { return l.client.SetMessage(ctx, n.Addr, l.admin.Token, text).Outcome == wire.Done })
	for _, n := range l.cfg.Nodes {
		if err == nil {
			err = until(n, func() bool { return l.client.Message(ctx, n.Addr, l.admin.Token).Text == text })
		}
	}
	return err
}

// list compares the list of sessions with what the clients know.
func (l *Load) list(ctx context.Context, n Node) error {
	var call, ret int64
	var listed []wire.Session
	for late := time.Now().Add(Generous); ; <-time.After(50 * time.Millisecond) {
		call = l.rec.Now()
		var err error
		if listed, err = l.client.List(ctx, n.Addr, l.admin.Token); err == nil {
			ret = l.rec.Now()
			break
		}
		if ctx.Err() != nil || time.Now().After(late) {
			return fmt.Errorf("audit %s: %w", n.Name, err)
		}
	}
	there := map[string]string{}
	for _, s := range listed {
		there[s.Key] = s.User
	}
	l.mu.Lock()
	all := append(append([]*session(nil), l.live...), l.ended...)
	known := len(l.known)
	var orphans []string
	for key := range there {
		if l.known[key] == nil && key != l.admin.Key && !l.orphans[key] {
			orphans = append(orphans, key)
			l.orphans[key] = true
		}
	}
	begun := len(l.orphans)
	l.mu.Unlock()
	for _, s := range all {
		o := history.Op{
			Client: auditor, Node: n.Name, Kind: history.Use, Session: s.Key, User: s.User,
			Outcome: history.Refused, Call: call, Return: ret, Seen: s.Key, SeenUser: there[s.Key],
		}
		if _, ok := there[s.Key]; ok {
			o.Outcome = history.OK
		}
		l.rec.Add(o)
	}
	if can := int(l.unknown.Load()); begun > can {
		return fmt.Errorf("audit %s: %w: %d unknown to the clients, %d calls that can have begun one, %d known",
			n.Name, errOrphans, begun, can, known)
	}
	l.Stats.Orphans.Add(int64(len(orphans)))
	for _, key := range orphans {
		tries := 0
		a := patiently(func() wire.Answer { tries++; return l.client.Terminate(ctx, n.Addr, l.admin.Token, key) })
		if a.Outcome != wire.Done && (a.Outcome != wire.Refused || tries == 1) { // an earlier try may have ended it
			return fmt.Errorf("audit %s: end a session that no client knows: %s", n.Name, a.Detail)
		}
	}
	return nil
}

// Listed returns the number of sessions without the administrator's own, and the largest number of
// one user.
func (l *Load) Listed(ctx context.Context, n Node) (total, most int, err error) {
	listed, err := l.client.List(ctx, n.Addr, l.admin.Token)
	users := map[string]int{}
	for _, s := range listed {
		if s.Key != l.admin.Key {
			total++
			users[s.User]++
			most = max(most, users[s.User])
		}
	}
	return total, most, err
}

// First returns the node that is asked if any node will do.
func (l *Load) First() Node { return l.cfg.Nodes[0] }

// Probe is the result of one change and one read.
type Probe struct {
	Writes bool          // the change was made
	Busy   bool          // it was put off; the client should try again after Retry
	Retry  time.Duration // 0: not given
	Reads  bool          // the administrator's session works
}

// Probe tries both in the administrator's session. The change is a ticket, because no limit on
// sessions prevents it.
func (l *Load) Probe(n Node) Probe {
	ctx := context.Background()
	a := l.client.Ticket(ctx, n.Addr, l.admin.Token)
	return Probe{
		Writes: a.Outcome == wire.Done, Busy: a.Outcome == wire.Busy, Retry: a.Retry,
		Reads: l.client.Current(ctx, wire.JSON, n.Addr, l.admin.Token).Outcome == wire.Done,
	}
}
