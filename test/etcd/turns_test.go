package etcd_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
)

// transactions is how many the member has answered.
func transactions(t *testing.T, m *member.Member) int {
	t.Helper()
	resp, err := http.Get("http://" + m.Endpoint + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	total := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "grpc_server_handled_total{") || !strings.Contains(name, `grpc_method="Txn"`) {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

// TestNodesThatTakeTurnsNeedOneTransactionEach: each finds out from the stream
// where the other has left the counter that both append by.
func TestNodesThatTakeTurnsNeedOneTransactionEach(t *testing.T) {
	t.Parallel()
	m := member.Started(t, program, 1, member.Options{})[0]
	var nodes []*store.Mirror
	for range 2 {
		s := opened(t, etcd.Options{Endpoints: []string{m.Endpoint}})
		mirror := store.NewMirror(s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = mirror.Run(ctx) // ends with ctx
		}()
		t.Cleanup(func() { cancel(); <-done })
		nodes = append(nodes, mirror)
	}
	commit := func(i int) {
		t.Helper()
		rev, err := nodes[i%2].Commit(t.Context(),
			store.Create(store.Session, fmt.Sprint("s", i), []byte("value"), time.Time{}), store.Append(store.Event, []byte("event"), time.Time{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if err := n.Wait(t.Context(), rev); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(0) // takes a lease and a slot
	commit(1)
	before := transactions(t, m)
	const turns = 20
	for i := range turns {
		commit(2 + i)
	}
	if n := transactions(t, m) - before; n != turns {
		t.Errorf("%d transactions for %d commits", n, turns)
	}
}
