package metrics

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/server"
	"github.com/vigate/vigate/internal/store"
)

func TestTheMetricsPageListsAllMetricsAndLabels(t *testing.T) {
	r := newRecorder()
	r.Sample(Sources{
		Sessions:     func() map[string]int { return nil },
		Hashing:      func() account.Load { return account.Load{} },
		Serving:      func() server.Load { return server.Load{Connections: map[string]int64{"tls": 1}} },
		Ready:        func() error { return nil },
		Applied:      func() store.Revision { return 1 },
		Newest:       func(context.Context) (store.Revision, error) { return 1, nil },
		Limits:       func() (int, int) { return 1, 1 },
		Largest:      func() int { return 1 },
		Certificates: func() map[string]time.Time { return map[string]time.Time{"": {}} },
		Lag:          func() (time.Duration, bool) { return 0, true },
	})
	r.Upstreams(labStates)
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace+"_") {
			continue
		}
		have := map[string]bool{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			have[l.GetName()] = true
		}
		labels[f.GetName()] = keys(have)
	}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(vigate_[a-z_]+)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		have := map[string]bool{}
		for _, l := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[2], -1) {
			have[l[1]] = true
		}
		want, ok := labels[row[1]]
		if got := keys(have); !ok || got != want {
			t.Errorf("%s has labels %q on the page; exists: %v, with labels %q", row[1], got, ok, want)
		}
		delete(labels, row[1])
	}
	for name := range labels {
		t.Errorf("%s is not on the page", name)
	}
	// The metrics in the alerts must exist too.
	for _, name := range regexp.MustCompile(`vigate_[a-z_]+`).FindAllString(string(page), -1) {
		name = strings.TrimSuffix(name, "_bucket")
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("the page names %s, which does not exist", name)
		}
	}
}

func keys(m map[string]bool) string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
