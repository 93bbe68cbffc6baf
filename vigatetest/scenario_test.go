package vigatetest_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/sts"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/client"
	"github.com/vigate/vigate/vigatetest"
)

var (
	ann  = vigatetest.User{Name: "ann@vsphere.local", Password: "password of Ann", Role: vigatetest.RoleReadOnly}
	boss = vigatetest.Administrator()
)

func userinfo(u vigatetest.User) *url.Userinfo { return url.UserPassword(u.Name, u.Password) }

// hasFault checks that a call of either client failed with the fault T.
func hasFault[T any](t *testing.T, err error) {
	t.Helper()
	var viaClient *T
	viaSOAP := false
	fault.In(err, func(f types.BaseMethodFault, _ string, _ []types.LocalizableMessage) bool {
		_, is := f.(any).(*T)
		viaSOAP = viaSOAP || is
		return viaSOAP
	})
	if !viaSOAP && !client.As(err, &viaClient) {
		t.Errorf("got %v, want the fault %T", err, viaClient)
	}
}

// ask calls the server in the session of a client.
func ask(ctx context.Context, c *govmomi.Client) error {
	_, err := methods.GetCurrentTime(ctx, c)
	return err
}

func TestASessionExpiresWhenTheClockMovesAndNotBefore(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithIdleTimeout(10*time.Minute), vigatetest.WithMaxLifetime(time.Hour))
	soap, json := s.Govmomi(t, boss), s.Client(t, boss)
	for range 6 { // each call is in time, so that only the lifetime ends the sessions
		if err := ask(t.Context(), soap); err != nil {
			t.Fatal(err)
		}
		if _, err := json.CurrentSession(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Advance(9 * time.Minute)
	}
	if n := len(s.Sessions()); n != 2 {
		t.Fatalf("%d sessions after 54 minutes", n)
	}
	s.Advance(9 * time.Minute)
	if left := s.Sessions(); len(left) != 0 {
		t.Errorf("sessions after their lifetime: %+v", left)
	}
	hasFault[types.NotAuthenticated](t, ask(t.Context(), soap))
	_, err := json.SessionList(t.Context())
	hasFault[types.NotAuthenticated](t, err)

	if err := soap.Login(t.Context(), userinfo(boss)); err != nil {
		t.Fatal(err)
	}
	s.Advance(10*time.Minute + time.Second)
	hasFault[types.NotAuthenticated](t, ask(t.Context(), soap))
}

func TestEndAllEndsAllSessionsAndLetsNewOnesBegin(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithUsers(ann))
	soap, json := s.Govmomi(t, ann), s.Client(t, boss)
	s.EndAll()
	hasFault[types.NotAuthenticated](t, ask(t.Context(), soap))
	_, err := json.SessionList(t.Context())
	hasFault[types.NotAuthenticated](t, err)
	if err := ask(t.Context(), s.Govmomi(t, ann)); err != nil {
		t.Error(err)
	}
}

