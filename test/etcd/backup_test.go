package etcd_test

import (
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vigate/vigate/internal/store/etcd"
)

// storeCommand runs a subcommand of store. The command must succeed, or fail if fails is set, and
// its output must contain the text.
func storeCommand(t *testing.T, fails bool, text string, args ...string) {
	t.Helper()
	out, err := command(t, append([]string{"store"}, args...)...).CombinedOutput()
	if (err != nil) != fails || !strings.Contains(string(out), text) {
		t.Fatalf("store %v: %v, want %q\n%s", args, err, text, out)
	}
}

func TestACommonStoreIsBackedUpWhileItIsServedAndRestored(t *testing.T) {
	opts := space()
	uri := "etcd://" + opts.Endpoints[0] + opts.Prefix
	s := serve(t, t.TempDir(), "--store", uri)
	before, ended := s.login(), s.login()

	// Sessions come and go during the backup.
	stop, stopped := make(chan struct{}), make(chan struct{})
	var once sync.Once
	begun := make(chan struct{})
	go func() {
		defer close(stopped)
		defer once.Do(func() { close(begun) }) // also after a failure
		for {
			select {
			case <-stop:
				return
			default:
				s.call("POST", "SessionManager/SessionManager/Logout", s.login(), "")
				once.Do(func() { close(begun) })
			}
		}
	}()
	<-begun
	file := filepath.Join(t.TempDir(), "backup.db")
	storeCommand(t, false, "is sound, at revision ", "backup", "--store", uri, file)
	close(stop)
	<-stopped
	storeCommand(t, true, "file already exists", "backup", "--store", uri, file)
	storeCommand(t, true, etcd.ErrNoStore.Error(), "backup", "--store", uri+"-none", file+"2")
	storeCommand(t, false, "a backup of ", "check", file)
	s.call("POST", "SessionManager/SessionManager/Logout", ended, "")
	storeCommand(t, true, etcd.ErrNotEmpty.Error(), "restore", "--store", uri, file)
	s.stop(syscall.SIGTERM)

	again := space()
	uri = "etcd://" + again.Endpoints[0] + again.Prefix
	storeCommand(t, false, "must log in again", "restore", "--store", uri, file)
	s = serve(t, t.TempDir(), "--store", uri)
	for _, token := range []string{before, ended} {
		b, _ := s.call("GET", "SessionManager/SessionManager/currentSession", token, "")
		if strings.Contains(b, `"key"`) {
			t.Errorf("a session of the backup lives: %s", b)
		}
	}
	s.login()
	s.stop(syscall.SIGTERM)

	alone := t.TempDir()
	storeCommand(t, false, "restored and verified", "restore", "--keep-sessions", "--data", alone, file)
	s = serve(t, alone)
	b, _ := s.call("GET", "SessionManager/SessionManager/currentSession", before, "")
	if !strings.Contains(b, `"key"`) {
		t.Errorf("the session that was kept: %s", b)
	}
	s.stop(syscall.SIGTERM)
}
