package serve

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
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

func TestAFirstPasswordThatOthersCouldChangeIsRefusedAndOneThatTheyCanReadWarnedOf(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "password"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("from a file\n"), 0o600),
		os.Symlink("password", link)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode fs.FileMode
		// The expected outcome.
		refused, warned bool
	}{
		{mode: 0o600}, {mode: 0o440}, {mode: 0o444, warned: true}, {mode: 0o604, warned: true},
		{mode: 0o620, refused: true}, {mode: 0o666, refused: true},
	} {
		for _, path := range []string{file, link} {
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			p, err := ReadPassword(path, "password", slog.New(slog.NewTextHandler(&log, nil)))
			if errors.Is(err, datadir.ErrUnsafe) != c.refused || (string(p) == "from a file") == c.refused {
				t.Errorf("%s, mode %o: %v", path, c.mode, err)
			}
			if warned := strings.Contains(log.String(), "can be read by other accounts"); warned != c.warned ||
				strings.Contains(log.String(), "from a file") {
				t.Errorf("%s, mode %o: logged %q", path, c.mode, log.String())
			}
		}
	}
	if os.Geteuid() != 0 {
		return // only root can change the owner of a file
	}
	if err := errors.Join(os.Chmod(file, 0o600), os.Lchown(link, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPassword(link, "password", slog.Default()); !errors.Is(err, datadir.ErrUnsafe) {
		t.Errorf("through a stranger's link: %v", err)
	}
}
