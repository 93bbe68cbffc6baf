package announce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/datadir"
)

// serviceManager is the other end of NOTIFY_SOCKET.
type serviceManager struct {
	t *testing.T
	*net.UnixConn
}

func listen(t *testing.T, name string) serviceManager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return serviceManager{t, c}
}

// next returns the next message.
func (m serviceManager) next() string {
	m.t.Helper()
	b := make([]byte, 4096)
	n, err := m.Read(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

// none reports a message that nobody should have sent. A datagram to a local socket is there once it was sent.
func (m serviceManager) none() {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now()); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	if n, err := m.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		m.t.Errorf("sent: %q, %v", b[:n], err)
	}
	_ = m.SetReadDeadline(time.Time{})
}

// sockets returns the addresses of a socket in each form that a service manager may give.
func sockets(t *testing.T) map[string]string {
	dir, err := os.MkdirTemp("", "vigate") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	all := map[string]string{"path": filepath.Join(dir, "notify")}
	if runtime.GOOS == "linux" {
		all["abstract"] = fmt.Sprintf("@vigate-test-%d/%s", os.Getpid(), filepath.Base(dir))
	}
	return all
}

func TestTheServiceManagerIsToldTheStartTheStateAndTheEnd(t *testing.T) {
	for form, name := range sockets(t) {
		t.Run(form, func(t *testing.T) {
			m := listen(t, name)
			a, err := New(Options{Socket: name})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Serving(State{}, "serving\nREADY=0"); err != nil {
				t.Fatal(err)
			}
			if got := m.next(); got != "READY=1\nSTATUS=serving READY=0" {
				t.Errorf("start: %q", got)
			}
			a.Status("12 sessions")
			if got := m.next(); got != "STATUS=12 sessions" {
				t.Errorf("state: %q", got)
			}
			a.Status("12 sessions")
			m.none()
			a.Stopping("waiting")
			if got := m.next(); got != "STOPPING=1\nSTATUS=waiting" {
				t.Errorf("end: %q", got)
			}
			a.Stopping("again")
			a.Status("late")
			if err := a.Serving(State{}, "late"); err != nil {
				t.Error(err)
			}
			m.none()
		})
	}
}

func TestAServiceManagerThatIsGoneStopsNothing(t *testing.T) {
	var log bytes.Buffer
	a, err := New(Options{
		Socket: filepath.Join(t.TempDir(), "gone"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Serving(State{}, ""); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "the service manager was not notified") {
		t.Errorf("logged: %s", log.String())
	}
}

func TestWithoutAnybodyToTellNothingHappens(t *testing.T) {
	var none *Announcer
	none.Status("x")
	none.Stopping("x")
	if err := none.Serving(State{}, "x"); err != nil {
		t.Error(err)
	}
}

// announcer returns an announcer with the ready file at path.
func announcer(t *testing.T, path string) *Announcer {
	t.Helper()
	a, err := New(Options{File: path})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var example = State{
	URL: "https://127.0.0.1:8989", Thumbprint: "AA:BB", PID: 4242, User: "administrator@vsphere.local", Data: "/d",
	Version: "1.2.3", Started: time.Date(2026, 5, 4, 3, 30, 0, 0, time.UTC),
}

func TestTheReadyFileIsThereAsLongAsTheServerServes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ready.json")
	a := announcer(t, path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the start: %v", err)
	}
	if err := a.Serving(example, ""); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil || got["url"] != example.URL || got["thumbprint"] != "AA:BB" ||
		got["pid"] != 4242.0 || got["user"] != example.User || got["started"] != "2026-05-04T03:30:00Z" {
		t.Errorf("%s: %v", b, err)
	}
	if _, is := got["unix"]; is {
		t.Errorf("there is no socket, but the file says %v", got["unix"])
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	a.Stopping("")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestAReadyFileOfAKilledServerIsRemovedAndOneOfARunningServerIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready.json")
	first := announcer(t, path)
	if err := first.Serving(example, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{File: path}); err == nil || !strings.Contains(err.Error(), "4242") ||
		!strings.Contains(err.Error(), path) {
		t.Errorf("the first server runs: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	// The end of a process closes its files.
	if err := first.file.held.Close(); err != nil {
		t.Fatal(err)
	}
	second := announcer(t, path)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of a killed server is still there: %v", err)
	}
	if err := second.Serving(example, ""); err != nil {
		t.Fatal(err)
	}
	second.Stopping("")
}

func TestAFileThatTookThePlaceOfTheReadyFileStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready.json")
	a := announcer(t, path)
	if err := a.Serving(example, ""); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".new", []byte("{}"), 0o644), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
	a.Stopping("")
	if b, err := os.ReadFile(path); err != nil || string(b) != "{}" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAFileThatIsNoReadyFileIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(string) error{
		"text":      func(p string) error { return os.WriteFile(p, []byte("important\n"), 0o644) },
		"JSON":      func(p string) error { return os.WriteFile(p, []byte(`{"url": ""}`), 0o644) },
		"empty":     func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"link":      func(p string) error { return os.Symlink("text", p) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{File: path}); err == nil || !strings.Contains(err.Error(), "is not a ready file") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestAReadyFileThatCanNotBeWrittenIsAnErrorAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	a := announcer(t, filepath.Join(dir, "missing", "ready.json"))
	if err := a.Serving(example, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	path := filepath.Join(dir, "ready.json")
	a = announcer(t, path)
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil { // since then
		t.Fatal(err)
	}
	if err := a.Serving(example, ""); err == nil {
		t.Error("a directory was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestURLsAreThoseForProgramsOnTheMachine(t *testing.T) {
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		scheme string
		addr   net.Addr
		want   string
	}{
		{"https", nil, ""},
		{"https", tcp("127.0.0.1:8989"), "https://127.0.0.1:8989"},
		{"https", tcp("0.0.0.0:443"), "https://127.0.0.1:443"},
		{"http", tcp("[::]:80"), "http://127.0.0.1:80"},
		{"https", tcp("[::1]:443"), "https://[::1]:443"},
		{"https", tcp("192.0.2.7:443"), "https://192.0.2.7:443"},
		{"unix", &net.UnixAddr{Name: "/run/vigate/sock", Net: "unix"}, "unix:///run/vigate/sock"},
	} {
		if got := URL(c.scheme, c.addr); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.scheme, c.addr, got, c.want)
		}
	}
}

func TestALockEndsWithItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	defer b.Close()
	if err := datadir.TryLock(a); err != nil {
		t.Fatal(err)
	}
	if err := datadir.TryLock(b); !errors.Is(err, datadir.ErrLocked) {
		t.Errorf("two locks: %v", err)
	}
	if err := errors.Join(a.Close(), datadir.TryLock(b)); err != nil {
		t.Error(err)
	}
}
