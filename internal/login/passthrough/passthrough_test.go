package passthrough_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/account"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/login/passthrough"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/testclock"
)

// server is an upstream. Its users have the password "right" unless set otherwise.
type server struct {
	mu       sync.Mutex // guards what follows
	tries    []string   // names with passwords
	password string
	err      error // of all tries
	at, most int   // tries at the same time, now and at most
	hold     chan struct{}
	began    chan string // gets the name of each try, unless nil
}

func (s *server) Try(_ context.Context, user string, password secret.Text) (passthrough.User, error) {
	s.mu.Lock()
	s.tries = append(s.tries, user+":"+password.Reveal())
	s.at++
	s.most = max(s.most, s.at)
	hold, right, err := s.hold, password.Reveal() == s.password, s.err
	s.mu.Unlock()
	if s.began != nil {
		s.began <- user
	}
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at--
	switch {
	case err != nil:
		return passthrough.User{}, err
	case !right:
		return passthrough.User{}, fmt.Errorf("log in: %w", passthrough.ErrRefused)
	}
	return passthrough.User{Name: strings.ToLower(login.UpstreamUser(user)), FullName: "A User"}, nil
}

// tried returns the tries since the last call.
func (s *server) tried() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.tries
	s.tries = nil
	return all
}

type fixture struct {
	*passthrough.Method
	*server
	clock *testclock.Clock
	t     *testing.T
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{server: &server{password: "right"}, clock: testclock.New(time.Time{}), t: t}
	f.Method = passthrough.New(passthrough.Options{
		Front: "lab", Upstream: f.server, Now: f.clock.Now,
		VerifyFor: func() time.Duration { return 5 * time.Minute },
		Digest: func(ctx context.Context, _ account.Caller, _ string, salt, password []byte) ([]byte, error) {
			sum := sha256.Sum256(append(bytes.Clone(salt), password...))
			return sum[:], ctx.Err()
		},
	})
	return f
}

func attempt(user, password string) login.Attempt {
	return login.Attempt{Credential: login.Password{User: user, Secret: secret.New(password)}}
}

// want logs in and checks the error and the tries at the upstream.
func (f *fixture) want(user, password string, err error, tries ...string) session.Grant {
	f.t.Helper()
	g, got := f.Authenticate(f.t.Context(), attempt(user, password))
	if !errors.Is(got, err) {
		f.t.Errorf("%s with %q: %v, want %v", user, password, got, err)
	}
	if got := f.tried(); !slices.Equal(got, tries) {
		f.t.Errorf("%s with %q: tried %q, want %q", user, password, got, tries)
	}
	return g
}

func TestAPasswordThatWasAcceptedIsNotTriedAgainForAWhile(t *testing.T) {
	f := newFixture(t)
	g := f.want("Ann@corp", "right", nil, "Ann@corp:right")
	if i := g.Identity; !i.Name.Equal(principal.OfUpstream("lab", `corp\ann`)) || i.FullName != "A User" ||
		g.Scope != (session.Scope{Upstream: "lab"}) {
		t.Errorf("grant %+v", g)
	}
	f.want("Ann@corp", "right", nil)
	f.want(`CORP\Ann`, "right", nil) // another spelling
	// The upstream may know another user with a name in another case.
	f.want(`CORP\ANN`, "right", nil, `CORP\ANN:right`)
	f.want("Ann@corp", "right", nil, "Ann@corp:right")
	f.want("ann", "right", nil, "ann:right")
	f.want("Ann@corp", "wrong", login.ErrRejected, "Ann@corp:wrong")
	f.want("Ann@corp", "right", nil)
	f.clock.Advance(5 * time.Minute)
	f.want("Ann@corp", "right", nil, "Ann@corp:right")
	// After a change, the old one is not believed any more once the new one was used.
	f.password = "new"
	f.want("Ann@corp", "right", nil)
	f.want("Ann@corp", "new", nil, "Ann@corp:new")
	f.want("Ann@corp", "right", login.ErrRejected, "Ann@corp:right")
}

func TestAPasswordThatWasRefusedIsNotTriedAgainForAWhile(t *testing.T) {
	f := newFixture(t)
	f.want("ann", "old", login.ErrRejected, "ann:old")
	f.want("ann", "old", login.ErrRepeated)
	f.want("ANN", "old", login.ErrRepeated)
	f.want("ann", "older", login.ErrRejected, "ann:older")
	f.want("ann", "old", login.ErrRepeated)
	f.password = "old" // it becomes right
	f.clock.Advance(time.Minute)
	f.want("ann", "old", nil, "ann:old")
	f.want("ann", "old", nil)
	// Only the last few are remembered.
	for i := range 20 {
		f.want("ben", fmt.Sprint(i), login.ErrRejected, fmt.Sprint("ben:", i))
	}
	f.want("ben", "19", login.ErrRepeated)
	f.want("ben", "0", login.ErrRejected, "ben:0")
}