func TestAClientThatMayLogInAgainDoesNotNoticeTheEndOfItsSession(t *testing.T) {
	s := vigatetest.New(t)
	c, err := client.New(t.Context(), client.Config{
		URL: s.URL().String(), TLS: client.TLS{Thumbprint: s.Thumbprint()},
		Login: func(ctx context.Context, c *client.Client) error {
			_, err := c.Login(ctx, boss.Name, boss.Password, "")
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if _, err := c.SessionList(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.EndAll()
	}
}

func TestALimitRefusesLoginsUntilThereIsAPlace(t *testing.T) {
	s := vigatetest.New(t)
	first := s.Govmomi(t, boss)
	s.Govmomi(t, boss)
	s.Limit(2)
	_, err := s.Connect(t.Context(), boss)
	var busy *client.HTTPError
	if !errors.As(err, &busy) || busy.StatusCode != http.StatusServiceUnavailable || busy.RetryAfter <= 0 {
		t.Errorf("login over VI JSON at the limit: %v", err)
	}
	if _, err := s.ConnectGovmomi(t.Context(), boss); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("login over SOAP at the limit: %v", err)
	}
	if err := first.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Govmomi(t, boss)
	s.Limit(0)
	s.Govmomi(t, boss)
}

func TestAUserHasALimitOfItsOwn(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithUsers(ann), vigatetest.WithMaxSessions(10, 1))
	s.Govmomi(t, ann)
	if _, err := s.ConnectGovmomi(t.Context(), ann); err == nil {
		t.Error("a second session of one user")
	}
	s.Govmomi(t, boss)
}

func TestFailedLoginsLockAUserForATime(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithUsers(ann), vigatetest.WithLockout(3, time.Minute, time.Hour))
	wrong := ann
	wrong.Password = "not that of Ann"
	for range 3 {
		_, err := s.Connect(t.Context(), wrong)
		hasFault[types.InvalidLogin](t, err)
	}
	_, err := s.Connect(t.Context(), ann)
	hasFault[types.InvalidLogin](t, err)
	_, err = s.ConnectGovmomi(t.Context(), ann)
	hasFault[types.InvalidLogin](t, err)
	s.Govmomi(t, boss) // others are not locked
	s.Advance(time.Hour + time.Second)
	s.Govmomi(t, ann)
}

func TestALostPrivilegeIsLostInRunningSessions(t *testing.T) {
	const ender = vigatetest.Role("Ender")
	s := vigatetest.New(t, vigatetest.WithUsers(ann), vigatetest.WithRole(ender, "Sessions.TerminateSession"))
	victims := []string{key(t, s), key(t, s), key(t, s)}
	c := s.Client(t, ann)
	end := func(i int) error { return c.TerminateSession(t.Context(), victims[i]) }

	hasFault[types.NoPermission](t, end(0))
	s.SetRole(ann.Name, ender)
	if err := end(0); err != nil {
		t.Error(err)
	}
	s.SetRole(ann.Name, vigatetest.RoleReadOnly)
	hasFault[types.NoPermission](t, end(1))
	s.SetRole(ann.Name, "")
	_, err := s.Connect(t.Context(), ann)
	if err == nil {
		t.Error("a user without a role logged in")
	}
	s.SetRole(ann.Name, vigatetest.RoleAdmin)
	if err := end(2); err != nil {
		t.Error(err)
	}
}

// key returns the key of a new session.
func key(t *testing.T, s *vigatetest.Server) string {
	t.Helper()
	user, err := s.Govmomi(t, boss).SessionManager.UserSession(t.Context())
	if err != nil || user == nil {
		t.Fatal(user, err)
	}
	return user.Key
}

func TestSessionsAndUsersSurviveARestartAndConnectionsDoNot(t *testing.T) {
	s := vigatetest.New(t, vigatetest.WithUsers(ann))
	url, thumbprint := s.URL().String(), s.Thumbprint()
	soap, json := s.Govmomi(t, ann), s.Client(t, boss)
	for range 2 {
		s.Restart()
		if s.URL().String() != url || s.Thumbprint() != thumbprint {
			t.Fatalf("now at %s with %s", s.URL(), s.Thumbprint())
		}
		if err := ask(t.Context(), soap); err != nil {
			t.Error(err)
		}
		if _, err := json.SessionList(t.Context()); err != nil {
			t.Error(err)
		}
		s.Govmomi(t, ann)
	}
}

func TestACallThatWaitsEndsWithARestart(t *testing.T) {
	s := vigatetest.New(t)
	c := s.Govmomi(t, boss)
	waits := make(chan error, 1)
	go func() { waits <- waitForUpdates(t.Context(), c) }()
	for range 2 { // the wait may begin before the server ends, or fail to connect, but it must not go on
		s.Restart()
	}
	s.EndAll()
	if err := <-waits; err == nil {
		t.Error("the wait ended without an error")
	}
}

