package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
	"github.com/vigate/vigate/test/etcd/proxy"
)

// quiet opens a store that sends hardly anything but the requests of its callers.
func quiet(t *testing.T, timeout time.Duration) (*etcd.Store, *proxy.Proxy, etcd.Options) {
	t.Helper()
	opts := space()
	direct := opts
	p := proxy.New(t, shared.Endpoint)
	opts.Endpoints = []string{p.Addr}
	opts.MaxLag = time.Hour
	opts.Timeout = timeout
	return opened(t, opts), p, direct
}

// later is the result of a commit that runs in the background.
type later struct {
	rev store.Revision
	err error
}

func commit(s store.Store, changes ...store.Change) <-chan later {
	done := make(chan later, 1)
	go func() {
		rev, err := s.Commit(context.Background(), changes...)
		done <- later{rev, err}
	}()
	return done
}

func TestACommitWhoseAnswerIsLostIsFoundOutToHaveHappened(t *testing.T) {
	s, p, opts := quiet(t, slow)
	other := opened(t, opts)
	// From now on the store has its lease and its fences, so only the commits below are sent.
	must(t, s, store.Append(store.Event, nil, never), store.Create(store.Session, "first", nil, never))
	for i := range 5 {
		id := fmt.Sprint("session", i)
		p.LoseAnswers()
		done := commit(s, store.Create(store.Session, id, []byte("1"), never), store.Append(store.Event, nil, never))
		var r store.Record
		eventually(t, "etcd has the record", func() bool {
			var err error
			r, err = other.Get(t.Context(), store.Session, id)
			return err == nil
		})
		p.Break()
		if got := <-done; got.err != nil || got.rev != r.Revision {
			t.Fatalf("Commit = %d, %v, want revision %d", got.rev, got.err, r.Revision)
		}
	}
	state, _ := follow(t, other).upTo(t, must(t, s, store.Clear(store.Session, "first")))
	if len(state) != 11 {
		t.Errorf("%d records, want 5 sessions and 6 events", len(state))
	}
}

func TestATouchWhoseAnswerIsLostIsFoundOutToHaveHappened(t *testing.T) {
	s, p, opts := quiet(t, slow)
	other := opened(t, opts)
	a := must(t, s, store.Create(store.Session, "a", nil, never))
	must(t, s, store.Create(store.Session, "b", nil, never))
	if _, err := s.Touch(t.Context(), store.Record{Kind: store.Session, ID: "none", Revision: 1}); err != nil {
		t.Fatal(err)
	}
	p.LoseAnswers()
	type result struct {
		revs []store.Revision
		err  error
	}
	done := make(chan result, 1)
	go func() {
		revs, err := s.Touch(context.Background(), store.Record{Kind: store.Session, ID: "b", Revision: a},
			store.Record{Kind: store.Session, ID: "a", Revision: a, Value: []byte("touched")})
		done <- result{revs, err}
	}()
	var r store.Record
	eventually(t, "etcd has the touch", func() bool {
		var err error
		r, err = other.Get(t.Context(), store.Session, "a")
		return err == nil && r.Revision > a
	})
	p.Break()
	if got := <-done; got.err != nil || got.revs[0] != 0 || got.revs[1] != r.Revision {
		t.Errorf("Touch = %v, %v, want only the second, at %d", got.revs, got.err, r.Revision)
	}
}

func TestACommitThatNeverArrivesIsSentAgain(t *testing.T) {
	s, p, opts := quiet(t, slow)
	other := opened(t, opts)
	must(t, s, store.Create(store.Session, "first", nil, never))
	p.LoseRequests()
	done := commit(s, store.Create(store.Session, "a", nil, never))
	p.Break()
	got := <-done
	if got.err != nil {
		t.Fatalf("Commit: %v", got.err)
	}
	if r, err := other.Get(t.Context(), store.Session, "a"); err != nil || r.Revision != got.rev {
		t.Errorf("Get = %+v, %v, want revision %d", r, err, got.rev)
	}
}

