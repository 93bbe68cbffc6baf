//go:build linux

package proof_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/load"
	"github.com/vigate/vigate/test/proof/site"
)

var (
	races   = flag.Int("races", 6, "how often callers on all nodes race for a ticket")
	ends    = flag.Int("ends", 40, "how many sessions are ended to measure when all nodes know")
	crashes = flag.Int("crashes", 4, "how often a node or a member of the cluster is killed under load")
	away    = flag.Duration("away", 6500*time.Millisecond, "how long a node is cut off from etcd")
	leaders = flag.Int("leaders", 1, "how often etcd's leader is killed")
	every   = flag.Duration("every", 3*time.Second, "time between kills of the leader")
	soon    = flag.Duration("soon", 100*time.Millisecond,
		"in what time 99 of 100 ended sessions are to be dead on all nodes, with -quiet")
	quiet    = flag.Bool("quiet", false, "the machine does nothing else: judge how long things take, too")
	sessions = flag.Int("sessions", 1000, "how many sessions there are when all is restarted")
)

// bound is the largest age of the data by which a node may serve.
const bound = 5 * time.Second

// cluster is three nodes on three members of etcd.
type cluster struct {
	*site.Cluster
	t     *testing.T
	load  *load.Load
	rnd   *rand.Rand
	rules history.Rules
	stop  func() // ends the load, if it is running
}

var etcd = sync.OnceValues(func() (string, error) { return site.BuildEtcd("../etcd", bin.dir) })

func newCluster(t *testing.T, program string, args ...string) *cluster {
	t.Helper()
	return newFilled(t, 0, program, args...)
}

// newFilled starts a cluster that already has sessions, of users that the load does not know.
func newFilled(t *testing.T, sessions int, program string, args ...string) *cluster {
	t.Helper()
	program2, err := etcd()
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.NewCluster(t.Context(), program, program2, t.TempDir(), args...)
	c := &cluster{
		Cluster: s, t: t, rnd: rand.New(rand.NewPCG(*seed, 2)), stop: func() {}, rules: history.Rules{Stale: bound},
	}
	t.Cleanup(func() {
		c.stop()
		if err := s.Close(); err != nil {
			t.Errorf("end cluster: %v", err)
		}
		if t.Failed() {
			for _, n := range s.Nodes {
				t.Logf("end of %s's log:\n%s", n.Name, n.Log())
			}
		}
	})
	c.must(err)
	if sessions > 0 {
		began := time.Now()
		c.must(s.Fill(t.Context(), root+"/bench", own(t, "fill"), sessions))
		t.Logf("%d sessions made and copied into etcd in %v", sessions, time.Since(began).Round(time.Millisecond))
	}
	c.must(s.StartNodes(t.Context()))
	var nodes []load.Node
	for _, n := range s.Nodes {
		nodes = append(nodes, load.Node{Name: n.Name, Addr: n.Addr})
	}
	c.load, err = load.New(t.Context(), load.Config{
		Nodes: nodes, Users: 4, Workers: 12, Seed: *seed, Target: maxSessions + 10, Timeout: load.Generous,
		Sticky: true,
	}, site.Admin, site.AdminPassword)
	c.must(err)
	t.Cleanup(c.load.Close)
	return c
}

// limited starts a cluster with limits that a load would reach.
func limited(t *testing.T, program string) *cluster {
	t.Helper()
	return newCluster(t, program, "--max-sessions", fmt.Sprint(maxSessions),
		"--max-sessions-per-user", fmt.Sprint(maxPerUser))
}

// loaded starts a cluster with such limits, and a load.
func loaded(t *testing.T, program string) *cluster {
	t.Helper()
	c := limited(t, program)
	c.begin()
	return c
}

// begin starts the load.
func (c *cluster) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.load.Run(ctx)
	}()
	c.stop = func() { cancel(); <-done }
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) wait(d time.Duration) { <-time.After(d) }

// work lets the load run for a time, and until that many more operations were acknowledged, and
// that many more changes.
func (c *cluster) work(d time.Duration, operations, changes int64) {
	c.t.Helper()
	s := &c.load.Stats
	all, some := s.Acknowledged()+operations, s.Changes()+changes
	c.wait(d)
	what := fmt.Sprintf("%d operations are acknowledged, %d of them changes", operations, changes)
	eventually(c.t, what, func() bool {
		return s.Acknowledged() >= all && s.Changes() >= some
	})
}

