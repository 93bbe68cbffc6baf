package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/control"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/session"
	"github.com/vigate/vigate/internal/store/bolt"
)

// lives records the sessions whose start was acknowledged and those whose end was acknowledged.
type lives struct {
	mu           sync.Mutex // guards the fields below
	begun, ended map[string]bool
}

func (l *lives) snapshot() (alive, ended []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token := range l.begun {
		if l.ended[token] {
			ended = append(ended, token)
		} else {
			alive = append(alive, token)
		}
	}
	return alive, ended
}

// churn starts sessions and ends half of them until ctx ends. It calls seen after each.
func (l *lives) churn(ctx context.Context, t *testing.T, r *running, seen func()) {
	for i := 0; ctx.Err() == nil; i++ {
		live, token, err := r.Sessions.Start(t.Context(), madeUp(i%10))
		if err != nil {
			t.Errorf("start: %v", err)
			return
		}
		l.mu.Lock()
		l.begun[token.Reveal()] = true
		l.mu.Unlock()
		if seen(); i%2 == 0 {
			continue
		}
		if err := r.Sessions.End(t.Context(), live, session.Logout(live.Session())); err != nil {
			t.Errorf("end: %v", err)
			return
		}
		l.mu.Lock()
		l.ended[token.Reveal()] = true
		l.mu.Unlock()
	}
}

func TestABackupUnderLoadHasWhatWasAcknowledgedBefore(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, nil)
	l := &lives{begun: map[string]bool{}, ended: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	enough := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l.churn(ctx, t, r, func() {
				if r.Sessions.Size() > 300 {
					once.Do(func() { close(enough) })
				}
			})
		})
	}
	<-enough
	alive, ended := l.snapshot()
	to := filepath.Join(t.TempDir(), "backup.db")
	out, code := vigate(t, "store", "backup", "--data", dir, to)
	cancel()
	wg.Wait()
	if code != 0 {
		t.Fatalf("backup: %d %s", code, out)
	}
	restored := t.TempDir()
	if out, code := vigate(t, "store", "restore", "--keep-sessions", "--data", restored, to); code != 0 {
		t.Fatalf("restore: %d %s", code, out)
	}
	again := start(t, restored, nil)
	lives := func(token string) bool {
		live, err := again.Sessions.Authenticate(t.Context(), secret.New(token), time.Now())
		if err != nil {
			t.Error(err)
		}
		return live != nil
	}
	for _, token := range alive {
		if !lives(token) && !l.ended[token] { // the session may have ended in the meantime
			t.Error("a session that began before the backup and still lives is not in it")
		}
	}
	for _, token := range ended {
		if lives(token) {
			t.Error("a session that was ended before the backup is in it")
		}
	}
	if len(alive) < 200 || len(ended) < 100 {
		t.Errorf("%d were live and %d ended", len(alive), len(ended))
	}
}

func TestARestoreBringsNoEndedSessionBack(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, nil)
	c := httpClient(t)
	lives, key := r.login(t, c)
	ended, _ := r.login(t, c)
	ticket := vi(t, c, r.plain, lives, sm+"AcquireCloneTicket", "").text()
	to := filepath.Join(t.TempDir(), "backup.db")
	if out, code := vigate(t, "store", "backup", "--data", dir, to); code != 0 ||
		!strings.Contains(out, " 2 sessions\n") || !strings.Contains(out, " 1 tickets\n") {
		t.Fatalf("backup: %d %s", code, out)
	}
	if a := vi(t, c, r.plain, ended, sm+"Logout", ""); a.status != 204 {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	r.stop()

	restored := filepath.Join(t.TempDir(), "new", "data")
	out, code := vigate(t, "store", "restore", "--data", restored, to)
	if code != 0 || !strings.Contains(out, "left out: 2 sessions and 1 tickets") ||
		strings.Contains(out, " sessions\n") {
		t.Fatalf("restore: %d %s", code, out)
	}
	if left, err := os.ReadDir(restored); err != nil || len(left) != 1 {
		t.Errorf("in the new directory: %v, %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(restored, storeName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the store has mode %v, %v", info.Mode(), err)
	}
	r = start(t, restored, nil)
	for _, token := range []string{lives, ended} {
		if a := vi(t, c, r.plain, token, sm+"currentSession", "GET"); a.member("key") != "" {
			t.Errorf("a session of the backup lives: %s", a.body)
		}
	}
	if a := vi(t, c, r.plain, "", sm+"CloneSession", `{"cloneTicket":"`+ticket+`"}`); a.status != 500 {
		t.Errorf("a ticket of the backup is good: %d", a.status)
	}
	token, _ := r.login(t, c) // the users are restored, and so is the event log
	if a := vi(t, c, r.plain, token, "EventManager/EventManager/QueryEvents",
		`{"filter":{"_typeName":"EventFilterSpec"}}`); strings.Count(a.body, `"UserLoginSessionEvent"`) != 3 {
		t.Errorf("events: %s", a.body)
	}

	// With --keep-sessions, sessions are restored unchanged.
	moved := t.TempDir()
	if out, code := vigate(t, "store", "restore", "--keep-sessions", "--data", moved, to); code != 0 ||
		!strings.Contains(out, " 2 sessions\n") || strings.Contains(out, "left out") {
		t.Fatalf("restore of all: %d %s", code, out)
	}
	r = start(t, moved, nil)
	if a := vi(t, c, r.plain, lives, sm+"currentSession", "GET"); a.member("key") != key {
		t.Errorf("the session: %d %s", a.status, a.body)
	}
}