func TestACommitThatArrivesLateIsNotAppliedTwice(t *testing.T) {
	s, p, opts := quiet(t, slow)
	other := opened(t, opts)
	must(t, s, store.Put(store.Setting, "s", []byte("oldest"), never))
	p.HoldRequests()
	old := make([]byte, 4<<10) // so large that the test can see when the whole request is held
	done := commit(s, store.Put(store.Setting, "s", old, never))
	eventually(t, "the request is held", func() bool { return p.Held() > len(old) })
	release := p.Drop()
	if got := <-done; got.err != nil {
		t.Fatalf("Commit: %v", got.err)
	}
	newer := must(t, other, store.Put(store.Setting, "s", []byte("new"), never))
	before := revision(t)
	release()
	// The test can't see that etcd refused a request. But by then etcd has answered fifty later
	// ones.
	eventually(t, "etcd was given time", func() bool {
		must(t, other, store.Put(store.Setting, "other", nil, never))
		return revision(t) > before+50
	})
	r, err := other.Get(t.Context(), store.Setting, "s")
	if err != nil || r.Revision != newer || string(r.Value) != "new" {
		t.Errorf("a late request overwrote revision %d: at %d, %d bytes, %v", newer, r.Revision, len(r.Value), err)
	}
}

// revision returns the revision of the shared member.
func revision(t *testing.T) int64 {
	t.Helper()
	resp, err := client(t, shared).Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

func TestACommitOfUnknownOutcomeSaysSo(t *testing.T) {
	t.Parallel() // it mostly waits
	s, p, opts := quiet(t, 3*time.Second)
	other := opened(t, opts)
	eventually(t, "the first commit succeeds", func() bool {
		_, err := s.Commit(t.Context(), store.Put(store.Session, "first", nil, never))
		return err == nil
	})
	p.LoseAllAnswers()
	done := commit(s, store.Create(store.Session, "a", nil, never))
	eventually(t, "etcd has the record", func() bool {
		_, err := other.Get(t.Context(), store.Session, "a")
		return err == nil
	})
	p.Cut()
	select {
	case got := <-done:
		if !errors.Is(got.err, store.ErrUncertain) {
			t.Fatalf("Commit = %v, want ErrUncertain", got.err)
		}
	case <-time.After(patience):
		t.Fatalf("the commit has no outcome after %v", patience)
	}
	for _, err := range []error{
		(<-commit(s, store.Create(store.Session, "b", nil, never))).err,
		(<-commit(s, store.Require(store.Session, "first"))).err,
		func() error { _, err := s.Get(t.Context(), store.Session, "first"); return err }(),
		func() error { _, err := s.Newest(t.Context()); return err }(),
		func() error { _, err := s.Sweep(t.Context(), 1, store.Session); return err }(),
	} {
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUncertain) {
			t.Errorf("a call while etcd is away = %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, store.Session, "first"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get with a context that ends soon = %v", err)
	}
	p.Heal()
	eventually(t, "the store works again", func() bool {
		_, err := s.Commit(t.Context(), store.Put(store.Session, "c", nil, never))
		return err == nil
	})
}

func TestEtcdKilledAndStartedLosesNothing(t *testing.T) {
	m := member.Started(t, program, 1, member.Options{})[0]
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	opts.MaxLag = 500 * time.Millisecond
	s := opened(t, opts)
	watch := follow(t, s)
	wrote := map[string]bool{}
	for round := range 2 {
		for i := range 20 {
			id := fmt.Sprint(round, "-", i)
			must(t, s, store.Create(store.Session, id, nil, never), store.Append(store.Event, nil, never))
			wrote[id] = true
		}
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		under := commit(s, store.Create(store.Session, fmt.Sprint(round, "-under way"), nil, never))
		eventually(t, "the node knows that it is behind", func() bool { return s.Fresh() != nil })
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		if got := <-under; got.err == nil {
			wrote[fmt.Sprint(round, "-under way")] = true
		}
		eventually(t, "the store works again", func() bool {
			_, err := s.Commit(t.Context(), store.Put(store.Setting, "s", nil, never))
			return err == nil
		})
		eventually(t, "the node is fresh", func() bool { return s.Fresh() == nil })
	}
	newest, err := s.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, resets := watch.upTo(t, newest)
	for id := range wrote {
		if _, ok := state[id]; !ok {
			t.Errorf("session %s was acknowledged but is lost", id)
		}
	}
	if resets != 1 {
		t.Errorf("%d resets, want only the first", resets)
	}
}

func TestTheStreamBeginsAgainIfEtcdHasCompacted(t *testing.T) {
	s, p, opts := quiet(t, slow)
	other := opened(t, opts)
	must(t, other, store.Create(store.Session, "ended", nil, never), store.Create(store.Session, "stays", nil, never))
	watch := follow(t, s)
	watch.upTo(t, must(t, other, store.Create(store.Session, "seen", nil, never)))
	p.Cut()
	must(t, other, store.Delete(store.Session, "ended"))
	rev := must(t, other, store.Create(store.Session, "new", nil, never))
	if _, err := client(t, shared).Compact(t.Context(), int64(rev), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	state, resets := watch.upTo(t, rev)
	if resets != 2 || len(state) != 3 || state["ended"].ID != "" || state["new"].Revision != rev {
		t.Errorf("after %d resets: %v", resets, state)
	}
	state, resets = watch.upTo(t, must(t, other, store.Delete(store.Session, "stays")))
	if resets != 2 || len(state) != 2 {
		t.Errorf("after %d resets: %v", resets, state)
	}
}

func TestANodeThatIsCutOffIsNotFresh(t *testing.T) {
	opts := space()
	other := opened(t, opts)
	p := proxy.New(t, shared.Endpoint)
	opts.Endpoints = []string{p.Addr}
	opts.MaxLag = time.Second
	s := opened(t, opts)
	if err := s.Fresh(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Fresh without a stream = %v", err)
	}
	watch := follow(t, s)
	eventually(t, "the node is fresh", func() bool { return s.Fresh() == nil })
	p.Cut()
	ended := must(t, other, store.Create(store.Session, "ended meanwhile", nil, never))
	eventually(t, "the node is not fresh", func() bool {
		before, ok := s.Lag()
		err := s.Fresh()
		if err == nil && (!ok || before > opts.MaxLag) {
			t.Errorf("a node is fresh with a lag of %v, %v; MaxLag is %v", before, ok, opts.MaxLag)
		}
		return err != nil
	})
	if lag, ok := s.Lag(); !ok || lag < opts.MaxLag {
		t.Errorf("Lag = %v, %v", lag, ok)
	}
	if err := s.Fresh(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Fresh while cut off = %v", err)
	}
	p.Heal()
	eventually(t, "the node is fresh again", func() bool { return s.Fresh() == nil })
	// A fresh node has caught up.
	if state, resets := watch.seen(); state["ended meanwhile"].Revision != ended || resets != 1 {
		t.Errorf("a fresh node has %v after %d resets", state, resets)
	}
}

// A node stays fresh if it is idle, and also if only other nodes write.
func TestANodeStaysFreshWhileOthersWrite(t *testing.T) {
	opts := space()
	other := opened(t, opts)
	opts.MaxLag = time.Second
	s := opened(t, opts)
	follow(t, s)
	eventually(t, "the node is fresh", func() bool { return s.Fresh() == nil })
	// After MaxLag, the first proof of freshness is too old. The node must have asked again.
	for until := time.Now().Add(2 * opts.MaxLag); time.Now().Before(until); {
		must(t, other, store.Put(store.Setting, "s", nil, never))
	}
	eventually(t, "the node is still fresh", func() bool { return s.Fresh() == nil })
}
