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

// Hold stops the clients between their calls until the function that it returns
// is called.
func (l *Load) Hold() (release func()) {
	l.paused.Lock()
	return l.paused.Unlock
}

// Audit holds the clients and looks at every session and ticket that may matter,
// on every node: what lives, what has ended, and the list. What it sees is part
// of the history. Sessions that nobody was told of are ended.
func (l *Load) Audit(ctx context.Context) error {
	defer l.Hold()()
	if l.cfg.Settled > 0 {
		select {
		case <-time.After(l.cfg.Settled):
		case <-ctx.Done():
			return ctx.Err()
		}
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

// list compares the list of sessions with what the clients know.
func (l *Load) list(ctx context.Context, n Node) error {
	call := l.rec.Now()
	listed, err := l.client.List(ctx, n.Addr, l.admin.Token)
	if err != nil {
		return fmt.Errorf("audit %s: %w", n.Name, err)
	}
	ret := l.rec.Now()
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
		return fmt.Errorf("audit %s: %w: %d that the clients don't know so far, %d calls that can have begun one, %d known", n.Name, errOrphans, begun, can, known)
	}
	l.Stats.Orphans.Add(int64(len(orphans)))
	for _, key := range orphans {
		if a := l.client.Terminate(ctx, n.Addr, l.admin.Token, key); a.Outcome != wire.Done {
			return fmt.Errorf("audit %s: end a session that nobody knows: %s", n.Name, a.Detail)
		}
	}
	return nil
}

// Listed is how many sessions there are, the administrator's own left out, and
// the most that one user has.
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

// First is the node that is asked where one must be chosen.
func (l *Load) First() Node { return l.cfg.Nodes[0] }

// Probe is what a client meets that tries a change and a read.
type Probe struct {
	Writes bool          // the change was made
	Busy   bool          // it was put off, to be tried again after Retry
	Retry  time.Duration // 0: not said
	Reads  bool          // the administrator's session works
}

// Probe tries both in the administrator's session. The change is a ticket, which
// no limit on sessions is in the way of.
func (l *Load) Probe(n Node) Probe {
	ctx := context.Background()
	a := l.client.Ticket(ctx, n.Addr, l.admin.Token)
	return Probe{
		Writes: a.Outcome == wire.Done, Busy: a.Outcome == wire.Busy, Retry: a.Retry,
		Reads: l.client.Current(ctx, wire.JSON, n.Addr, l.admin.Token).Outcome == wire.Done,
	}
}
