package serve

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
)

func TestTheFirstStartNeedsAPasswordAndTakesItFromWhereItIsGiven(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	tty := func(io.Writer) bool { return true }
	noTTY := func(io.Writer) bool { return false }
	cfg := config.Default()
	if _, _, err := firstPassword(cfg, Terminal{Getenv: none, IsTerminal: noTTY}, slog.Default()); err == nil ||
		!strings.Contains(err.Error(), PasswordVariable) {
		t.Errorf("nowhere: %v", err)
	}
	if f, p, err := firstPassword(cfg, Terminal{Getenv: none, IsTerminal: tty}, slog.Default()); err != nil ||
		len(p) < 20 || f.password.Reveal() != string(p) {
		t.Errorf("terminal: %v", err)
	}
	cfg.AdminPasswordFile = file
	if f, p, err := firstPassword(cfg, Terminal{Getenv: none, IsTerminal: noTTY}, slog.Default()); err != nil ||
		string(p) != "from a file" || !f.password.IsZero() {
		t.Errorf("file: %v", err)
	}
	env := func(string) string { return "from the environment" }
	if f, p, err := firstPassword(cfg, Terminal{Getenv: env, IsTerminal: tty}, slog.Default()); err != nil ||
		string(p) != "from the environment" || !f.password.IsZero() {
		t.Errorf("environment: %v", err)
	}
}
