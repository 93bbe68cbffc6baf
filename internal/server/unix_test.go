package server

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheKernelSaysWhoIsOnTheUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := start(t, Config{Handler: tellPeer, Unix: path})
	want := fmt.Sprintf("127.0.0.1 local=true tls=false certs=0 uid=%d ", os.Getuid())
	if _, body := r.get("unix", "/", nil); !strings.HasPrefix(body, want) {
		t.Errorf("got %q, want %q", body, want)
	}
	if _, body := r.get("unix", "/", http.Header{"X-Forwarded-For": {"192.0.2.1"}}); !strings.HasPrefix(body,
		"127.0.0.1 local=false tls=false certs=0 uid=none ") {
		t.Errorf("relayed: got %q", body)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestTheSocketOfADeadServerIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	r := start(t, Config{Handler: tellPeer, Unix: path})
	if code, _ := r.get("unix", "/", nil); code != 200 {
		t.Fatal(code)
	}
}

func TestTheSocketOfALiveServerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := start(t, Config{Handler: tellPeer, Unix: path})
	if _, err := Open(t.Context(), Config{Handler: tellPeer, Unix: path}); err == nil ||
		!strings.Contains(err.Error(), "in use by another server") {
		t.Fatalf("second server: %v", err)
	}
	if code, _ := r.get("unix", "/", nil); code != 200 {
		t.Fatalf("the first got harmed: %d", code)
	}
}

func TestAFileThatIsNoSocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "precious")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, link, dir} {
		if _, err := Open(t.Context(), Config{Handler: tellPeer, Unix: p}); err == nil ||
			!strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: %v", p, err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAClosedSocketDoesNotRemoveItsSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := Open(t.Context(), Config{Handler: tellPeer, Unix: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer successor.Close()
	s.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != fs.ModeSocket {
		t.Fatalf("the successor's socket: %v", err)
	}
}
