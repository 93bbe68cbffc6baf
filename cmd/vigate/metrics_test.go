package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
)

func withAdmin(c *config.Config) { c.AdminListen = "127.0.0.1:0" }

// metric returns the value of a time series as text, or "" if there is no such series.
func (r *running) metric(t testing.TB, series string) string {
	t.Helper()
	resp, err := http.Get("http://" + r.Addr("admin").String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestTheMetricsCountWhatTheServerDid(t *testing.T) {
	r := start(t, t.TempDir(), withAdmin)
	c := httpClient(t)
	token, _ := r.login(t, c)
	if a := vi(t, c, r.plain, "", sm+"Login", `{"userName":"`+adminUser+`","password":"wrong"}`); a.status == 200 {
		t.Fatal(a.body)
	}
	ticket := vi(t, c, r.plain, token, sm+"AcquireCloneTicket", ``).text()
	if a := vi(t, c, r.plain, "", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); a.status != 200 {
		t.Fatal(a.body)
	}
	vi(t, c, r.plain, token, sm+"currentSession", "GET")
	vi(t, c, r.plain, token, sm+"nonsense", `{}`)
	if a := vi(t, c, r.plain, token, sm+"Logout", `{}`); a.status >= 300 {
		t.Fatal(a.body)
	}
	for series, want := range map[string]string{
		`vigate_sessions{login="password"}`:                                             "0",
		`vigate_sessions{login="clone"}`:                                                "1",
		`vigate_sessions_largest_user`:                                                  "1",
		`vigate_sessions_limit{of="all"}`:                                               "100000",
		`vigate_sessions_limit{of="user"}`:                                              "2000",
		`vigate_sessions{login="local ticket"}`:                                         "0",
		`vigate_sessions_started_total{login="password"}`:                               "1",
		`vigate_sessions_started_total{login="clone"}`:                                  "1",
		`vigate_sessions_ended_total`:                                                   "1",
		`vigate_logins_total{outcome="success"}`:                                        "2",
		`vigate_logins_total{outcome="InvalidLogin"}`:                                   "1",
		`vigate_tickets_total{sort="clone",what="issued"}`:                              "1",
		`vigate_tickets_total{sort="clone",what="used"}`:                                "1",
		`vigate_calls_total{fault="",name="currentSession",object="SessionManager"}`:    "1",
		`vigate_calls_total{fault="InvalidLogin",name="Login",object="SessionManager"}`: "1",
		`vigate_call_seconds_count{name="AcquireCloneTicket",object="SessionManager"}`:  "1",
		`vigate_call_seconds_count{name="sessionList",object="SessionManager"}`:         "0",
		`vigate_hashes_refused_total`:                                                   "0",
		`vigate_hashes_running`:                                                         "0",
		`vigate_store_watch_lag`:                                                        "0",
		`vigate_store_groups_failed_total`:                                              "0",
		`vigate_ready`:                                                                  "1",
		`vigate_connections{listener="tls"}`:                                            "0",
		`vigate_requests_in_flight`:                                                     "0",
	} {
		if got := r.metric(t, series); got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}
	if r.metric(t, "vigate_store_group_writes_count") == "0" || r.metric(t, "go_goroutines") == "" {
		t.Error("the store's transactions or the runtime are not measured")
	}
}

func TestWithoutAnAdminListenerNothingIsMeasured(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	if got := fmt.Sprint(r.Addr("admin")); got != "<nil>" {
		t.Errorf("admin listener at %s", got)
	}
}

func TestAnotherMachineReadsTheMetricsWithItsToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	const token = "a-token-of-a-scraper"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), func(c *config.Config) { c.AdminListen, c.AdminTokenFile = "0.0.0.0:0", file })
	c := httpClient(t)
	_, port, err := net.SplitHostPort(r.Addr("admin").String())
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]int{token: http.StatusOK, "another": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:"+port+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+given)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || (want == 200) != strings.Contains(string(b), "vigate_ready 1") {
			t.Errorf("with %q: %s, %v", given, resp.Status, err)
		}
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("the token is in the log")
	}
}
