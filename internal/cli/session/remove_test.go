package session_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// leaks returns n idle sessions of a service, with the keys s000, s001, ….
func leaks(n int) (all []userSession) {
	for i := range n {
		all = append(all, live(fmt.Sprintf("s%03d", i), `VSPHERE.LOCAL\svc`, "x", "192.0.2.1", time.Hour, time.Hour))
	}
	return all
}

func TestSelectedSessionsAreEndedAndOthersAreNot(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	before := v.keys()
	out := sh.must("session rm --user svc-leak --idle 1h --dry-run")
	contains(t, out, "   leak1  VSPHERE.LOCAL\\svc-leak", "   leak2")
	if strings.Contains(out, "leak3") || v.keys() != before || v.count("POST SessionManager.TerminateSession") > 0 {
		t.Errorf("a dry run: %s\n%s", v.keys(), out)
	}
	if out := sh.must("session rm --user svc-leak --idle 1h --dry-run -o keys"); out != "leak1\nleak2\n" {
		t.Errorf("keys: %s", out)
	}
	out = sh.must("session rm --user svc-leak --idle 1h --yes")
	contains(t, out, "leak1", "2 ended, 0 already gone, 0 refused\n")
	if got := v.keys(); got != "ann1 ann2 leak3 vpxd root" {
		t.Errorf("left: %s", got)
	}
	if out := sh.must("session rm --user svc-leak --idle 1h --yes"); out != "no session is selected\n" {
		t.Errorf("nothing to end: %s", out)
	}
	sh.must("session rm --user ann --sort -age --limit 1 --yes")
	if got := v.keys(); got != "ann2 leak3 vpxd root" {
		t.Errorf("the youngest: %s", got)
	}
	// The own session stays, whatever is selected.
	sh.must("session rm --user administrator --yes")
	sh.must("session rm --all --yes")
	if got := v.keys(); got != "" || v.count("POST SessionManager.Login") != 1 {
		t.Errorf("all: %s, %d logins", got, v.count("POST SessionManager.Login"))
	}
	sh.fails(1, "InvalidArgument", "session rm own-0")
}

