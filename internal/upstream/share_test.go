package upstream

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/cluster"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/upstream/note"
)

// member is a process of a cluster, with its upstream.
type member struct {
	*scene
	cluster *cluster.Cluster
	mirror  *store.Mirror
}

// join starts a process of a cluster whose processes share a store.
func join(t *testing.T, d *double, shared store.Store, name, keys string) *member {
	t.Helper()
	c, err := cluster.New(cluster.Options{Name: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	notes := note.New(note.Options{Node: c.Key(), Alive: c.Alive, Logger: slog.New(slog.DiscardHandler)})
	m := store.NewMirror(shared, c.View(), notes.View())
	c.Attach(m)
	notes.Attach(m)
	storetest.Follow(t, m)
	if err := c.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &member{stage(t, d, keys, func(o *Options) {
		o.Notes, o.Now, o.Share = notes, time.Now, c.Share
	}), c, m}
}

// shares returns how many sessions each process may have, after all of them know of each other.
func shares(t *testing.T, all []*member) []int {
	t.Helper()
	var most []int
	for _, m := range all {
		if err := m.mirror.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.look(time.Now())
		most = append(most, m.State().MaxPlaces)
	}
	slices.Sort(most)
	return most
}

func TestAServerWithoutAShareSaysSoAtOnce(t *testing.T) {
	d := newDouble(t)
	d.limit = 2
	shared := storetest.NewMemory(time.Now)
	const keys = "max-sessions: 2\nwait-timeout: 10m"
	var all []*member
	for _, name := range []string{"a", "b", "c"} {
		all = append(all, join(t, d, shared, name, keys))
	}
	if most := shares(t, all); !slices.Equal(most, []int{0, 1, 1}) {
		t.Fatalf("the shares are %v", most)
	}
	var without *member
	for _, m := range all {
		if m.State().MaxPlaces == 0 {
			without = m
			continue
		}
		m.use("ann").Done()
	}
	_, err := without.pool("ann").Acquire(t.Context())
	share, ok := errors.AsType[*ShareError](err)
	if !ok || share.Sessions != 2 || share.Processes != 3 || !errors.Is(err, ErrFull) {
		t.Fatalf("a call without a share: %v", err)
	}
	if _, err := without.acquire(t.Context(), demand{}); !errors.Is(err, ErrFull) {
		t.Errorf("a login of its own without a share: %v", err)
	}
	if _, err := without.Content(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*ShareError](without.Ready()); !ok || without.State().Err == nil {
		t.Errorf("it counts as ready: %v", without.Ready())
	}
	// The share of a server that leaves is another's.
	var rest []*member
	for _, m := range all {
		if m != without && len(rest) == 0 {
			if err := errors.Join(m.Drain(m.ctx()), m.cluster.Leave(m.ctx())); err != nil {
				t.Fatal(err)
			}
			rest = append(rest, without)
			continue
		}
		if m != without {
			rest = append(rest, m)
		}
	}
	if most := shares(t, rest); !slices.Equal(most, []int{1, 1}) {
		t.Fatalf("the shares are %v", most)
	}
	without.use("ann").Done()
	if err := without.Ready(); err != nil {
		t.Errorf("with a share: %v", err)
	}
	if d.most > 2 {
		t.Errorf("%d sessions at the upstream", d.most)
	}
}

func TestAServerThatLosesItsShareEndsItsSessionsAndItsQueue(t *testing.T) {
	// Which of two processes keeps the only session is by chance.
	for range 64 {
		if losesItsShare(t) {
			return
		}
	}
	t.Error("the first of two processes never lost its share")
}

// losesItsShare starts a process and then another, with one session for both. It reports whether the first lost its
// share to the second, and then checks what became of its session and its queue.
func losesItsShare(t *testing.T) bool {
	d := newDouble(t)
	shared := storetest.NewMemory(time.Now)
	const keys = "max-sessions: 1\nwait-timeout: 10m\nmax-requests: 1"
	first := join(t, d, shared, "first", keys)
	busy := first.use("ann")
	waiting := make(chan error, 1)
	go func() {
		x, err := first.pool("bob").Acquire(first.ctx())
		if err == nil {
			x.Done()
		}
		waiting <- err
	}()
	eventually(t, "a call waits", func() bool { return first.waiting() == 1 })
	_ = shares(t, []*member{first, join(t, d, shared, "second", keys)})
	if first.State().MaxPlaces > 0 {
		busy.Done()
		<-waiting
		return false
	}
	busy.Done()
	first.look(time.Now())
	if _, ok := errors.AsType[*ShareError](<-waiting); !ok {
		t.Error("a call that waits learns nothing")
	}
	eventually(t, "its session ends", func() bool { return len(first.State().Sessions) == 0 && d.sessions() == 0 })
	return true
}
