package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/testclock"
)

// live returns the server's session with the key.
func (s *scene) live(key string) *session.Live {
	s.t.Helper()
	l, err := s.Sessions.Find(key)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// ends waits until the server has ended the session.
func (s *scene) ends(l *session.Live) {
	s.t.Helper()
	select {
	case <-l.Done():
	case <-time.After(patience):
		s.t.Fatal("the session was not swept")
	}
}

func TestASVS_7_2_1_ATokenIsVerifiedByTheServerAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	flipped := []byte(s.admin)
	if flipped[7] = '0'; s.admin[7] == '0' {
		flipped[7] = '1'
	}
	for what, token := range map[string]string{
		"one digit off": string(flipped), "upper case": strings.ToUpper(s.admin), "cut": s.admin[:39],
		"longer":         s.admin + "0",
		"the public key": s.key, "made up": strings.Repeat("0", 40), "long": strings.Repeat("a", 10_000),
		"a clone ticket": s.must(s.admin, sm+"AcquireCloneTicket", "").text(),
	} {
		if token != s.admin && s.lives(token) {
			t.Errorf("%s is taken for a token", what)
		}
	}
	if !s.lives(s.admin) {
		t.Error("the token itself is not")
	}
}

func TestASVS_7_2_2_TokensAreMadeAtLoginAndDieWithTheirSession(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	first, firstKey := s.loginAs(adminUser, adminPassword)
	s.must(first, sm+"Logout", "")
	second, secondKey := s.loginAs(adminUser, adminPassword)
	if first == second || firstKey == secondKey {
		t.Error("two logins share a token or a key")
	}
	if s.lives(first) || !s.lives(second) {
		t.Error("the token of the session before is alive, or the new one is not")
	}
}

// A part of a token that is not random would be the same in all tokens. The chance that one of 160
// random bits is the same in 100 tokens is 2^-91.
func TestASVS_7_2_3_And_11_5_1_TokensKeysAndTicketsAreRandomInEveryBit(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	tokens, tickets := map[string]bool{}, map[string]bool{}
	for range 100 {
		_, token, err := s.Sessions.Start(t.Context(),
			session.Grant{Identity: s.live(s.key).Identity(), Method: "test"})
		if err != nil {
			t.Fatal(err)
		}
		ticket, err := s.Sessions.AcquireCloneTicket(t.Context(), s.live(s.key))
		if err != nil {
			t.Fatal(err)
		}
		digits, _, _ := strings.Cut(strings.TrimPrefix(ticket.Reveal(), "cst-VCT-"), "--tp-")
		tokens[token.Reveal()], tickets[strings.ReplaceAll(digits, "-", "")] = true, true
	}
	if len(tokens) != 100 || len(tickets) != 100 {
		t.Fatalf("%d tokens and %d tickets of 100 each", len(tokens), len(tickets))
	}
	if n := randomBits(t, tokens); n != 160 {
		t.Errorf("%d random bits in a token", n)
	}
	if n := randomBits(t, tickets); n != 128 {
		t.Errorf("%d random bits in a ticket", n)
	}
}

// randomBits counts the bits that differ in some of the texts. The texts consist of hexadecimal
// digits.
func randomBits(t *testing.T, texts map[string]bool) int {
	t.Helper()
	ones, zeros := map[int]bool{}, map[int]bool{}
	for text := range texts {
		for i, digit := range text {
			v := strings.IndexRune("0123456789abcdef", digit)
			if v < 0 {
				t.Fatalf("a digit %q", digit)
			}
			for b := range 4 {
				if v>>b&1 == 1 {
					ones[4*i+b] = true
				} else {
					zeros[4*i+b] = true
				}
			}
		}
	}
	n := 0
	for i := range ones {
		if zeros[i] {
			n++
		}
	}
	return n
}

// The API refuses a login with a live session. Every other authentication makes a new token.
// Clients can't choose a token.
func TestASVS_7_2_4_EveryAuthenticationMakesATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	seen := map[string]bool{s.admin: true}
	for range 3 {
		token, _ := s.loginAs(adminUser, adminPassword)
		clone, _ := s.clone(token)
		for _, got := range []string{token, clone} {
			if len(got) != 40 || seen[got] {
				t.Errorf("token %d digits, known before: %v", len(got), seen[got])
			}
			seen[got] = true
		}
	}
	if got := s.fault(s.admin, sm+"Login", loginBody(adminUser, adminPassword)); got != "InvalidLogin" {
		t.Errorf("a login on a live session: %s", got)
	}
	chosen := strings.Repeat("5", 40)
	a := s.must(chosen, sm+"Login", loginBody(adminUser, adminPassword))
	if a.header.Get("vmware-api-session-id") == chosen || s.lives(chosen) {
		t.Error("a client has chosen its token")
	}
}

