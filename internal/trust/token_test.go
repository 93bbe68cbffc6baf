package trust

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/filewatch"
)

func TestATokenIsThatOfItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		// A new file is noticed also within the resolution of its time.
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 5, 4, 3, 30, 0, 0, time.UTC)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	open := func() (*Token, error) { return OpenToken(path, func() time.Time { return now }, logger) }

	if _, err := open(); err == nil {
		t.Error("a missing file was accepted")
	}
	const first, second = "the-first-secret-of-many", "the-second-secret-of-many"
	write("  short\n")
	if _, err := open(); err == nil || strings.Contains(err.Error(), "short\n") {
		t.Errorf("a short token: %v", err)
	}
	write(first + "\n")
	token, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{first: true, "": false, first[1:]: false, second: false} {
		if token.Is(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
	// A change is in force within a second, and a mistake changes nothing.
	write(second)
	now = now.Add(filewatch.Period)
	if !token.Is(second) || token.Is(first) {
		t.Error("the new token is not in force")
	}
	write("bad")
	now = now.Add(filewatch.Period)
	if !token.Is(second) || token.Is("bad") {
		t.Error("after a mistake the token has changed")
	}
	if !strings.Contains(log.String(), "can't be used") || strings.Contains(log.String(), second) {
		t.Errorf("logged: %s", log.String())
	}
}

func TestATokenThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	const token = "the-only-secret-of-many"
	var log bytes.Buffer
	now := time.Date(2026, 5, 4, 3, 30, 0, 0, time.UTC)
	logger := slog.New(slog.NewTextHandler(&log, nil))
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := OpenToken(path, func() time.Time { return now }, logger)
	if err != nil || log.Len() > 0 {
		t.Fatalf("a private file: %v, logged %s", err, log.String())
	}
	// A new file is noticed also within the resolution of its time.
	if err := os.WriteFile(path+".new", []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".new", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(filewatch.Period)
	if !opened.Is(token) {
		t.Error("the token is refused")
	}
	text := log.String()
	if strings.Count(text, "can be read by other accounts") != 1 || strings.Contains(text, token) {
		t.Errorf("logged: %s", text)
	}
}