// node returns the i-th node, as clients know it.
func (c *cluster) node(i int) load.Node {
	return load.Node{Name: c.Nodes[i].Name, Addr: c.Nodes[i].Addr}
}

// prove ends the load and checks all operations by the rules.
func (c *cluster) prove() {
	c.t.Helper()
	c.must(c.load.Audit(c.t.Context()))
	c.stop()
	// The death of a node does not cancel its requests to etcd.
	ops := c.load.Recorder().Ops(false)
	v := history.Check(ops, c.rules)
	c.t.Logf("%d operations on %d sessions (%s)", len(ops), v.Sessions, &c.load.Stats)
	report(c.t, v, c.load.Recorder())
	for _, s := range c.load.Strange() {
		c.t.Errorf("an answer that should not exist: %s", s)
	}
}

// broken checks the invariants on all operations so far.
func (c *cluster) broken() []history.Violation {
	return history.Invariants(c.load.Recorder().Ops(false), c.rules)
}

// crash kills a node and starts it again.
func (c *cluster) crash(i int) {
	c.t.Helper()
	n := c.Nodes[i]
	c.must(n.Kill())
	c.load.Recorder().Died(n.Name)
	_, err := n.Start(c.t.Context())
	c.must(err)
}

// compact removes etcd's history. A member without a leader refuses that, which happens on a busy
// machine.
func (c *cluster) compact(m *site.Member) {
	c.t.Helper()
	eventually(c.t, "etcd is compacted", func() bool { return m.Compact(c.t.Context()) == nil })
}

func TestATicketRacedOnAllNodesHasOneWinner(t *testing.T) {
	t.Parallel()
	const callers = 64
	c := newCluster(t, bin.vigate)
	nodes := make([]load.Node, callers)
	for i := range nodes {
		nodes[i] = c.node(i % len(c.Nodes))
	}
	began := time.Now()
	for i := 0; i < *races; {
		won, decided, err := c.load.Race(i%4, nodes)
		c.must(err)
		if won != 1 && decided {
			t.Errorf("race %d: %d winners of %d callers, want 1", i+1, won, callers)
		}
		if decided {
			i++
		} else if time.Since(began) > load.Generous {
			t.Fatalf("%d races are decided after %v, of %d", i, time.Since(began), *races)
		}
	}
	t.Logf("%d races of %d callers in %v, one winner each", *races, callers, time.Since(began).Round(time.Millisecond))
	c.prove()
}

// beside lets a test that also measures run beside others, unless it is to judge what it measures.
func beside(t *testing.T) {
	if !*quiet {
		t.Parallel()
	}
}

// This test measures, so it is not parallel. It runs before the parallel ones.
func TestASessionEndedOnOneNodeIsSoonDeadOnAll(t *testing.T) {
	c := newCluster(t, bin.vigate)
	var took []time.Duration
	for i := range *ends {
		var others []load.Node
		for j := range c.Nodes {
			if j != i%len(c.Nodes) {
				others = append(others, c.node(j))
			}
		}
		d, err := c.load.EndAndWatch(i%4, c.node(i%len(c.Nodes)), others)
		c.must(err)
		took = append(took, d)
	}
	slices.Sort(took)
	p99 := took[(len(took)*99+99)/100-1]
	t.Logf("%d sessions ended on one node were dead on all others after: median %v, p99 %v, at most %v",
		len(took), took[len(took)/2], p99, took[len(took)-1])
	if *quiet && p99 > *soon {
		t.Errorf("p99 is %v, want at most %v", p99, *soon)
	}
	c.prove()
}

