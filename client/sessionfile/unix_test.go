//go:build unix

package sessionfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAFileThatCannotBeReadHidesNoSessionOfAnother(t *testing.T) {
	const server = "https://a"
	files := In(filepath.Join(t.TempDir(), "sessions"))
	bob, eve := session(server, `D\Bob`, "t1", 1000), session(server, `D\Eve`, "t2", 2000)
	for _, s := range []*Session{bob, eve} {
		if err := files.Save(s); err != nil {
			t.Fatal(err)
		}
	}
	pipe := func(path string, at time.Time) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil { // a reader waits for a writer
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	find := func(user, token string) {
		t.Helper()
		s, err := files.Find(server, user)
		switch {
		case token == "error":
			if err == nil || !strings.Contains(err.Error(), files.dir) {
				t.Errorf("%q: %v, %v", user, s, err)
			}
		case err != nil || (s == nil) != (token == "") || s != nil && s.Token.Reveal() != token:
			t.Errorf("%q: %v, %v; want %q", user, s, err, token)
		}
	}
	pipe(bob.Path(), bob.Since)
	find("", "t2") // the newest one
	find("eve@d", "t2")
	find("carol@d", "")
	find("bob@d", "error")
	find("bob", "error") // as Bob may have typed the name
	pipe(bob.Path(), eve.Since)
	find("", "error") // it may be the newest one
	find("eve@d", "t2")
	pipe(eve.Path(), eve.Since)
	find("", "error")
	find("eve@d", "error")
}

func TestTheFileOfAnotherUserIsRefused(t *testing.T) {
	files := At(filepath.Join(t.TempDir(), "session"))
	if err := files.Save(session("https://a", `D\Bob`, "t1", 1)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(files.file)
	if err != nil {
		t.Fatal(err)
	}
	if !belongsTo(info, os.Geteuid()) || belongsTo(info, os.Geteuid()+1) {
		t.Error("the owner is not the one that the file has")
	}
	if os.Geteuid() != 0 {
		return // only root can read a private file of another user
	}
	if err := os.Chown(files.file, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if s, err := files.Find("https://a", ""); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("%v, %v", s, err)
	}
}
