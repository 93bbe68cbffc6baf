package dispense

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/jwt"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/testclock"
)

const account = "system:serviceaccount:kube-system:vsphere-cpi"

// shop is a dispenser with two ways to ask.
type shop struct {
	*Dispenser
	t      *testing.T
	file   string
	log    bytes.Buffer
	clock  *testclock.Clock
	given  []Subject
	ticket func(context.Context) (secret.Text, error)
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, file: filepath.Join(t.TempDir(), "tokens"), clock: testclock.New(time.Now())}
	s.write(s.file, line("driver", "driver's token"))
	tokens, err := OpenTokens(s.file)
	if err != nil {
		t.Fatal(err)
	}
	s.ticket = func(context.Context) (secret.Text, error) { return secret.New("cst-VCT-1"), nil }
	s.Dispenser = &Dispenser{
		Front: "lab", Account: "ci", Target: "upstream", Tokens: tokens, Subjects: []string{account}, PerMinute: 30,
		Verify: func(_ context.Context, token secret.Text) (jwt.Verified, error) {
			name, ok := strings.CutPrefix(token.Reveal(), "jwt:")
			if !ok {
				return jwt.Verified{}, fmt.Errorf("verify token: %w", login.ErrRejected)
			}
			who := session.Identity{Name: principal.Name{Domain: "K8S", User: name}}
			return jwt.Verified{Identity: who, Subject: name}, nil
		},
		Ticket: func(ctx context.Context, who Subject) (secret.Text, error) {
			s.given = append(s.given, who)
			return s.ticket(ctx)
		},
		Logger: slog.New(slog.NewTextHandler(&s.log, nil)), Now: s.clock.Now,
	}
	return s
}

func line(name, token string) string {
	h := sha256.Sum256([]byte(token))
	return name + " " + hex.EncodeToString(h[:]) + "\n"
}

func (s *shop) write(name, text string) {
	s.t.Helper()
	// As an operator should: another file in its place.
	next := name + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, name); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) ask(authorization ...string) (*httptest.ResponseRecorder, map[string]string) {
	s.t.Helper()
	r := httptest.NewRequest("GET", "/session", nil)
	r.Header["Authorization"] = authorization
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer) != 1 ||
		w.Header().Get("Content-Type") != "application/json" {
		s.t.Errorf("the answer is %v %q: %v", w.Header(), w.Body, err)
	}
	if answer["message"] == "" && answer["token"] == "" {
		s.t.Errorf("the answer has neither a ticket nor a message: %q", w.Body)
	}
	return w, answer
}

func TestAServiceAccountAndAProgramWithATokenGetTickets(t *testing.T) {
	s := open(t)
	for _, token := range []string{"jwt:" + account, "driver's token"} {
		w, answer := s.ask("Bearer " + token)
		if w.Code != http.StatusOK || answer["token"] != "cst-VCT-1" || w.Body.String() != `{"token":"cst-VCT-1"}` {
			t.Errorf("%s: %d %s", token, w.Code, w.Body)
		}
		if w.Header().Get("Connection") != "close" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("the headers are %v", w.Header())
		}
	}
	if len(s.given) != 2 || s.given[0].Name != account || s.given[0].Identity.Name.User != account ||
		s.given[1].Name != "driver" || s.given[1].Identity != nil {
		t.Errorf("tickets for %+v", s.given)
	}
}

func TestWhoIsNotListedOrNotKnownGetsNoTicket(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		status        int
		authorization []string
	}{
		{401, nil},
		{401, []string{"Bearer "}},
		{401, []string{"Basic YTpi"}},
		{401, []string{"Bearer driver's token", "Bearer driver's token"}},
		{401, []string{"Bearer driver's token "[:20]}},
		{401, []string{"Bearer " + line("driver", "driver's token")[7:71]}},
		{403, []string{"Bearer jwt:system:serviceaccount:default:other"}},
		{403, []string{"Bearer jwt:"}},
	} {
		w, _ := s.ask(c.authorization...)
		if w.Code != c.status || (w.Code == 401) != (w.Header().Get("Www-Authenticate") == "Bearer") {
			t.Errorf("%q: %d %v", c.authorization, w.Code, w.Header())
		}
	}
	if len(s.given) != 0 {
		t.Errorf("tickets for %+v", s.given)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/session", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
}