// TestANodeCutOffServesNobodyUntilItHasCaughtUp checks I6, for links that are cut and for links
// that lose everything.
func TestANodeCutOffServesNobodyUntilItHasCaughtUp(t *testing.T) {
	beside(t)
	for name, part := range map[string]func(*site.Link){"cut": (*site.Link).Cut, "stalled": (*site.Link).Stall} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			c := loaded(t, bin.vigate)
			c.work(time.Second, acknowledged, 1)
			const off = 1
			c.load.Avoid(c.Nodes[off].Name)
			began := time.Now()
			for _, k := range c.Links(off) {
				part(k)
			}
			elsewhere := make(chan error, 1)
			go func() { elsewhere <- c.load.BeginElsewhere(0, c.node(0), c.node(off)) }()
			served, refused := c.load.Serves(c.node(off), began.Add(*away), 1)
			t.Logf("served for %v after it was cut off, then put clients off; %d refusals",
				served.Round(time.Millisecond), refused)
			if served > bound+100*time.Millisecond {
				t.Errorf("a node cut off served for %v, want at most %v", served, bound)
			}
			if refused == 0 {
				t.Error("the node never stopped serving")
			}
			c.must(<-elsewhere)
			for _, k := range c.Links(off) {
				k.Heal()
			}
			healed := time.Now()
			eventually(t, "the node serves again", func() bool { return c.load.Probe(c.node(off)).Reads })
			t.Logf("served again %v after it was joined again", time.Since(healed).Round(time.Millisecond))
			if d := time.Since(healed); *quiet && d > 5*time.Second {
				t.Errorf("healed after %v, want at most 5 s", d)
			}
			c.load.Avoid("")
			c.work(time.Second, acknowledged, 1)
			c.prove()
		})
	}
}

func TestTheLeaderOfEtcdIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	c := loaded(t, bin.vigate)
	watched, stop := context.WithCancel(context.Background())
	defer stop()
	availability := c.load.Availability(watched, c.reaching(noNode)...)
	c.work(time.Second, acknowledged, 1)
	for range *leaders {
		m := c.Members[c.leader()]
		c.must(m.Kill())
		c.work(*every/3, acknowledged, 1)
		c.must(m.Launch())
		c.must(m.Ready(t.Context()))
		c.work(*every*2/3, acknowledged, 1)
	}
	stop()
	a := <-availability
	t.Logf("etcd's leader killed %d times, every %v: %v", *leaders, *every, a)
	if a.Reads == 0 || a.Writes == 0 {
		t.Error("nothing was served at all")
	}
	eventually(t, "all nodes serve", c.serve)
	c.prove()
}

// leader waits until a member leads, and returns its index.
func (c *cluster) leader() (leads int) {
	c.t.Helper()
	eventually(c.t, "a member of etcd leads", func() (ok bool) {
		i, err := site.Leader(c.t.Context(), c.Members)
		leads = i
		return err == nil
	})
	return leads
}

// serve reports whether all nodes serve reads and changes.
func (c *cluster) serve() bool { return c.served(noNode) }

func TestEtcdIsCompactedAndDefragmentedUnderLoad(t *testing.T) {
	t.Parallel()
	c := loaded(t, bin.vigate)
	// anew returns how many streams have met a compaction and begun again.
	anew := func() (n int) {
		for _, node := range c.Nodes {
			n += node.Logged("the stream of changes begins anew")
		}
		return n
	}
	began := time.Now()
	var defragmented time.Duration
	for i := 0; i < 6 || anew() == 0; i++ {
		if time.Since(began) > load.Generous {
			t.Fatal("no stream ever met a compaction: nothing was proved")
		}
		off := i % len(c.Nodes)
		// A node that misses compacted changes must begin again.
		c.load.Avoid(c.Nodes[off].Name)
		for _, k := range c.Links(off) {
			k.Cut()
		}
		c.work(400*time.Millisecond, 0, 5)
		c.compact(c.Members[i%len(c.Members)])
		for _, k := range c.Links(off) {
			k.Heal()
		}
		c.load.Avoid("")
		at := time.Now()
		eventually(t, "a member is defragmented", func() bool {
			return c.Members[i%len(c.Members)].Defragment(t.Context()) == nil
		})
		defragmented += time.Since(at)
		c.work(300*time.Millisecond, acknowledged, 0)
	}
	eventually(t, "all nodes serve", c.serve)
	c.prove()
	t.Logf("members were compacted and defragmented in turn, in %v; %d streams met a compaction and began again",
		defragmented.Round(time.Millisecond), anew())
}

