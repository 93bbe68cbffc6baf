package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/principal"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store/bolt"
)

// vigate runs the program's command line in the test's process.
func vigate(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	var b bytes.Buffer
	root := rootCommand()
	root.SetOut(&b)
	root.SetErr(&b)
	code = cli.Execute(t.Context(), root, args)
	return b.String(), code
}

// fill adds sessions to a data directory that no server has open. The full name of the i-th user is
// "Made up made-up-00000i".
func fill(t *testing.T, dir string, sessions int) {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.MaxSessionsPerUser = dir, 1_000_000
	n, err := serve.Open(t.Context(), cfg, serve.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			if _, _, err := n.Sessions.Start(t.Context(), madeUp(i)); err != nil {
				t.Errorf("start session: %v", err)
			}
		})
	}
	wg.Wait()
	if err := n.Close(); err != nil || t.Failed() {
		t.Fatalf("fill store: %v", err)
	}
}

// madeUp returns the grant of a login for a user without an account.
func madeUp(i int) session.Grant {
	user := fmt.Sprintf("made-up-%06d", i)
	return session.Grant{
		Identity: session.Identity{Name: principal.Name{Domain: "vsphere.local", User: user},
			FullName: "Made up " + user},
		Method: "password", Locale: "en", MessageLocale: "en", Address: "10.0.0.1", UserAgent: "test",
	}
}

func TestABackupIsACopyOfTheStoreAndReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 5)
	to := filepath.Join(t.TempDir(), "backup.db")
	out, code := vigate(t, "store", "backup", "--data", dir, to)
	if code != 0 || !strings.Contains(out, "5 sessions\n") {
		t.Fatalf("backup: %d %s", code, out)
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("backup has mode %v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("left beside the backup: %v, %v", left, err)
	}
	if out, code := vigate(t, "store", "backup", "--data", dir, to); code == 0 ||
		!strings.Contains(out, fs.ErrExist.Error()) {
		t.Errorf("a second backup to the same file: %d %s", code, out)
	}
	fill(t, dir, 1)
	if out, code := vigate(t, "store", "backup", "--replace", "--data", dir, to); code != 0 ||
		!strings.Contains(out, "6 sessions\n") {
		t.Errorf("a backup that replaces the file: %d %s", code, out)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("left beside the backup: %v, %v", left, err)
	}
}

func TestAStoreInUseByNoServerIsNeitherCheckedNorBackedUp(t *testing.T) {
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, storeName), bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	to := filepath.Join(dir, "backup.db")
	for _, args := range [][]string{{"check"}, {"backup", to}} {
		out, code := vigate(t, append([]string{"store", "--data", dir}, args...)...)
		if code != 1 || !strings.Contains(out, bolt.ErrLocked.Error()) {
			t.Errorf("%s: %d %s", args[0], code, out)
		}
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup that failed left its file: %v", err)
	}
}

func TestADamagedStoreIsReported(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 300)
	path := filepath.Join(dir, storeName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(b, []byte("Made up made-up-"))
	if at < 0 {
		t.Fatal("no session found in the file")
	}
	for i := range b {
		// Old pages may hold the same text, so it is damaged in all places.
		if bytes.HasPrefix(b[i:], []byte("Made up made-up-000123")) {
			b[i] = 'X'
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := vigate(t, "store", "check", "--data", dir)
	if code != 1 || !strings.Contains(out, "damaged record in "+path) {
		t.Errorf("check: %d %s", code, out)
	}
}

func TestStoreCommandsDoNotCreateAStore(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"check"}, {"backup", filepath.Join(t.TempDir(), "b")}} {
		if out, code := vigate(t, append([]string{"store", "--data", dir}, args...)...); code != 1 {
			t.Errorf("%s: %d %s", args[0], code, out)
		}
	}
	for _, args := range [][]string{{}, {"check"}, {"fill"}, {"nonsense"}} {
		if out, code := vigate(t, append([]string{"store"}, args...)...); code != 2 {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("made in the directory: %v, %v", left, err)
	}
}
