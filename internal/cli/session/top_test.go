package session_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestTopShowsWhoHoldsHowManySessions(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	out := sh.must("session top")
	contains(t, out, "8 sessions of 6 users\n",
		"SESSIONS  IDLE 25%  50%   75%   MAX   OLDEST  CALLS  USER\n",
		"3         20m0s     8h0m  9h0m  9h0m  9h0m    19     VSPHERE.LOCAL\\svc-leak\n")
	if strings.Index(out, "svc-leak") > strings.Index(out, "CORP") {
		t.Errorf("not in order:\n%s", out)
	}
	// A vCenter that tells its limit.
	v.option = limitOption
	contains(t, sh.must("session top --user svc-leak"), "3 sessions of 1 user; limit of all 2,000\n", "0.1%")
	contains(t, sh.must("session top --by address --limit 1"), "SESSIONS  OF LIMIT", "192.0.2.20\n",
		"and 6 more with 6 sessions\n")
	contains(t, sh.must("session top --by client --limit 0"), "pyvmomi Python/3.11\n", "  -\n")
}

func TestTopAsJSON(t *testing.T) {
	const n = 30
	var sessions []userSession
	for i := range n {
		for range i + 1 {
			sessions = append(sessions, live(fmt.Sprint("k", len(sessions)), fmt.Sprintf(`CORP\u%02d`, i), "c",
				"192.0.2.1", time.Hour, time.Duration(len(sessions))*time.Second))
		}
	}
	v := startVCenter(t, sessions...)
	v.option = limitOption
	sh := newShell(t, v.URL)
	var got struct {
		Sessions, Users int
		By              string
		Limits          struct{ Sessions, PerUser int }
		Groups          []struct {
			Name        string
			Sessions    int
			OfLimit     *float64
			OfUserLimit *float64
			IdleSeconds struct{ P25, P50, P75, Max int }
		}
	}
	read := func(line string) {
		t.Helper()
		if err := json.Unmarshal([]byte(sh.must(line)), &got); err != nil {
			t.Fatal(err)
		}
	}
	read("session top -o json --user u*")
	if got.Sessions != len(sessions) || got.Users != n || len(got.Groups) != n || got.By != "user" ||
		got.Limits.Sessions != 2000 || got.Limits.PerUser != 0 {
		t.Fatalf("%+v", got)
	}
	// The sessions of u29 are the last 30, so they are idle for 435 to 464 seconds.
	g := got.Groups[0]
	if g.Name != `CORP\u29` || g.Sessions != n || g.IdleSeconds.P25 != 442 || g.IdleSeconds.P50 != 449 ||
		g.IdleSeconds.P75 != 457 || g.IdleSeconds.Max != 464 || math.Abs(*g.OfLimit-0.015) > 1e-9 ||
		g.OfUserLimit != nil {
		t.Errorf("%+v, %v", g, *g.OfLimit)
	}
	read("session top -o json --limit 3")
	if len(got.Groups) != 3 {
		t.Errorf("%d groups", len(got.Groups))
	}
	if out := sh.must("session top -o json --user nobody"); !strings.Contains(out, `"groups": []`) {
		t.Errorf("nobody: %s", out)
	}
}

// screen is a terminal that calls painted when something was written.
type screen struct {
	text    strings.Builder
	painted func(text string)
}

func (s *screen) Write(p []byte) (int, error) {
	s.text.Write(p)
	s.painted(s.text.String())
	return len(p), nil
}

func TestTopIsRefreshedOnATerminal(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	sh.must("login")
	sh.terminals = "stdout"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &screen{}
	out.painted = func(text string) {
		switch strings.Count(text, "\x1b[H") {
		case 1:
			v.mu.Lock()
			v.drop("ann1", "ann2")
			v.mu.Unlock()
		case 2:
			cancel()
		}
	}
	if code := sh.runIn(ctx, out, "session top --every 100ms"); code != 0 {
		t.Errorf("exit code %d: %s", code, sh.err.String())
	}
	frames := strings.Split(out.text.String(), "\x1b[H")
	if len(frames) != 3 || !strings.Contains(frames[1], "8 sessions of 6 users\x1b[K\n") ||
		!strings.Contains(frames[2], "6 sessions of 4 users\x1b[K\n") || !strings.HasSuffix(frames[2], "\n\x1b[J") {
		t.Errorf("%q", frames)
	}
	once := &screen{painted: func(string) {}}
	if code := sh.runIn(t.Context(), once, "session top --once"); code != 0 ||
		strings.Contains(once.text.String(), "\x1b") {
		t.Errorf("%d: %q", code, once.text.String())
	}
}