func TestASubjectGetsItsTicketsOfAMinuteAndNoMore(t *testing.T) {
	s := open(t)
	s.PerMinute = 3
	for range 3 {
		if w, _ := s.ask("Bearer driver's token"); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	w, _ := s.ask("Bearer driver's token")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "20" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w, _ := s.ask("Bearer jwt:" + account); w.Code != http.StatusOK {
		t.Errorf("another subject: %d", w.Code)
	}
	s.clock.Advance(20 * time.Second)
	if w, _ := s.ask("Bearer driver's token"); w.Code != http.StatusOK {
		t.Errorf("20 s later: %d", w.Code)
	}
	if w, _ := s.ask("Bearer driver's token"); w.Code != http.StatusTooManyRequests {
		t.Errorf("and at once again: %d", w.Code)
	}
}

func TestGuessesAreCounted(t *testing.T) {
	s := open(t)
	for n := range maxFailures {
		if w, _ := s.ask(fmt.Sprintf("Bearer guess %d", n)); w.Code != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", n, w.Code)
		}
	}
	w, _ := s.ask("Bearer driver's token")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("after the guesses: %d %v", w.Code, w.Header())
	}
	s.clock.Advance(time.Minute)
	if w, _ := s.ask("Bearer driver's token"); w.Code != http.StatusOK {
		t.Errorf("a minute later: %d", w.Code)
	}
}

func TestWhatIsMissingIsA503(t *testing.T) {
	s := open(t)
	s.ticket = func(context.Context) (secret.Text, error) { return secret.Text{}, errors.New("the upstream is down") }
	w, _ := s.ask("Bearer driver's token")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("without tickets: %d %v", w.Code, w.Header())
	}
	for _, err := range []error{login.ErrBusy, context.DeadlineExceeded, errors.New("the keys can't be read")} {
		s.Verify = func(context.Context, secret.Text) (jwt.Verified, error) { return jwt.Verified{}, err }
		if w, _ := s.ask("Bearer jwt:" + account); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%v: %d", err, w.Code)
		}
	}
}

func TestAnAnswerDoesNotWaitForATicketThatTakesLong(t *testing.T) {
	s := open(t)
	ended := make(chan struct{})
	s.ticket = func(ctx context.Context) (secret.Text, error) {
		<-ended // whatever its context says
		return secret.New("too late"), nil
	}
	w, answer := s.ask("Bearer driver's token")
	close(ended)
	if w.Code != http.StatusServiceUnavailable || answer["token"] != "" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTooManyThatAskAtOnceAreTurnedAway(t *testing.T) {
	s := open(t)
	s.init()
	for range maxAsking {
		s.asking <- struct{}{}
	}
	if w, _ := s.ask("Bearer driver's token"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
}

func TestEachTicketAndEachRefusalIsAuditedWithoutSecrets(t *testing.T) {
	s := open(t)
	statuses := []int{}
	s.Observe = func(status int) { statuses = append(statuses, status) }
	s.ask("Bearer driver's token")
	s.ask("Bearer jwt:other")
	s.ask("Bearer guess")
	log := s.log.String()
	for _, want := range []string{
		"operation=Dispenser.Ticket outcome=success user=driver", "outcome=Forbidden user=other",
		"outcome=Unauthorized", "front=lab account=ci target=upstream",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "cst-VCT") || strings.Contains(log, "driver's token") || strings.Contains(log, "guess") {
		t.Errorf("the log has a secret:\n%s", log)
	}
	if fmt.Sprint(statuses) != "[200 403 401]" {
		t.Errorf("counted %v", statuses)
	}
}
