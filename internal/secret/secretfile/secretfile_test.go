package secretfile

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigate/vigate/internal/datadir"
)

func TestAFileIsASecretWithoutItsLineEnd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "password")
	for content, want := range map[string]string{
		"pass": "pass", "pass\n": "pass", "pass\r\n": "pass", "pass\n\n": "pass\n", " p a ss ": " p a ss ",
		"\n": "", "": "",
		strings.Repeat("x", maxSize): strings.Repeat("x", maxSize), strings.Repeat("x", maxSize+1): "",
		strings.Repeat("x", maxSize) + "\r\n": strings.Repeat("x", maxSize), strings.Repeat("x", maxSize+3): "",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(name, "password", slog.New(slog.DiscardHandler))
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%.20q of %d bytes: %d bytes, %v", content, len(content), len(got.Reveal()), err)
		}
	}
}

func TestAFileThatOthersCouldChangeIsRefusedAndOneThatTheyCanReadWarnedOf(t *testing.T) {
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
			p, err := Read(path, "password", slog.New(slog.NewTextHandler(&log, nil)))
			if errors.Is(err, datadir.ErrUnsafe) != c.refused || (p.Reveal() == "from a file") == c.refused {
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
	if _, err := Read(link, "password", slog.Default()); !errors.Is(err, datadir.ErrUnsafe) {
		t.Errorf("through a stranger's link: %v", err)
	}
}
