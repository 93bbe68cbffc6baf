package etcd_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
)

// transactions returns how many transactions the member has answered.
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

// TestNodesThatAppendAtOnceDoNotContend: each commit takes one transaction, although the nodes
// append to one kind and no node knows what the others have appended.
func TestNodesThatAppendAtOnceDoNotContend(t *testing.T) {
	t.Parallel()
	m := member.Started(t, program, 1, member.Options{})[0]
	nodes := make([]*etcd.Store, 3)
	for i := range nodes {
		nodes[i] = opened(t, etcd.Options{Endpoints: []string{m.Endpoint}, StartTimeout: slow, Timeout: slow})
		must(t, nodes[i], store.Append(store.Event, nil, never)) // takes a lease and a fence
	}
	before := transactions(t, m)
	const commits = 50
	var wg sync.WaitGroup
	for n, s := range nodes {
		wg.Go(func() {
			for i := range commits {
				_, err := s.Commit(t.Context(),
					store.Create(store.Session, fmt.Sprint(n, "-", i), []byte("value"), never),
					store.Append(store.Event, []byte("event"), never))
				if err != nil {
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := transactions(t, m) - before; n != len(nodes)*commits {
		t.Errorf("%d transactions for %d commits", n, len(nodes)*commits)
	}
}