func TestNodesAndMembersAreKilledUnderLoad(t *testing.T) {
	t.Parallel()
	c := loaded(t, bin.vigate)
	for i := range *crashes {
		c.work(time.Duration(100+c.rnd.IntN(400))*time.Millisecond, acknowledged, 1)
		switch i % 4 {
		case 3:
			m := c.Members[c.rnd.IntN(len(c.Members))]
			c.must(m.Kill())
			c.wait(time.Duration(c.rnd.IntN(500)) * time.Millisecond)
			c.must(m.Launch())
			c.must(m.Ready(t.Context()))
		case 2:
			n := c.Nodes[c.rnd.IntN(len(c.Nodes))]
			c.must(n.Pause())
			c.wait(time.Duration(200+c.rnd.IntN(600)) * time.Millisecond)
			c.must(n.Resume())
			fallthrough
		default:
			c.crash(c.rnd.IntN(len(c.Nodes)))
		}
		if i%4 == 3 {
			eventually(t, "all nodes serve", c.serve)
			c.must(c.load.Audit(t.Context()))
		}
	}
	t.Logf("%d kills", *crashes)
	eventually(t, "all nodes serve", c.serve)
	c.prove()
}

// TestEverythingIsRestartedWithManySessions kills all processes at once. After the restart all
// sessions exist, and the sessions of the clients work on each node.
func TestEverythingIsRestartedWithManySessions(t *testing.T) {
	t.Parallel()
	c := newFilled(t, *sessions, bin.vigate, "--max-sessions", "1000000", "--max-sessions-per-user", "1000000")
	const held = 60
	c.must(c.load.Begin(held))
	c.must(c.Kill())
	for _, n := range c.Nodes {
		c.load.Recorder().Died(n.Name)
	}
	began := time.Now()
	c.must(c.StartMembers(t.Context()))
	members := time.Since(began)
	c.must(c.StartNodes(t.Context()))
	nodes := time.Since(began) - members
	c.must(c.load.Everywhere())
	// The administrator's own session is one of them.
	want := *sessions + held + 1
	t.Logf("%d sessions: all were started again, etcd was ready after %v, three nodes %v later; "+
		"%d sessions of clients worked on all nodes after %v",
		want, members.Round(time.Millisecond), nodes.Round(time.Millisecond), held,
		time.Since(began).Round(time.Millisecond))
	// A node knows the last report of another node, which may be from before the kill.
	for _, n := range c.Nodes {
		eventually(t, fmt.Sprintf("%s reports %d sessions", n.Name, want), func() bool {
			reports, err := c.load.Reports(t.Context(), c.node(0))
			return err == nil && reports[n.Name].SessionCount == want
		})
	}
	report(t, history.Check(c.load.Recorder().Ops(false), c.rules), c.load.Recorder())
}

// TestAWatchThatSkipsWhatWasCompactedIsFound plants that bug. It makes a node miss some changes,
// and compacts them.
func TestAWatchThatSkipsWhatWasCompactedIsFound(t *testing.T) {
	t.Parallel()
	c := loaded(t, watchMutant.build(t))
	began := time.Now()
	for round := 0; time.Since(began) < load.Generous; round++ {
		c.work(500*time.Millisecond, acknowledged, 0)
		off := round % len(c.Nodes)
		c.load.Avoid(c.Nodes[off].Name)
		for _, k := range c.Links(off) {
			k.Cut()
		}
		c.work(500*time.Millisecond, 0, 5)
		c.compact(c.Members[0])
		for _, k := range c.Links(off) {
			k.Heal()
		}
		c.load.Avoid("")
		// If the node misses a new session, that is found at once. If it still has an old one, that
		// is found after the time for which a node may be behind.
		c.work(time.Second, acknowledged, 0)
		_ = c.load.Audit(t.Context()) // a wrong list is a finding, too
		if v := history.Check(c.load.Recorder().Ops(false), c.rules); v.Illegal != nil {
			t.Logf("found in round %d\n%s", round+1, v.Illegal)
			for i := range v.Violations {
				t.Logf("%s", &v.Violations[i])
			}
			return
		}
	}
	t.Errorf("not found in %v", load.Generous)
}
