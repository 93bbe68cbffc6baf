package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// askEnv makes the test binary a client of the socket in the data directory that it names.
const askEnv = "VIGATE_CONTROL_TEST_ASK"

func TestMain(m *testing.M) {
	data := os.Getenv(askEnv)
	if data == "" {
		os.Exit(m.Run())
	}
	if err := Backup(context.Background(), data, io.Discard); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func giving(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(b)})
		return err
	}
}

func listenTest(t *testing.T, data string, opts Options) *Server {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Listen(data, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestACopyIsCompleteAndTheSocketIsPrivate(t *testing.T) {
	data := t.TempDir()
	want := bytes.Repeat([]byte("a page of the store "), 200_000)
	var log bytes.Buffer // is read only after Close
	s := listenTest(t, data, Options{Backup: giving(want), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		var got bytes.Buffer
		if err := Backup(t.Context(), data, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("got %d bytes of %d, %v", got.Len(), len(want), err)
		}
	}
	for path, mode := range map[string]fs.FileMode{s.path: fs.ModeSocket | 0o600,
		filepath.Dir(s.path): fs.ModeDir | 0o700} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if on, err := Running(t.Context(), data); !on || err != nil {
		t.Errorf("Running = %v, %v", on, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if line := fmt.Sprintf(`msg="backup sent" uid=%d bytes=%d `, os.Geteuid(), len(want)); strings.Count(log.String(),
		line) != 2 {
		t.Errorf("the log does not have this twice: %s: %s", line, log.String())
	}
	if on, err := Running(t.Context(), data); on || err != nil {
		t.Errorf("Running after the end = %v, %v", on, err)
	}
	if left, err := os.ReadDir(filepath.Dir(s.path)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestALongDataDirectoryIsServedOrClearlyRefused(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if on, err := Running(t.Context(), data); on || err != nil && runtime.GOOS == "linux" {
		t.Errorf("Running without a socket = %v, %v", on, err)
	}
	if err := os.MkdirAll(data, 0o711); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "linux" {
		if _, err := Listen(data, Options{}); !errors.Is(err, errLong) {
			t.Errorf("Listen: %v", err)
		}
		return
	}
	want := []byte("the store")
	s := listenTest(t, data, Options{Backup: giving(want)})
	var got bytes.Buffer
	if err := Backup(t.Context(), data, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("got %q, %v", got.Bytes(), err)
	}
	if info, err := os.Lstat(s.path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
}

func TestOnlyTheServersAccountAndRootAreServed(t *testing.T) {
	self := uint32(os.Geteuid())
	for name, c := range map[string]struct {
		uid  uint32
		err  error
		text string // text of the refusal; empty if there is none
	}{
		"the server's account": {self, nil, ""},
		"root":                 {0, nil, ""},
		"another account":      {self + 1, nil, "refused (403): only the server's account and root"},
		"unknown account id":   {^uint32(0), nil, "refused (403): only the server's account and root"},
		"undetermined account": {0, errors.ErrUnsupported, "refused (403): can't determine your account"},
	} {
		t.Run(name, func(t *testing.T) {
			data, asked := t.TempDir(), false
			listenTest(t, data, Options{
				Backup: func(io.Writer) error { asked = true; return nil },
				uid:    func(*net.UnixConn) (uint32, error) { return c.uid, c.err },
			})
			err := Backup(t.Context(), data, io.Discard)
			if c.text == "" && (err != nil || !asked) ||
				c.text != "" && (err == nil || asked || !strings.Contains(err.Error(), c.text)) {
				t.Errorf("asked %v, %v", asked, err)
			}
		})
	}
}

// TestTheKernelKeepsOtherAccountsOut calls the socket from other accounts, if the test may change
// its account, and from its own account in any case.
func TestTheKernelKeepsOtherAccountsOut(t *testing.T) {
	dir, err := os.MkdirTemp("", "vigate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The test binary is in a directory that only its owner may enter.
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ask")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	s := listenTest(t, dir, Options{Backup: giving([]byte("the store"))})
	ask := func(as *syscall.Credential) (string, error) {
		c := exec.CommandContext(t.Context(), program)
		c.Env = append(os.Environ(), askEnv+"="+dir)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := ask(nil); err != nil {
		t.Errorf("the server's own account: %v %s", err, out)
	}
	if os.Geteuid() != 0 {
		return
	}
	other := &syscall.Credential{Uid: 65534, Gid: 65534}
	if out, err := ask(other); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("another account: %v %s", err, out)
	}
	// If the directory and the socket have wider modes, the server still refuses other accounts.
	for path, mode := range map[string]fs.FileMode{filepath.Dir(s.path): 0o755, s.path: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := ask(other); err == nil || !strings.Contains(out, "refused (403)") {
		t.Errorf("another account, with open modes: %v %s", err, out)
	}
}

func TestAStalledReaderIsDisconnected(t *testing.T) {
	data := t.TempDir()
	ended := make(chan error, 1)
	endless := func(w io.Writer) error {
		err := error(nil)
		for err == nil {
			_, err = w.Write(make([]byte, 32<<10))
		}
		ended <- err
		return err
	}
	s := listenTest(t, data, Options{Backup: endless, stall: 50 * time.Millisecond, grace: time.Hour})
	for range 2 { // the second round shows that the turn is released
		c, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET "+backupPath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "too slow") {
			t.Errorf("the copy ended with %v", err)
		}
		// The client does not take what it received for a complete copy.
		if b, err := io.ReadAll(c); err != nil || bytes.HasSuffix(b, []byte("0\r\n\r\n")) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
}

// trickle is a writer that takes a given time for each write and obeys its deadline.
type trickle struct {
	takes    time.Duration
	deadline time.Time
}

func (s *trickle) Write(p []byte) (int, error) {
	<-time.After(min(s.takes, time.Until(s.deadline)))
	if !time.Now().Before(s.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return len(p), nil
}

func TestASlowReaderIsDisconnectedInTheEnd(t *testing.T) {
	const piece = 32 << 10
	for name, c := range map[string]struct {
		rate    int // bytes per second that the reader takes
		cut     bool
		atLeast time.Duration
		atMost  time.Duration
	}{
		"slow":        {piece / 10, true, grace, grace + 5*time.Second},
		"quick":       {2 * minRate, false, 0, time.Hour},
		"just enough": {minRate, false, 0, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &trickle{takes: piece * time.Second / time.Duration(c.rate)}
				start := time.Now()
				p := &pacer{w: r, stall: stall, until: start.Add(grace), deadline: func(d time.Time) error {
					r.deadline = d
					return nil
				}}
				var err error
				for p.written < 1<<30 && err == nil {
					_, err = p.Write(make([]byte, piece))
				}
				took := time.Since(start)
				if (err != nil) != c.cut || took < c.atLeast || took > c.atMost {
					t.Errorf("after %v and %d bytes: %v", took, p.written, err)
				}
			})
		})
	}
}

func TestAFailedCopyIsNotTakenForComplete(t *testing.T) {
	for _, size := range []int{0, 1, 100_000, 5_000_000} {
		data := t.TempDir()
		listenTest(t, data, Options{Backup: func(w io.Writer) error {
			if size > 0 {
				if _, err := w.Write(make([]byte, size)); err != nil {
					return err
				}
			}
			return errors.New("page 7 is damaged")
		}})
		want := "the connection broke"
		if size == 0 {
			want = "refused (500): page 7 is damaged"
		}
		if err := Backup(t.Context(), data, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("after %d bytes: %v", size, err)
		}
	}
}

func TestOneBackupRunsAtATimeAndCloseEndsIt(t *testing.T) {
	data := t.TempDir()
	begun, ended := make(chan struct{}), make(chan struct{})
	s := listenTest(t, data, Options{Backup: func(w io.Writer) error {
		defer close(ended)
		close(begun)
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return err
			}
		}
	}})
	got := make(chan error, 1)
	go func() { got <- Backup(t.Context(), data, io.Discard) }()
	<-begun
	if err := Backup(t.Context(), data, io.Discard); err == nil ||
		!strings.Contains(err.Error(), "refused (503): another backup") {
		t.Errorf("a second one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case <-ended:
	default:
		t.Error("the store is still read after Close")
	}
	if err := <-got; err == nil {
		t.Error("a truncated copy is taken for complete")
	}
}

func TestADisconnectedClientEndsTheCopy(t *testing.T) {
	data := t.TempDir()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	listenTest(t, data, Options{Backup: func(w io.Writer) error {
		err := error(nil)
		for n := 0; err == nil; n++ {
			if n == 100 {
				cancel()
			}
			_, err = w.Write(make([]byte, 32<<10))
		}
		ended <- err
		return err
	}})
	if err := Backup(ctx, data, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Backup: %v", err)
	}
	<-ended
}

func TestOnlyAnAbandonedSocketIsReplaced(t *testing.T) {
	data := t.TempDir()
	dir := filepath.Join(data, directory)
	if err := Backup(t.Context(), data, io.Discard); !errors.Is(err, ErrNoServer) {
		t.Errorf("without a socket: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socket), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if err := Backup(t.Context(), data, io.Discard); !errors.Is(err, ErrNoServer) {
		t.Errorf("with an abandoned socket: %v", err)
	}
	s := listenTest(t, data, Options{Backup: giving(nil)})
	if err := Backup(t.Context(), data, io.Discard); err != nil {
		t.Errorf("after it was replaced: %v", err)
	}
	if info, err := os.Lstat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(s.path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(data, Options{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the socket's place: %v", err)
	}
	if b, err := os.ReadFile(s.path); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
	other := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(other, directory)); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(other, Options{}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a link in the directory's place: %v", err)
	}
}

func TestASilentServerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		defer here.Close()
		start := time.Now()
		if _, err := (patient{here}).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) ||
			time.Since(start) != silence {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
