package serve

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/domain"
	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/front"
	"github.com/vigate/vigate/internal/login"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/store/storetest"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/upstream"
)

func TestTheConfigurationIsReadAgainWhenItsFileHasChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vigate.yaml")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a: 1\n")
	var log bytes.Buffer
	clock, reads := testclock.New(time.Time{}), 0
	var fault error
	n := &Node{logger: slog.New(slog.NewTextHandler(&log, nil)), now: clock.Now}
	r := newReload(n, Options{File: file, Reread: func() ([]upstream.Config, error) {
		reads++
		return nil, fault
	}})
	for _, step := range []struct {
		change func()
		reads  int
	}{
		{func() {}, 0},
		{func() { write("a: 22\n") }, 1},
		{func() {}, 1},
		{func() { _ = os.Remove(file) }, 1}, // it may be about to be replaced
		{func() { write("a: 333\n") }, 2},
		{func() { write("a: 4444\n"); fault = errors.New("half of a file") }, 3},
		{func() {}, 4}, // a failure is tried again
		{func() { fault = nil }, 4},
		{func() {}, 5},
		{func() {}, 5},
	} {
		step.change()
		clock.Advance(filewatch.Period)
		if err := r.look(t.Context()); err != nil || reads != step.reads {
			t.Fatalf("read %d times, want %d: %v", reads, step.reads, err)
		}
	}
	if n := strings.Count(log.String(), "were read again"); n != 3 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
	if n := strings.Count(log.String(), "was not taken over"); n != 1 {
		t.Errorf("the failure was logged %d times: %s", n, log.String())
	}
}

func TestAChangeOfTheConfigurationDuringTheStartIsNoticed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vigate.yaml")
	if err := os.WriteFile(file, []byte("a: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("a: 22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock, reads := testclock.New(time.Time{}), 0
	n := &Node{logger: slog.New(slog.DiscardHandler), now: clock.Now}
	r := newReload(n, Options{File: file, FileSeen: read, Reread: func() ([]upstream.Config, error) {
		reads++
		return nil, nil
	}})
	for range 3 {
		clock.Advance(filewatch.Period)
		if err := r.look(t.Context()); err != nil || reads != 1 {
			t.Fatalf("read %d times, want once: %v", reads, err)
		}
	}
}

func TestAChangeThatNeedsARestartIsToldOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vigate.yaml")
	var log bytes.Buffer
	clock, reads := testclock.New(time.Time{}), 0
	n := &Node{logger: slog.New(slog.NewTextHandler(&log, nil)), now: clock.Now}
	r := newReload(n, Options{File: file, Reread: func() ([]upstream.Config, error) {
		reads++
		return []upstream.Config{{Name: "new"}}, nil
	}})
	if err := os.WriteFile(file, []byte("a: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		clock.Advance(filewatch.LongestPause)
		if err := r.look(t.Context()); err != nil || reads != 1 {
			t.Fatalf("read %d times, want once: %v", reads, err)
		}
	}
	if n := strings.Count(log.String(), "upstream new is new: it needs a restart"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

func TestAPasswordFileThatComesAfterTheConfigurationIsReadAsSoonAsItIsThere(t *testing.T) {
	dir := t.TempDir()
	file, password := filepath.Join(dir, "vigate.yaml"), filepath.Join(dir, "password")
	cfg := upstream.Config{Name: "lab", URL: "http://127.0.0.1:1/sdk"}
	u, err := upstream.Open(cfg, upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := domain.New(domain.Options{
		Store: storetest.NewMemory(nil), Base: setting.Defaults(), Thumbprint: func() string { return "00" },
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	clock := testclock.New(time.Time{})
	n := &Node{logger: slog.New(slog.NewTextHandler(&log, nil)), now: clock.Now}
	f := front.New(front.Options{Domain: d, Upstream: u, Config: cfg, Gate: d.NewGate(login.GateOptions{})})
	n.fronts = []*frontServer{{config: cfg, upstream: u, front: f}}
	r := newReload(n, Options{File: file, Reread: func() ([]upstream.Config, error) {
		changed := cfg
		changed.Accounts = []upstream.AccountConfig{{Name: "ci", Username: "ci", PasswordFile: password}}
		return []upstream.Config{changed}, nil
	}})
	look := func() {
		t.Helper()
		clock.Advance(filewatch.LongestPause)
		if err := r.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte("a: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	look()
	look()
	if text := log.String(); strings.Count(text, "password-file") != 1 || strings.Contains(text, "were read again") {
		t.Fatalf("without the file: %s", text)
	}
	if err := os.WriteFile(password, []byte("secret-word"), 0o600); err != nil {
		t.Fatal(err)
	}
	look()
	if text := log.String(); strings.Count(text, "were read again") != 1 || strings.Contains(text, "secret-word") {
		t.Errorf("with the file: %s", text)
	}
	if _, ok := u.Account("ci"); !ok {
		t.Error("the account is not there")
	}
}