func TestNothingIsRestoredUnderARunningServer(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil)
	to := filepath.Join(t.TempDir(), "backup.db")
	if out, code := vigate(t, "store", "backup", "--data", dir, to); code != 0 {
		t.Fatalf("backup: %d %s", code, out)
	}
	path := filepath.Join(dir, storeName)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if out, code := vigate(t, "store", "restore", "--data", dir, to); code != 1 ||
		!strings.Contains(out, "a server is running on "+dir) {
		t.Errorf("restore: %d %s", code, out)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
}

// halfABackup is a server that sends a part of its store, reports that, and then stops sending.
func halfABackup() {
	db, err := bolt.Open(filepath.Join(os.Args[1], storeName), bolt.Options{})
	if err == nil {
		_, err = control.Listen(os.Args[1], control.Options{Backup: func(w io.Writer) error {
			return db.Backup(&half{w: w})
		}})
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("listening")
	select {}
}

type half struct {
	w    io.Writer
	left int
}

func (h *half) Write(p []byte) (int, error) {
	if h.left += len(p); h.left > 100_000 {
		fmt.Println("half")
		select {}
	}
	return h.w.Write(p)
}

func TestAServerKilledDuringABackupLeavesNoFileAndIsNoHindrance(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 500)
	server := exec.CommandContext(t.Context(), "vigate-half-a-backup", dir)
	server.Stderr = os.Stderr
	stdout, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	said := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the server said %q, %v", lines.Text(), lines.Err())
		}
	}
	said("listening")
	to := filepath.Join(t.TempDir(), "backup.db")
	type outcome struct {
		out  string
		code int
	}
	done := make(chan outcome, 1)
	go func() {
		out, code := vigate(t, "store", "backup", "--data", dir, to)
		done <- outcome{out, code}
	}()
	said("half")
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if o := <-done; o.code != 1 || !strings.Contains(o.out, "connection broke") {
		t.Errorf("backup: %d %s", o.code, o.out)
	}
	_ = server.Wait() // killed
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// The socket still exists. Without a server, backup reads the file itself. The next server
	// replaces the socket.
	if _, err := os.Stat(filepath.Join(dir, "control", "sock")); err != nil {
		t.Error(err)
	}
	for i := range 2 {
		if out, code := vigate(t, "store", "backup", "--data", dir, to+fmt.Sprint(i)); code != 0 ||
			!strings.Contains(out, " 500 sessions\n") {
			t.Errorf("backup %d: %d %s", i, code, out)
		}
		if i == 0 {
			start(t, dir, nil)
		}
	}
}

func TestAnInterruptedBackupLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, storeName), bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s, err := control.Listen(dir, control.Options{
		Backup: func(w io.Writer) error { interrupt(); return db.Backup(w) }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	to := filepath.Join(t.TempDir(), "backup.db")
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	if code := cli.Execute(ctx, root, []string{"store", "backup", "--data", dir, to}); code == 0 {
		t.Errorf("backup: %s", out.String())
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestABackupOfADamagedStoreIsNotKept(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 50)
	path := filepath.Join(dir, storeName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path,
		bytes.ReplaceAll(b, []byte("Made up made-up-000023"), []byte("Made up made-up-666623")), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backup.db")
	if out, code := vigate(t, "store", "backup", "--data", dir, to); code != 1 ||
		!strings.Contains(out, "damaged record in ") || !strings.Contains(out, "was deleted") {
		t.Errorf("backup: %d %s", code, out)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
