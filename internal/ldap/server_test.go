package ldap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/directory"
	"github.com/vigate/vigate/internal/ldap/ldaptest"
	"github.com/vigate/vigate/internal/login"
)

func TestConnectionsAreEncryptedAndTheServerIsKnown(t *testing.T) {
	s, other := ldaptest.Start(t, ldaptest.Options{}), ldaptest.Start(t, ldaptest.Options{Name: "dc1.corp.example"})
	port := s.LDAP[strings.LastIndex(s.LDAP, ":"):]
	for name, c := range map[string]struct {
		url      string
		startTLS bool
		ca       string
		works    bool
	}{
		"LDAPS":                               {s.LDAPS, false, s.CA, true},
		"StartTLS":                            {s.LDAP, true, s.CA, true},
		"StartTLS by name":                    {"ldap://localhost" + port, true, s.CA, true},
		"LDAPS, another authority":            {s.LDAPS, false, other.CA, false},
		"StartTLS, another authority":         {s.LDAP, true, other.CA, false},
		"LDAPS, the system's authorities":     {s.LDAPS, false, "", false},
		"LDAPS, another name":                 {other.LDAPS, false, other.CA, false},
		"no TLS, which the server refuses":    {s.LDAP, false, s.CA, false},
		"LDAPS to the port of another scheme": {"ldaps://127.0.0.1" + port, false, s.CA, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := settings(t, s)
			set.Servers, set.StartTLS, set.CA = []string{c.url}, c.startTLS, c.ca
			f := newFixture(t, set)
			if c.works {
				f.accepted(t, "alice", "alice-pw")
				f.rejected(t, "alice", "wrong")
				return
			}
			f.unavailable(t)
			if strings.Contains(f.log.String(), "alice") || strings.Contains(f.log.String(), ldaptest.Password) {
				t.Errorf("the log says too much:\n%s", f.log)
			}
		})
	}
}

func TestFilesThatOtherAccountsCanChangeAreNotUsed(t *testing.T) {
	set := settings(t, ldaptest.Start(t, ldaptest.Options{}))
	for _, name := range []string{set.CA, set.BindPasswordFile} {
		if err := os.Chmod(name, 0o666); err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, set)
		f.unavailable(t)
		if f.log.lines("can be written by others") == 0 {
			t.Errorf("the log does not say why:\n%s", f.log)
		}
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newFixture(t, set).accepted(t, "alice", "alice-pw")
}

func TestAPlainServerOnThisMachineIsUsed(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{Plain: true})
	set := settings(t, s)
	set.Servers = []string{s.LDAP}
	newFixture(t, set).accepted(t, "alice", "alice-pw")
}

func TestWhenAServerIsKilledTheNextOneAnswers(t *testing.T) {
	first, second := ldaptest.Start(t, ldaptest.Options{}), ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, first, second))
	f.accepted(t, "alice", "alice-pw")
	first.Kill()
	f.accepted(t, "alice", "alice-pw")
	f.rejected(t, "alice", "wrong")
	if c := f.search.idle[0]; c.server.url != second.LDAPS {
		t.Errorf("the connection is to %s", c.server.url)
	}
	if f.log.String() != "" {
		t.Errorf("a directory that answers is not an outage:\n%s", f.log)
	}
	second.Kill()
	f.unavailable(t)
	// Once the first one is there again, it is used as soon as it may be tried.
	first.Restart()
	f.clock.Advance(deadTime)
	f.accepted(t, "alice", "alice-pw")
	if f.log.lines("level=ERROR") != 1 || f.log.lines("available again") != 1 {
		t.Errorf("log:\n%s", f.log)
	}
}

func TestAServerThatDoesNotAnswerIsLeftOut(t *testing.T) {
	first, second := ldaptest.Start(t, ldaptest.Options{}), ldaptest.Start(t, ldaptest.Options{})
	f := newFixtureIn(t, settings(t, first, second), time.Second)
	f.accepted(t, "alice", "alice-pw")
	first.Pause()
	defer first.Resume()
	// The server may answer once more before the signal reaches it. The machine may also be too busy for
	// the short time-out: the second server then counts as failed, too.
	eventually(t, func() bool {
		f.clock.Advance(deadTime)
		_, err := f.try(t, "alice", "alice-pw")
		return err == nil && f.servers().all[0].cause != nil
	})
}

// servers returns the servers of the source.
func (f *fixture) servers() *servers { return f.search.servers }

// eventually waits until the condition holds.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within a minute")
		}
	}
}

func TestAnOutageIsLoggedOnceInAWhile(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{})
	f := newFixture(t, settings(t, s))
	s.Kill()
	for range 10 {
		f.unavailable(t)
	}
	if _, err := f.Search(t.Context(), "alice", true); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("search without a server: %v", err)
	}
	_, err := f.Groups(t.Context(), named("alice"))
	if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, login.ErrRejected) {
		t.Errorf("groups without a server: %v", err)
	}
	if n := f.log.lines("level=ERROR"); n != 1 {
		t.Errorf("%d lines:\n%s", n, f.log)
	}
	f.clock.Advance(reportEvery)
	f.unavailable(t)
	if !strings.Contains(f.log.String(), "failures=12") || !strings.Contains(f.log.String(), "connection refused") {
		t.Errorf("log:\n%s", f.log)
	}
}

