//go:build linux

// Package proof_test tests the promises about sessions with real processes. They are killed, paused
// and deprived of disk space, while clients log in, clone, use and end sessions. What the clients
// saw is then checked for invariants and for linearizability.
package proof_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vigate/vigate/test/proof/history"
	"github.com/vigate/vigate/test/proof/load"
	"github.com/vigate/vigate/test/proof/site"
)

var (
	kills = flag.Int("kills", 8, "how often a node is killed under load")
	seed  = flag.Uint64("seed", rand.Uint64(), "of what is random")
)

// bin holds the program under test. root is the directory of its source.
var bin struct{ vigate, dir string }

const root = "../.."

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	fmt.Println("seed", *seed)
	// The tests wait more than they compute. However slow the others make a test, it waits until it
	// has seen what it waits for.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err) // the flag belongs to package testing
	}
	var err error
	if bin.dir, err = os.MkdirTemp("", "vigate-proof-"); err == nil {
		defer os.RemoveAll(bin.dir)
		bin.vigate, err = site.Build(root, bin.dir, "plain")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Limits that the load reaches.
const (
	maxSessions = 120
	maxPerUser  = 40
)

// trial is one node under load.
type trial struct {
	t    *testing.T
	node *site.Node
	load *load.Load
	rnd  *rand.Rand
	stop func() // ends the load and waits for it
}

// newTrial starts a node with its data in dir, and the load on it.
func newTrial(t *testing.T, program, dir string) *trial {
	t.Helper()
	n, err := site.NewNode("node", program, dir, "--max-sessions", fmt.Sprint(maxSessions),
		"--max-sessions-per-user", fmt.Sprint(maxPerUser))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Kill(); err != nil {
			t.Errorf("end node: %v", err)
		}
		if t.Failed() {
			t.Logf("end of the node's log:\n%s", n.Log())
		}
	})
	if _, err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := load.New(t.Context(), load.Config{
		Nodes: []load.Node{{Name: n.Name, Addr: n.Addr}}, Users: 4, Workers: 12, Seed: *seed,
		Target: maxSessions + 10, Timeout: load.Generous,
	}, site.Admin, site.AdminPassword)
	if err != nil {
		t.Fatal(err)
	}
	x := &trial{t: t, node: n, load: l, rnd: rand.New(rand.NewPCG(*seed, 1))}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	x.stop = func() { cancel(); <-done }
	t.Cleanup(func() { x.stop(); l.Close() })
	return x
}

// wait lets the load run for a random time.
func (x *trial) wait(from, to time.Duration) {
	<-time.After(from + time.Duration(x.rnd.Int64N(int64(to-from))))
}

// work lets the load run for a random time, and until that many more operations were acknowledged.
// So there is something to check afterwards, however slow the machine is.
func (x *trial) work(from, to time.Duration, operations int64) {
	x.t.Helper()
	enough := x.load.Stats.Acknowledged() + operations
	x.wait(from, to)
	eventually(x.t, fmt.Sprintf("%d operations are acknowledged", operations), func() bool {
		return x.load.Stats.Acknowledged() >= enough
	})
}

// eventually polls until ok returns true. It fails the test after load.Generous.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(load.Generous)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("not in %v: %s", load.Generous, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// must ends the test if a step fails that is not under test.
func (x *trial) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatalf("%v\nend of the node's log:\n%s", err, x.node.Log())
	}
}

// crash kills the node and starts it again. It returns how long the node was away.
func (x *trial) crash() time.Duration {
	x.t.Helper()
	began := time.Now()
	x.must(x.node.Kill())
	x.load.Recorder().Died(x.node.Name)
	_, err := x.node.Start(x.t.Context())
	x.must(err)
	return time.Since(began)
}

var rules = history.Rules{MaxPerUser: maxPerUser, MaxSessions: maxSessions}

// broken checks the invariants on all operations so far.
func (x *trial) broken() []history.Violation {
	return history.Invariants(x.load.Recorder().Ops(true), rules)
}

// prove ends the load and checks all operations by all rules.
func (x *trial) prove() {
	x.t.Helper()
	x.must(x.load.Audit(x.t.Context()))
	x.stop()
	ops := x.load.Recorder().Ops(true)
	began := time.Now()
	v := history.Check(ops, rules)
	x.t.Logf("%d operations on %d sessions (%s); checked in %v",
		len(ops), v.Sessions, &x.load.Stats, time.Since(began).Round(time.Millisecond))
	report(x.t, v, x.load.Recorder())
	for _, s := range x.load.Strange() {
		x.t.Errorf("an answer that should not exist: %s", s)
	}
}

// report reports the findings, with all operations on the sessions that they are about.
func report(t *testing.T, v *history.Verdict, r *history.Recorder) {
	t.Helper()
	told := map[string]bool{}
	whole := func(found *history.Violation) {
		for _, o := range found.Ops {
			if key := cmp.Or(o.Made, o.Session); key != "" && !told[key] {
				told[key] = true
				t.Logf("all of session %s:\n%s", key, history.Format(r.Of(key)))
			}
		}
	}
	for i := range v.Violations {
		t.Errorf("violation: %s", &v.Violations[i])
		whole(&v.Violations[i])
	}
	if v.Illegal != nil {
		t.Errorf("violation: %s", v.Illegal)
		whole(v.Illegal)
	}
	if v.Unsure > 0 {
		t.Errorf("%d sessions could not be judged in time", v.Unsure)
	}
}

// own creates a directory for the data of one trial.
func own(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