// waitForUpdates waits until its session or its connection ends.
func waitForUpdates(ctx context.Context, c *govmomi.Client) error {
	version := ""
	for {
		r, err := methods.WaitForUpdatesEx(ctx, c, &types.WaitForUpdatesEx{
			This: c.ServiceContent.PropertyCollector, Version: version,
			Options: &types.WaitOptions{MaxWaitSeconds: types.NewInt32(600)},
		})
		if err != nil {
			return err
		}
		if r.Returnval != nil {
			version = r.Returnval.Version
		}
	}
}

func TestASlowServerAnswersLate(t *testing.T) {
	s := vigatetest.New(t)
	c := s.Govmomi(t, boss)
	release := s.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := ask(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call of a server that does not answer: %v", err)
	}
	answered := make(chan error, 1)
	go func() { answered <- ask(t.Context(), c) }()
	select {
	case err := <-answered:
		t.Errorf("answered while the requests are held: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	release()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	s.Delay(30 * time.Millisecond)
	begun := time.Now()
	if err := ask(t.Context(), c); err != nil || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("answered after %v: %v", time.Since(begun), err)
	}
	s.Delay(0)
	release() // a second time does nothing
}

func TestCloseEndsHeldRequests(t *testing.T) {
	s, err := vigatetest.Start()
	if err != nil {
		t.Fatal(err)
	}
	s.Hold()
	answered := make(chan error, 1)
	go func() {
		_, err := s.ConnectGovmomi(t.Context(), boss)
		answered <- err
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-answered
}

func TestTheServersCertificateIsTrustedByItsPoolAlone(t *testing.T) {
	s := vigatetest.New(t)
	resp, err := s.HTTPClient().Get("https://" + s.URL().Host + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	u := s.URL()
	u.User = userinfo(boss)
	if _, err := govmomi.NewClient(t.Context(), u, false); err == nil {
		t.Error("a client trusts any certificate")
	}
	c, err := govmomi.NewClient(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStartNamesAnOptionThatCannotBeUsed(t *testing.T) {
	for want, option := range map[string]vigatetest.Option{
		"Nobody's": vigatetest.WithUsers(
			vigatetest.User{Name: "ann", Password: "password of Ann", Role: "Nobody's"}),
		"8 characters":   vigatetest.WithUsers(vigatetest.User{Name: "ann", Password: "short"}),
		"Odd":            vigatetest.WithRole("Odd", "No.Such.Privilege"),
		"sessionTimeout": vigatetest.WithIdleTimeout(100 * 24 * 365 * time.Hour),
	} {
		s, err := vigatetest.Start(option)
		if err == nil {
			t.Errorf("started with a wrong option: %s", want)
			_ = s.Close()
		} else if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
}

func TestServersDoNotShareAnything(t *testing.T) {
	one, other := vigatetest.New(t), vigatetest.New(t)
	c := one.Client(t, boss)
	stranger, err := client.New(t.Context(), client.Config{
		URL: other.URL().String(), TLS: client.TLS{Pool: other.CertPool()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	stranger.SetToken(c.Token())
	_, err = stranger.SessionList(t.Context())
	hasFault[types.NotAuthenticated](t, err)
	if one.Thumbprint() == other.Thumbprint() || one.URL().Host == other.URL().Host {
		t.Error("two servers are one")
	}
}

func TestAClientLogsInByATokenOfTheServer(t *testing.T) {
	s := vigatetest.New(t)
	c := s.Govmomi(t, boss)
	tokens, err := sts.NewClient(t.Context(), c.Client)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tokens.Issue(t.Context(), sts.TokenRequest{Userinfo: userinfo(boss)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.SessionManager.LoginByToken(c.WithHeader(t.Context(), soap.Header{Security: signer})); err != nil {
		t.Fatal(err)
	}
	if err := ask(t.Context(), c); err != nil {
		t.Error(err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := vigatetest.Start()
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