func TestADirectoryThatComesAndGoesDoesNotFillTheLog(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	for range 100 {
		_ = f.reports.of(directory.ErrUnavailable)
		_ = f.reports.of(nil)
	}
	if down, up := f.log.lines("is not available"), f.log.lines("available again"); down != 1 || up != 1 {
		t.Errorf("%d and %d lines:\n%s", down, up, f.log)
	}
	f.clock.Advance(reportEvery)
	_ = f.reports.of(directory.ErrUnavailable)
	if !strings.Contains(f.log.String(), "failures=100") {
		t.Errorf("log:\n%s", f.log)
	}
}

func TestAFailedServerIsNotAskedAgainAtOnce(t *testing.T) {
	s := ldaptest.Start(t, ldaptest.Options{})
	set := settings(t, s)
	set.BindPasswordFile = file(t, "wrong")
	f := newFixture(t, set)
	f.unavailable(t)
	until := f.servers().all[0].retry
	f.clock.Advance(deadTime - 1)
	f.unavailable(t)
	if f.servers().all[0].retry != until {
		t.Error("each login tries the service account's password, until the directory locks the account")
	}
	// The password is read again, and one caller tries it.
	f.servers().passwordFile = file(t, ldaptest.Password)
	f.clock.Advance(1)
	f.accepted(t, "alice", "alice-pw")
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	f.accepted(t, "alice", "alice-pw")
	search, bind := f.search.idle[0], f.binds.idle[0]
	f.rejected(t, "alice", "wrong")
	f.accepted(t, "bob", "bob-pw")
	if len(f.search.idle) != 1 || len(f.binds.idle) != 1 || f.search.idle[0] != search || f.binds.idle[0] != bind {
		t.Error("there are other connections")
	}
	f.clock.Advance(idleTime)
	f.accepted(t, "alice", "alice-pw")
	if len(f.search.idle) != 1 || f.search.idle[0] == search || !search.conn.IsClosing() {
		t.Error("an old connection was kept")
	}
}

func TestManyLoginsAtOnceShareAFewConnections(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := f.try(t, "alice", "alice-pw"); err != nil && !errors.Is(err, login.ErrBusy) {
				t.Errorf("login: %v", err)
			}
		})
	}
	wg.Wait()
	if len(f.search.idle) > maxNetwork || len(f.binds.idle) > maxNetwork {
		t.Errorf("%d and %d connections", len(f.search.idle), len(f.binds.idle))
	}
	f.allTurnsAreFree(t)
}

// allTurnsAreFree checks that every turn was given back, by taking all of them.
func (f *fixture) allTurnsAreFree(t *testing.T) {
	t.Helper()
	for i := range maxTurns {
		leave, err := f.turns.Enter(t.Context(), fmt.Sprint("network ", i), i < maxBehind)
		if err != nil {
			t.Errorf("%d turns were not given back: %v", maxTurns-i, err)
			return
		}
		defer leave()
	}
}

func TestOneNetworkLeavesTurnsToOthers(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	a := attempt("alice-pw")
	for range maxNetwork {
		leave, err := f.turns.Enter(t.Context(), a.Peer.Network(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
	}
	if _, err := f.Verify(t.Context(), named("alice"), a); !errors.Is(err, login.ErrBusy) {
		t.Errorf("one more of the network: %v", err)
	}
	a.Peer.Address = "198.51.100.1"
	if _, err := f.Verify(t.Context(), named("alice"), a); err != nil {
		t.Errorf("another network: %v", err)
	}
}

func TestCallersOfLockedNetworksLeaveTurnsToOthers(t *testing.T) {
	f := newFixture(t, settings(t, ldaptest.Start(t, ldaptest.Options{})))
	var leaves []func()
	for i := range maxBehind {
		leave, err := f.turns.Enter(t.Context(), fmt.Sprintf("198.51.100.%d", i), true)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	a := attempt("alice-pw")
	a.Behind = true
	if _, err := f.Verify(t.Context(), named("alice"), a); !errors.Is(err, login.ErrBusy) {
		t.Errorf("one more caller of a locked network: %v", err)
	}
	f.accepted(t, "alice", "alice-pw")
	for _, leave := range leaves {
		leave()
	}
	if _, err := f.Verify(t.Context(), named("alice"), a); err != nil {
		t.Errorf("a caller of a locked network, when no other asks: %v", err)
	}
	f.allTurnsAreFree(t)
}

func TestAServerCantSendMoreThanIsAllowed(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		b := make([]byte, 1<<16)
		for {
			if _, err := theirs.Write(b); err != nil {
				return
			}
		}
	}()
	w := &wire{Conn: ours}
	w.left.Store(1 << 20)
	b, n := make([]byte, 1<<16), 0
	for {
		read, err := w.Read(b)
		n += read
		if err != nil {
			if !errors.Is(err, errReply) || n > 1<<20 {
				t.Errorf("after %d bytes: %v", n, err)
			}
			return
		}
	}
}