// TestAnIdleSessionDiesToTheNanosecond in internal/session checks the exact time.
func TestASVS_7_3_1_AnIdleSessionEnds(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := newSceneWith(t, serve.Options{Now: clock.Now, Patience: patience}, func(c *config.Config) {
		c.IdleTimeout = time.Minute
	})
	l := s.live(s.key)
	ticket := s.must(s.admin, sm+"AcquireCloneTicket", "").text()
	clock.Advance(time.Minute)
	s.ends(l)
	if s.lives(s.admin) {
		t.Error("the token of an idle session is alive")
	}
	if got := s.fault("", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); got != "InvalidLogin" {
		t.Errorf("its ticket: %s", got)
	}
	s.admin, _ = s.loginAs(adminUser, adminPassword)
	if a := s.must(s.admin, eventPath+"QueryEvents",
		`{"filter":{"eventTypeId":["vim.event.UserLogoutSessionEvent"]}}`); !strings.Contains(a.body,
		`"UserLogoutSessionEvent"`) {
		t.Errorf("no event of its end: %s", a.body)
	}
}

// TestUseProlongsASessionOnlyToItsDeadline in internal/session checks the exact time.
func TestASVS_7_3_2_ABusySessionEndsAtItsDeadlineAndCloningDoesNotProlongIt(t *testing.T) {
	clock := testclock.New(time.Time{})
	s := newSceneWith(t, serve.Options{Now: clock.Now, Patience: patience}, func(c *config.Config) {
		c.MaxLifetime, c.IdleTimeout = time.Hour, 50*time.Minute
	})
	l := s.live(s.key)
	clock.Advance(40 * time.Minute)
	clone, key := s.clone(s.admin)
	if got, want := s.live(key).Session().Deadline, l.Session().Deadline; !got.Equal(want) {
		t.Errorf("the clone may live until %s, its source until %s", got, want)
	}
	clock.Set(l.Session().Deadline.Add(-time.Nanosecond))
	if !s.lives(s.admin) || !s.lives(clone) {
		t.Error("dead before the deadline")
	}
	clock.Advance(time.Nanosecond)
	if s.lives(s.admin) || s.lives(clone) {
		t.Error("alive at the deadline")
	}
}

