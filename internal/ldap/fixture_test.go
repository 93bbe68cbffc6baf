package ldap

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/peer"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/testclock"
)

const corp = "CORP.EXAMPLE"

// fixture is a source over servers of the test.
type fixture struct {
	*Source
	domain string
	clock  *testclock.Clock
	log    *logs
}

// logs is what was logged.
type logs struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// settings returns the settings for the standard content of the servers, by LDAPS.
func settings(t testing.TB, servers ...*ldaptest.Server) Settings {
	t.Helper()
	s := Settings{
		Domain: "corp.example", CA: bundle(t, servers...),
		BindDN: ldaptest.Service, BindPasswordFile: file(t, ldaptest.Password+"\n"),
		UserBase: ldaptest.People, UserFilter: "(uid={name})",
		GroupBase: ldaptest.Groups, GroupFilter: "(member={dn})", NestedGroups: true,
	}
	for _, one := range servers {
		s.Servers = append(s.Servers, one.LDAPS)
	}
	return s
}

func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// bundle returns a file of the authorities of the servers.
func bundle(t testing.TB, servers ...*ldaptest.Server) string {
	t.Helper()
	var all []byte
	for _, s := range servers {
		b, err := os.ReadFile(s.CA)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return file(t, string(all))
}

// newFixture makes a source whose requests may take long, because the machine may be busy.
func newFixture(t testing.TB, s Settings) *fixture {
	t.Helper()
	return newFixtureIn(t, s, 0)
}

func newFixtureIn(t testing.TB, s Settings, request time.Duration) *fixture {
	t.Helper()
	f := &fixture{domain: strings.ToUpper(s.Domain), clock: testclock.New(time.Now()), log: &logs{}}
	var err error
	f.Source, err = open(s, surroundings{
		now: f.clock.Now, logger: slog.New(slog.NewTextHandler(f.log, nil)), request: request,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func named(user string) principal.Name { return principal.Name{Domain: corp, User: user} }

func (f *fixture) named(user string) principal.Name {
	return principal.Name{Domain: f.domain, User: user}
}

func attempt(password string) login.Attempt {
	return login.Attempt{
		Credential: login.Password{Secret: secret.New(password)}, Peer: peer.Peer{Address: "192.0.2.7"},
	}
}

func (f *fixture) try(t testing.TB, user, password string) (session.Identity, error) {
	t.Helper()
	g, err := f.Verify(context.Background(), f.named(user), attempt(password))
	if err == nil && g.Scope != (session.Scope{Domain: f.domain}) {
		t.Errorf("the directory may prove %+v", g.Scope)
	}
	return g.Identity, err
}

func (f *fixture) accepted(t testing.TB, user, password string) session.Identity {
	t.Helper()
	i, err := f.try(t, user, password)
	if err != nil {
		t.Fatalf("login of %s: %v", user, err)
	}
	return i
}

func (f *fixture) rejected(t testing.TB, user, password string) error {
	t.Helper()
	i, err := f.try(t, user, password)
	if !errors.Is(err, login.ErrRejected) {
		t.Errorf("login of %q with the password %q: %+v, %v", user, password, i, err)
	}
	return err
}

func (f *fixture) unavailable(t testing.TB) {
	t.Helper()
	_, err := f.try(t, "alice", "alice-pw")
	if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, login.ErrRejected) {
		t.Errorf("login without a server: %v", err)
	}
}

// lines returns the lines of the log that contain the text.
func (l *logs) lines(text string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