func TestAHundredClientsWithAnOldPasswordAreTriedOnce(t *testing.T) {
	f := newFixture(t)
	f.hold, f.began = make(chan struct{}), make(chan string, 200)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards errs
	errs := map[string]int{}
	count := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		errs[name]++
	}
	for i := range 100 {
		password := "old"
		if i == 50 {
			password = "right"
		}
		wg.Go(func() {
			_, err := f.Authenticate(t.Context(), attempt("ann", password))
			switch {
			case err == nil:
				count("in")
			case errors.Is(err, login.ErrRepeated):
				count("repeated")
			case errors.Is(err, login.ErrRejected):
				count("rejected")
			default:
				t.Error(err)
			}
		})
	}
	<-f.began
	close(f.hold)
	wg.Wait()
	if errs["in"] != 1 || errs["rejected"] != 1 || errs["repeated"] != 98 {
		t.Errorf("outcomes %v", errs)
	}
	if tries := f.tried(); len(tries) != 2 || f.most != 1 {
		t.Errorf("tried %q, %d at the same time", tries, f.most)
	}
}

func TestOtherErrorsOfTheUpstreamSayNothingAboutAPassword(t *testing.T) {
	f := newFixture(t)
	down := errors.New("not reachable")
	f.err = down
	f.want("ann", "right", down, "ann:right")
	f.want("ann", "right", down, "ann:right")
	f.err = nil
	f.want("ann", "right", nil, "ann:right")
	f.err = down
	f.want("ann", "right", nil)
	f.want("ann", "wrong", down, "ann:wrong")
}

func TestATryGoesOnIfItsClientLeaves(t *testing.T) {
	f := newFixture(t)
	f.hold, f.began = make(chan struct{}), make(chan string, 2)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := f.Authenticate(ctx, attempt("ann", "old"))
		first <- err
	}()
	<-f.began
	waiting, leave := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := f.Authenticate(waiting, attempt("ann", "other"))
		second <- err
	}()
	cancel()
	leave()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("a client that leaves while it waits: %v", err)
	}
	close(f.hold)
	if err := <-first; !errors.Is(err, login.ErrRejected) {
		t.Errorf("a client that leaves while its password is tried: %v", err)
	}
	f.want("ann", "old", login.ErrRepeated, "ann:old")
}

func TestALockedNameIsNotTried(t *testing.T) {
	f := newFixture(t)
	a := attempt("ann", "right")
	a.Locked = true
	if _, err := f.Authenticate(t.Context(), a); !errors.Is(err, login.ErrRejected) || len(f.tried()) != 0 {
		t.Errorf("under a lock: %v", err)
	}
}

func TestWhatNoServerHasIsNotTried(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("x", 2000)
	for _, c := range [][2]string{{"", "x"}, {"ann", ""}, {long, "x"}, {"ann", long}, {"a\nb", "x"}, {"\xff", "x"}} {
		f.want(c[0], c[1], login.ErrRejected)
	}
	_, err := f.Authenticate(t.Context(), login.Attempt{Credential: login.SSPI{}})
	if !errors.Is(err, login.ErrNotMine) {
		t.Errorf("another credential: %v", err)
	}
}

func TestAUserThatIsForgottenIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	f.want("Ann@corp", "right", nil, "Ann@corp:right")
	f.want("ben", "right", nil, "ben:right")
	f.Forget(`CORP\ann`)
	f.want("ben", "right", nil)
	f.want("Ann@corp", "right", nil, "Ann@corp:right")
}

func TestNamesThatStrangersMakeUpPushNobodyOut(t *testing.T) {
	f := newFixture(t)
	f.want("ann", "right", nil, "ann:right")
	for i := range 3000 {
		_, _ = f.Authenticate(t.Context(), attempt(fmt.Sprint("stranger", i), "wrong"))
	}
	if n := len(f.tried()); n != 3000 {
		t.Errorf("%d tries", n)
	}
	f.want("ann", "right", nil)
	f.want("stranger2999", "wrong", login.ErrRepeated)
	f.want("stranger0", "wrong", login.ErrRejected, "stranger0:wrong") // forgotten
}