func TestASVS_7_4_1_AnEndedSessionIsDeadOnEveryWay(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	token, _ := s.loginAs(adminUser, adminPassword)
	ticket := s.must(token, sm+"AcquireCloneTicket", "").text()
	service := s.must(token, sm+"AcquireGenericServiceTicket",
		`{"spec":{"_typeName":"SessionManagerHttpServiceRequestSpec",`+
			`"url":"/sdk/vim25/8.0.1.0/SessionManager/SessionManager/message"}}`).member("id")
	if a := s.call(token, sm+"Logout", ""); a.status != 204 {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	if s.lives(token) {
		t.Error("the token is alive")
	}
	if a := automation(t, s.c, "GET", s.tls+"/api/session", withToken(token)); a.status != 401 {
		t.Errorf("Automation API: %d", a.status)
	}
	if got := s.fault("", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); got != "InvalidLogin" {
		t.Errorf("its clone ticket: %s", got)
	}
	for what, cookie := range map[string]string{
		"cookie": `vmware_soap_session="` + token + `"`, "its service ticket": "vmware_cgi_ticket=" + service,
	} {
		if a := s.get("message", "Cookie", cookie); a.member("_typeName") != "NotAuthenticated" {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
}

func TestASVS_7_4_2_DisablingOrRemovingAUserEndsAllItsSessions(t *testing.T) {
	t.Parallel()
	for method, body := range map[string]string{"DisableUser": `{"userName":"ann"}`,
		"RemoveUser": `{"userName":"ann"}`} {
		t.Run(method, func(t *testing.T) {
			s := newScene(t, nil)
			s.user("ann", "a good long password", roleReadOnly)
			one, _ := s.loginAs("ann", "a good long password")
			two, _ := s.loginAs("ANN@vsphere.local", "a good long password")
			clone, _ := s.clone(one)
			ticket := s.must(one, sm+"AcquireCloneTicket", "").text()
			s.must(s.admin, accountPath+method, body)
			for _, token := range []string{one, two, clone} {
				if s.lives(token) {
					t.Error("a session of it is alive")
				}
			}
			for path, body := range map[string]string{
				sm + "Login": loginBody("ann", "a good long password"), sm + "CloneSession": `{"cloneTicket":"` +
					ticket + `"}`,
			} {
				if got := s.fault("", path, body); got != "InvalidLogin" {
					t.Errorf("%s: %s", path, got)
				}
			}
			if !s.lives(s.admin) {
				t.Error("another's session ended")
			}
		})
	}
}

func TestASVS_7_4_3_APasswordChangeEndsTheUsersOtherSessions(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.user("ann", "a good long password", roleReadOnly)
	own, _ := s.loginAs("ann", "a good long password")
	other, _ := s.loginAs("ann", "a good long password")
	clone, _ := s.clone(other)
	ticket := s.must(other, sm+"AcquireCloneTicket", "").text()
	s.must(own, accountPath+"UpdateUser", `{"user":{"_typeName":"HostAccountSpec","id":"ann","password":"another `+
		`good password"}}`)
	if !s.lives(own) || s.lives(other) || s.lives(clone) {
		t.Error("want its own alive, and the others dead")
	}
	if got := s.fault("", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); got != "InvalidLogin" {
		t.Errorf("a ticket of another: %s", got)
	}
	if got := s.fault("", sm+"Login", loginBody("ann", "a good long password")); got != "InvalidLogin" {
		t.Errorf("the old password: %s", got)
	}
	// If an administrator sets the password, all sessions end.
	again, _ := s.loginAs("ann", "another good password")
	s.must(s.admin, accountPath+"UpdateUser", `{"user":{"_typeName":"HostAccountSpec","id":"ann","password":"a third `+
		`good password"}}`)
	if s.lives(own) || s.lives(again) {
		t.Error("a session outlives a password that an administrator has set")
	}
}

// listed returns the session keys in sessionList by user name.
func (s *scene) listed(token string) map[string][]string {
	s.t.Helper()
	var all []struct{ Key, UserName string }
	if err := json.Unmarshal([]byte(s.must(token, sm+"sessionList", "GET").body), &all); err != nil {
		s.t.Fatal(err)
	}
	by := map[string][]string{}
	for _, x := range all {
		by[x.UserName] = append(by[x.UserName], x.Key)
	}
	return by
}

func TestASVS_7_4_5_AnAdministratorEndsOneUsersSessionsOrAll(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	var tokens []string
	for _, name := range []string{"ann", "bob"} {
		s.user(name, "a good long password", roleReadOnly)
		for range 2 {
			token, _ := s.loginAs(name, "a good long password")
			tokens = append(tokens, token)
		}
	}
	terminate := func(keys []string) {
		ids, _ := json.Marshal(keys)
		s.must(s.admin, sm+"TerminateSession", fmt.Sprintf(`{"sessionId":%s}`, ids))
	}
	terminate(s.listed(s.admin)[`VSPHERE.LOCAL\ann`])
	for i, token := range tokens {
		if s.lives(token) != (i >= 2) {
			t.Errorf("session %d: alive %v", i, s.lives(token))
		}
	}
	terminate(s.listed(s.admin)[`VSPHERE.LOCAL\bob`])
	if by := s.listed(s.admin); len(by) != 1 || s.Sessions.Size() != 1 {
		t.Errorf("left: %v", by)
	}
}

// Without the privilege Sessions.TerminateSession, a user sees and can end its own session. By
// changing its password it ends all its other sessions. It can't end sessions of other users.
func TestASVS_7_5_2_AUserSeesItsSessionAndEndsItsOwnAndNobodyElses(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.user("ann", "a good long password", roleReadOnly)
	own, key := s.loginAs("ann", "a good long password")
	other, _ := s.loginAs("ann", "a good long password")
	if a := s.must(own, sm+"currentSession", "GET"); a.member("key") != key {
		t.Errorf("its session: %s", a.body)
	}
	for path, body := range map[string]string{sm + "sessionList": "GET", sm + "TerminateSession": `{"sessionId":["` +
		s.key + `"]}`} {
		if got := s.fault(own, path, body); got != "NoPermission" {
			t.Errorf("%s: %s", path, got)
		}
	}
	s.must(own, accountPath+"UpdateUser", `{"user":{"_typeName":"HostAccountSpec","id":"ann","password":"another `+
		`good password"}}`)
	if s.lives(other) || !s.lives(own) || !s.lives(s.admin) {
		t.Error("want the user's other session dead, and nothing else")
	}
	s.must(own, sm+"Logout", "")
	// With the privilege, it sees all sessions and can end each of them.
	s.permit("ann", s.role("Watcher", "Sessions.TerminateSession"))
	own, key = s.loginAs("ann", "another good password")
	other, otherKey := s.loginAs("ann", "another good password")
	if got := s.listed(own)[`VSPHERE.LOCAL\ann`]; len(got) != 2 {
		t.Errorf("listed: %v", got)
	}
	s.must(own, sm+"TerminateSession", `{"sessionId":["`+otherKey+`"]}`)
	if s.lives(other) || !s.lives(own) {
		t.Errorf("want %s dead and %s alive", otherKey, key)
	}
}