func TestFlagsThatLeaveOutNobodyNeedAll(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	sh.fails(2, "add --all", "session rm --older 1ms --user *a* --user *o* --yes --sort key --address *")
	if got := len(strings.Fields(v.keys())); got != len(site()) {
		t.Errorf("%d sessions are left", got)
	}
	sh.must("session rm --older 1ms --user=  --all --limit 5 --yes") // an empty pattern selects nobody apart
	if got := v.keys(); got != "leak3 root" {
		t.Errorf("left: %s", got)
	}
	// All sessions of one user may be all there are.
	v = startVCenter(t, leaks(3)...)
	newShell(t, v.URL).must("session rm --user svc --yes")
	if got := v.keys(); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestManySessionsAreEndedWithFewCallsAndDeadOnesAreNoObstacle(t *testing.T) {
	const n = 700
	v := startVCenter(t, leaks(n)...)
	sh := newShell(t, v.URL)
	// They end by themselves between the list and the calls, no two of them next to each other.
	v.before["POST SessionManager.TerminateSession"] = func(nth int) {
		if nth == 1 {
			v.drop("s005", "s100", "s690", "s699")
		}
	}
	out := sh.must("session rm --user svc --yes -o json")
	var done struct {
		Ended, AlreadyGone, Left int
		Refused                  []any
	}
	if err := json.Unmarshal([]byte(out), &done); err != nil || done.Ended != n-4 || done.AlreadyGone != 4 ||
		done.Left != 0 || done.Refused == nil || len(done.Refused) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	// Each dead session costs a call for each session of its chunk.
	if got := v.count("POST SessionManager.TerminateSession"); got > n/11+1+4*11 {
		t.Errorf("%d calls", got)
	}
	if got := v.keys(); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestRefusedSessionsAreNamedAndTheOthersEnd(t *testing.T) {
	v := startVCenter(t, leaks(200)...)
	sh := newShell(t, v.URL)
	v.refuses["s017"], v.refuses["s150"] = "InvalidState", "InvalidState"
	v.before["POST SessionManager.TerminateSession"] = func(nth int) {
		if nth == 1 {
			v.drop("s160")
		}
	}
	sh.fails(1, "s017: SessionManager.TerminateSession: It is InvalidState.\n", "session rm --user svc --yes")
	contains(t, sh.out.String(), "and 180 more\n", "197 ended, 1 already gone, 2 refused\n")
	contains(t, sh.err.String(), "s150: ", "vigate: SessionManager.TerminateSession: It is InvalidState.\n")
	if got := v.keys(); got != "s017 s150" {
		t.Errorf("left: %s", got)
	}
	if code := sh.run("session rm --user svc --yes -o csv"); code != 1 ||
		sh.out.String() != "ended,alreadyGone,noLongerSelected,refused,left\n0,0,0,2,0\n" {
		t.Errorf("%d: %s", code, sh.out.String())
	}
	for i := range 30 {
		v.refuses[fmt.Sprintf("s%03d", i)] = "InvalidState"
	}
	v.sessions = append(v.sessions, leaks(30)...)
	sh.fails(1, "and 22 more were refused", "session rm --user svc --yes")
}

func TestWithoutThePrivilegeNoOtherSessionIsTried(t *testing.T) {
	v := startVCenter(t, leaks(600)...)
	for _, s := range v.sessions {
		v.refuses[s.Key] = "NoPermission"
	}
	sh := newShell(t, v.URL)
	sh.fails(4, "It is NoPermission.", "session rm --user svc --yes")
	contains(t, sh.out.String(), "0 ended, 0 already gone, 0 refused, 600 left\n")
	if got := v.count("POST SessionManager.TerminateSession"); got > 8 {
		t.Errorf("%d calls", got)
	}
}

func TestATerminalIsAskedBeforeSessionsEnd(t *testing.T) {
	for answer, ends := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false,
		"": false, "yesterday\n": false} {
		v := startVCenter(t, leaks(3)...)
		sh := newShell(t, v.URL)
		sh.stdin, sh.terminals = answer, "stdin"
		code := sh.run("session rm --user svc")
		if (v.keys() == "") != ends || (code == 0) != ends {
			t.Errorf("%q: exit code %d, %s", answer, code, v.keys())
		}
		contains(t, sh.err.String(), "End 3 sessions of 1 user? [y/N] ")
		if !ends {
			contains(t, sh.err.String(), "no session was ended")
		}
	}
}

func TestSessionsThatAreUsedAgainBeforeTheAnswerAreSpared(t *testing.T) {
	v := startVCenter(t, leaks(4)...)
	sh := newShell(t, v.URL)
	sh.stdin, sh.terminals = "y\n", "stdin stderr"
	// The second list is that after the answer.
	v.before["GET SessionManager.sessionList"] = func(nth int) {
		if nth == 3 { // the first call is that which finds out that there is no session yet
			v.drop("s003")
			v.sessions[1].LastActiveTime = v.now
		}
	}
	out := sh.must("session rm --user svc --idle 30m")
	contains(t, out, "2 ended, 1 already gone, 0 refused, 1 no longer selected\n")
	contains(t, sh.err.String(), "\rending sessions: 1 of 2")
	if got := v.keys(); got != "s001" {
		t.Errorf("left: %s", got)
	}
}

func TestSessionsAreEndedByTheirKeys(t *testing.T) {
	v := startVCenter(t, site()...)
	sh := newShell(t, v.URL)
	sh.fails(5, "vigate: gone: SessionManager.TerminateSession: It is NotFound.", "session rm ann1 gone ann2")
	if got := v.keys(); got != "leak1 leak2 leak3 vpxd root" {
		t.Errorf("left: %s", got)
	}
}
