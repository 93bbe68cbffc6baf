// Package monitoring tests the alerts and the dashboard for operators: a running server must have each metric and
// label in them, and promtool must accept the alerts and their tests.
package monitoring

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

const (
	rules    = "../../../deploy/prometheus/vigate.rules.yaml"
	grafana  = "../../../deploy/grafana/vigate.json"
	page     = "../../../docs/metrics.md"
	patience = 5 * time.Minute
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// group is a group of alerts in the rules.
type group struct {
	Name  string `json:"name"`
	Rules []struct {
		Alert       string            `json:"alert"`
		Expr        string            `json:"expr"`
		For         string            `json:"for"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"rules"`
}

func alerts(t *testing.T) group {
	t.Helper()
	var file struct {
		Groups []group `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(read(t, rules), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 10 {
		t.Fatalf("the rules are %+v", file)
	}
	return file.Groups[0]
}

func TestPromtoolFindsNoFaultInTheAlerts(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", rules}, {"test", "rules", strings.Replace(rules, ".yaml", ".test.yaml", 1)},
	} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}

func TestEachAlertHasATestThatItFiresAndARowInTheDocument(t *testing.T) {
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				AlertName string `json:"alertname"`
				ExpAlerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(read(t, strings.Replace(rules, ".yaml", ".test.yaml", 1)), &tests); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, c := range tests.Tests {
		for _, a := range c.AlertRuleTest {
			fires[a.AlertName] = fires[a.AlertName] || len(a.ExpAlerts) > 0
		}
	}
	_, section, _ := strings.Cut(string(read(t, page)), "\n## Alerts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?:^| )`(Vigate[A-Za-z]+)`").FindAllStringSubmatch(section, -1) {
		rows[m[1]] = true
	}
	for _, r := range alerts(t).Rules {
		if !fires[r.Alert] {
			t.Errorf("no test shows that %s fires", r.Alert)
		}
		if !rows[r.Alert] {
			t.Errorf("docs/metrics.md does not explain %s", r.Alert)
		}
		delete(rows, r.Alert)
		if s := r.Labels["severity"]; s != "warning" && s != "critical" || r.Annotations["summary"] == "" {
			t.Errorf("%s has labels %v and annotations %v", r.Alert, r.Labels, r.Annotations)
		}
	}
	if len(rows) > 0 {
		t.Errorf("docs/metrics.md explains %v, which are no alerts", slices.Collect(maps.Keys(rows)))
	}
}

// series are the labels of each time series of a server, by its name.
type series map[string][]map[string]string

// listening is the line by which the server tells where its metrics are.
var listening = regexp.MustCompile(`msg=listening listener=admin address=(\S+)`)

// measured starts a server with a front and returns its metrics.
func measured(t *testing.T) series {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "vigate")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/vigate")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config := filepath.Join(dir, "vigate.yaml")
	text := "data: " + dir + "/data\nlisten: 127.0.0.1:0\nadmin-listen: 127.0.0.1:0\nupstreams:\n" +
		"  - {name: lab, url: \"http://127.0.0.1:1/sdk\", listen: \"127.0.0.1:0\", pass-through: true}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", "--config", config)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD=correct horse battery staple 7")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	address, said := make(chan string, 1), make(chan string, 1)
	go func() {
		var all strings.Builder
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		said <- all.String()
	}()
	select {
	case a := <-address:
		return scrape(t, "http://"+a+"/metrics")
	case text := <-said:
		t.Fatalf("the server ends: %s", text)
	case <-time.After(patience):
		t.Fatal("the server does not listen")
	}
	return nil
}

func scrape(t *testing.T, url string) series {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		all, err := fetch(ctx, url)
		if err == nil {
			return all
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func fetch(ctx context.Context, url string) (series, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, err
	}
	all := series{"up": {{}}}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			pairs := map[string]string{}
			for _, l := range m.GetLabel() {
				pairs[l.GetName()] = l.GetValue()
			}
			names := []string{name}
			if m.Histogram != nil {
				names = []string{name + "_bucket", name + "_sum", name + "_count"}
			}
			for _, n := range names {
				all[n] = append(all[n], pairs)
			}
		}
	}
	return all, nil
}

// absent are metrics and values of labels that a server has only in some cases: nodes of a cluster, and faults that
// have not happened here.
var absent = map[string][]map[string]string{
	"vigate_store_lag_seconds":  {{}},
	"vigate_calls_total":        {{"fault": "SystemError", "object": "", "name": ""}},
	"vigate_logins_total":       {{"outcome": "InvalidLogin"}},
	"vigate_store_writes_total": {{"outcome": "unavailable", "write": ""}},
	"vigate_upstream_sessions":  {{"account": "pass-through", "upstream": "lab"}},
}

// added are the labels that Prometheus adds.
var added = map[string]bool{"instance": true, "job": true, "le": true, "__name__": true}

// faults returns what a query uses that no server has.
func faults(query string, has series) (all []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		return []string{err.Error()}
	}
	names := 0
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			names++
			known := slices.Concat(has[n.Name], absent[n.Name])
			fits := func(pairs map[string]string) bool { return matches(n.LabelMatchers, pairs) }
			if !slices.ContainsFunc(known, fits) {
				all = append(all, n.String())
			}
		case *parser.AggregateExpr:
			for _, l := range n.Grouping {
				if !added[l] && !anyHas(has, l) {
					all = append(all, "label "+l)
				}
			}
		}
		return nil
	})
	if names == 0 {
		all = append(all, "no metric")
	}
	return all
}

// check reports what a query uses that no server has.
func check(t *testing.T, what, query string, has series) {
	t.Helper()
	for _, f := range faults(query, has) {
		t.Errorf("%s: no server has %s: %s", what, f, query)
	}
}

func matches(all []*labels.Matcher, pairs map[string]string) bool {
	for _, m := range all {
		if value, ok := pairs[m.Name]; !added[m.Name] && (!ok || !m.Matches(value)) {
			return false
		}
	}
	return true
}

func anyHas(has series, label string) bool {
	for _, all := range has {
		for _, pairs := range all {
			if _, ok := pairs[label]; ok {
				return true
			}
		}
	}
	return false
}

var variables = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$upstream", ".*", "$job", "vigate")

func TestTheAlertsAndTheDashboardUseMetricsThatAServerHas(t *testing.T) {
	has := measured(t)
	for _, r := range alerts(t).Rules {
		check(t, r.Alert, r.Expr, has)
	}
	used := map[string]bool{}
	for title, queries := range panels(t) {
		for _, q := range queries {
			check(t, title, variables.Replace(q), has)
			for _, m := range regexp.MustCompile(`vigate_[a-z_]+`).FindAllString(q, -1) {
				used[base(m)] = true
			}
		}
	}
	// The dashboard shows all there is.
	for name := range has {
		if strings.HasPrefix(name, "vigate_") && !used[base(name)] {
			t.Errorf("no panel shows %s", base(name))
		}
	}
}

// base returns the name of a histogram from that of one of its time series.
func base(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
}

// panels returns the queries of the dashboard by the titles of their panels. The file must fit the types of Grafana.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	b := read(t, grafana)
	//lint:ignore SA1019 Grafana imports files of this version
	var typed dashboard.Dashboard
	if err := json.Unmarshal(b, &typed); err != nil {
		t.Fatal(err)
	}
	if typed.Title == nil || *typed.Title != "vigate" || typed.Uid == nil || len(typed.Panels) < 20 {
		t.Fatalf("the dashboard is %+v", typed)
	}
	var plain struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(b, &plain); err != nil {
		t.Fatal(err)
	}
	all, seen := map[string][]string{}, map[int]bool{}
	for _, p := range plain.Panels {
		if seen[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %s, is at %+v", p.ID, p.Title, p.GridPos)
		}
		seen[p.ID] = true
		for _, q := range plain.Panels {
			if q.ID < p.ID && q.GridPos.X < p.GridPos.X+p.GridPos.W && p.GridPos.X < q.GridPos.X+q.GridPos.W &&
				q.GridPos.Y < p.GridPos.Y+p.GridPos.H && p.GridPos.Y < q.GridPos.Y+q.GridPos.H {
				t.Errorf("%s lies over %s", p.Title, q.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || all[p.Title] != nil {
			t.Errorf("panel %s has %d queries, or there are two of that title", p.Title, len(p.Targets))
		}
		for _, q := range p.Targets {
			all[p.Title] = append(all[p.Title], q.Expr)
			for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
				if by := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(q.Expr); by != nil &&
					!slices.Contains(strings.Split(by[1], ", "), m[1]) {
					t.Errorf("%s names series by %s, which the query leaves out: %s", p.Title, m[1], q.Expr)
				}
			}
		}
	}
	return all
}

func TestAMistakeInAQueryIsFound(t *testing.T) {
	has := series{"vigate_sessions": {{"login": "password"}}}
	for query, good := range map[string]bool{
		`sum by (login) (vigate_sessions{instance="a"})`: true, `vigate_session`: false,
		`vigate_sessions{login="x"}`:         false,
		`vigate_sessions{method="password"}`: false, `sum by (method) (vigate_sessions)`: false,
		`vigate_sessions{`: false, `1`: false,
	} {
		if found := faults(query, has); len(found) == 0 != good {
			t.Errorf("%s: found to be wrong with it: %v", query, found)
		}
	}
}
