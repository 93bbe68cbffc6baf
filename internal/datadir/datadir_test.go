package datadir

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	stranger = 12345
	aGroup   = 23456 // the server's account is not in it
)

// tree is a temporary directory whose files can appear to belong to other accounts.
type tree struct {
	t    *testing.T
	dir  string
	uids map[string]uint32 // by path; all other files belong to the server's account
	gids map[string]uint32
}

func newTree(t *testing.T) *tree {
	// A socket's path must be short, and no part of it may be a link.
	dir, err := os.MkdirTemp("", "vigate")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &tree{t: t, dir: dir, uids: map[string]uint32{}, gids: map[string]uint32{}}
}

func (f *tree) path(name string) string { return filepath.Join(f.dir, name) }

func (f *tree) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// mkdir makes a directory with exactly the given mode.
func (f *tree) mkdir(name string, mode fs.FileMode) {
	f.t.Helper()
	f.must(os.MkdirAll(f.path(name), 0o700))
	f.must(os.Chmod(f.path(name), mode))
}

func (f *tree) file(name string, mode fs.FileMode) {
	f.t.Helper()
	f.must(os.WriteFile(f.path(name), []byte("x"), 0o600))
	f.must(os.Chmod(f.path(name), mode))
}

func (f *tree) link(to, name string) {
	f.t.Helper()
	f.must(os.Symlink(to, f.path(name)))
}

func (f *tree) socket(name string, mode fs.FileMode) {
	f.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.path(name), Net: "unix"})
	f.must(err)
	l.SetUnlinkOnClose(false)
	f.must(l.Close())
	f.must(os.Chmod(f.path(name), mode))
}

// judge returns a judge that sees the owners that the test has set.
func (f *tree) judge() judge {
	j := self()
	find := func(info fs.FileInfo, in map[string]uint32, is uint32) uint32 {
		for name, id := range in {
			if at, err := os.Lstat(f.path(name)); err == nil && os.SameFile(at, info) {
				return id
			}
		}
		return is
	}
	j.owner = func(info fs.FileInfo) (uid, gid uint32, known bool) {
		uid, gid, known = owner(info)
		return find(info, f.uids, uid), find(info, f.gids, gid), known
	}
	return j
}

// open opens a data directory and closes it.
func (f *tree) open(name string) error {
	d, err := f.judge().open(f.path(name))
	if err == nil {
		err = d.Close()
	}
	return err
}

// refused checks that err is ErrUnsafe, names the path and its mode, and suggests a remedy.
func (f *tree) refused(err error, name string, says ...string) {
	f.t.Helper()
	info, lerr := os.Lstat(f.path(name))
	f.must(lerr)
	if !errors.Is(err, ErrUnsafe) {
		f.t.Errorf("got %v, want a refusal of %s", err, name)
		return
	}
	for _, want := range append(says, f.path(name)+" ("+info.Mode().String()+") ") {
		if !strings.Contains(err.Error(), want) {
			f.t.Errorf("the refusal %q does not say %q", err, want)
		}
	}
}

func TestADirectoryIsMadeForItsOwner(t *testing.T) {
	f := newTree(t)
	f.must(f.open("a/b/data"))
	for _, name := range []string{"a", "a/b", "a/b/data"} {
		if info, err := os.Stat(f.path(name)); err != nil || info.Mode()&^fs.ModeDir&^0o711 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	d, err := f.judge().open(f.path("a/../a/b/./data/"))
	f.must(err)
	defer d.Close()
	if d.Path() != f.path("a/b/data") {
		t.Errorf("it is at %s", d.Path())
	}
	if _, err := f.judge().open(""); err == nil {
		t.Error("no directory was opened")
	}
}

func TestADirectoryThatOthersCouldChangeIsRefused(t *testing.T) {
	for mode, taken := range map[fs.FileMode]bool{
		0o700: true, 0o711: true, 0o755: true, 0o750: true,
		0o777: false, 0o770: false, 0o775: false, 0o702: false, 0o777 | fs.ModeSticky: false,
	} {
		f := newTree(t)
		f.mkdir("data", mode)
		if err := f.open("data"); taken {
			f.must(err)
		} else {
			f.refused(err, "data", "can be written by others", "chmod go-w "+f.path("data"))
		}
	}
	f := newTree(t)
	f.mkdir("data", 0o711)
	f.uids["data"] = 0
	f.must(f.open("data"))
	f.uids["data"] = stranger
	f.refused(f.open("data"), "data", "belongs to user 12345", "chown")
	f.file("file", 0o600)
	f.refused(f.open("file"), "file", "is not a directory")
	f.link("data", "link")
	f.refused(f.open("link"), "link", "is a link")
	f.link("nowhere", "dangling")
	f.refused(f.open("dangling"), "dangling", "is a link")
	if _, err := os.Lstat(f.path("nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the link names was made: %v", err)
	}
}

func TestADirectoryAboveMustNotLetOthersExchangeTheOneBelow(t *testing.T) {
	for name, c := range map[string]struct {
		mode     fs.FileMode
		uid, gid uint32 // 0: the server's account
		says     string // text of the refusal; empty: the directory is accepted
	}{
		"its own":                       {mode: 0o755},
		"everybody's":                   {mode: 0o777, says: "everybody"},
		"everybody's, with sticky bit":  {mode: 0o777 | fs.ModeSticky},
		"a stranger's":                  {mode: 0o755, uid: stranger, says: "belongs to user 12345"},
		"a stranger's, with sticky bit": {mode: 0o777 | fs.ModeSticky, uid: stranger, says: "belongs to user 12345"},
		"its own group's":               {mode: 0o775},
		"a group's":                     {mode: 0o775, gid: aGroup, says: "group 23456"},
		"a group's, with sticky bit":    {mode: 0o775 | fs.ModeSticky, gid: aGroup},
	} {
		t.Run(name, func(t *testing.T) {
			for _, there := range []bool{true, false} {
				f := newTree(t)
				f.mkdir("above/between", 0o711)
				if there {
					f.mkdir("above/between/data", 0o711)
				}
				f.mkdir("above", c.mode)
				if c.uid != 0 {
					f.uids["above"] = c.uid
				}
				if c.gid != 0 {
					f.gids["above"] = c.gid
				}
				err := f.open("above/between/data")
				if c.says == "" {
					f.must(err)
					continue
				}
				f.refused(err, "above", c.says, "use another place")
				if _, err := os.Lstat(f.path("above/between/data")); !there && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it was made all the same: %v", err)
				}
			}
		})
	}
}

func TestALinkOnTheWayIsFollowedIfNobodyElseCanChangeIt(t *testing.T) {
	f := newTree(t)
	f.mkdir("real/data", 0o711)
	f.mkdir("shared", 0o777|fs.ModeSticky)
	f.link("real", "relative")
	f.link(f.path("real"), "absolute")
	f.link("../shared/../real", "shared/up")
	f.link("relative", "twice")
	f.link("circle", "circle")
	for _, way := range []string{"relative", "absolute", "shared/up", "twice"} {
		d, err := f.judge().open(f.path(way + "/data"))
		f.must(err)
		if d.Path() != f.path("real/data") {
			t.Errorf("%s leads to %s", way, d.Path())
		}
		f.must(d.Close())
	}
	if err := f.open("circle/data"); err == nil || !strings.Contains(err.Error(), "more than 40 links") {
		t.Errorf("a circle: %v", err)
	}
	f.uids["shared/up"] = stranger
	f.refused(f.open("shared/up/data"), "shared/up", "belongs to user 12345")
	delete(f.uids, "shared/up")
	f.uids["real"] = stranger
	f.refused(f.open("relative/data"), "real", "belongs to user 12345")
}

// put creates an entry of the kind, and its parent directory.
func (f *tree) put(name string, kind, mode fs.FileMode) {
	f.t.Helper()
	f.must(os.MkdirAll(filepath.Dir(f.path(name)), 0o700))
	switch kind {
	case 0:
		f.file(name, mode)
	case fs.ModeDir:
		f.mkdir(name, mode|0o100)
	case fs.ModeSocket:
		f.socket(name, mode)
	}
}

func TestWhatTheServerOpensInItIsJudgedToo(t *testing.T) {
	for _, e := range entries {
		t.Run(e.name, func(t *testing.T) {
			name := filepath.Join("data", e.name)
			fresh := func(kind, mode fs.FileMode) *tree {
				f := newTree(t)
				f.mkdir("data", 0o711)
				f.put(name, kind, mode)
				return f
			}
			f := fresh(e.kind, 0o600)
			f.must(f.open("data"))
			f.uids[name] = 0
			f.must(f.open("data"))
			f.uids[name] = stranger
			f.refused(f.open("data"), name, "belongs to user 12345", "chown")

			for _, mode := range []fs.FileMode{0o660, 0o602, 0o666} {
				f = fresh(e.kind, mode)
				f.refused(f.open("data"), name, "can be written by others", "chmod go-w "+f.path(name))
			}
			for _, kind := range []fs.FileMode{0, fs.ModeDir, fs.ModeSocket} {
				if kind != e.kind {
					f = fresh(kind, 0o600)
					f.refused(f.open("data"), name, "is not "+kindName(e.kind))
				}
				// A link is refused wherever it leads, also within the same directory.
				f = fresh(kind, 0o600)
				f.must(os.Rename(f.path(name), f.path("data/aside")))
				f.must(os.Symlink(f.path("data/aside"), f.path(name)))
				f.refused(f.open("data"), name, "is a link")
			}
		})
	}
}

// Who reads the store can issue tokens for everybody, and who reads the key can pose as the server.
func TestPrivateKeysThatOthersCanReadAreRefused(t *testing.T) {
	secret := 0
	for _, e := range entries {
		if e.kind != 0 {
			continue
		}
		for _, mode := range []fs.FileMode{0o640, 0o604, 0o644, 0o601, 0o400, 0o600} {
			f := newTree(t)
			name := "data/" + e.name
			f.put(name, 0, mode)
			if !e.private || mode&0o077 == 0 {
				f.must(f.open("data"))
				continue
			}
			secret++
			f.refused(f.open("data"), name, "can be read by others", "chmod 600 "+f.path(name))
		}
	}
	if secret != 2*4 {
		t.Errorf("%d files were refused", secret)
	}
}

func TestASubdirectoryHasItsModeAndIsNeverALinkOrAStrangers(t *testing.T) {
	f := newTree(t)
	f.mkdir("data", 0o711)
	f.mkdir("elsewhere", 0o700)
	d, err := f.judge().open(f.path("data"))
	f.must(err)
	defer d.Close()
	for range 2 { // first created, then already existing
		sub, err := d.Sub(Local, 0o711)
		f.must(err)
		info, err := os.Lstat(f.path("data/local"))
		if err != nil || info.Mode() != fs.ModeDir|0o711 || sub.Name() != f.path("data/local") {
			t.Errorf("%s: %v, %v", sub.Name(), info.Mode(), err)
		}
		f.must(sub.Close())
		f.must(os.Chmod(f.path("data/local"), 0o700))
	}
	f.must(os.Chmod(f.path("data/local"), 0o733))
	_, err = d.Sub(Local, 0o711)
	f.refused(err, "data/local", "can be written by others")
	f.must(os.Chmod(f.path("data/local"), 0o711))
	f.uids["data/local"] = stranger
	_, err = d.Sub(Local, 0o711)
	f.refused(err, "data/local", "belongs to user 12345")
	delete(f.uids, "data/local")
	f.must(os.Remove(f.path("data/local")))
	for _, to := range []string{"../elsewhere", "inside"} {
		f.mkdir("data/inside", 0o700)
		f.link(to, "data/local")
		_, err = d.Sub(Local, 0o711)
		f.refused(err, "data/local", "is a link")
		f.must(os.Remove(f.path("data/local")))
	}
	if info, err := os.Stat(f.path("elsewhere")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what the link led to: %v, %v", info.Mode(), err)
	}
}

func TestAFileThatAnOperatorNamesIsReadIfNobodyElseCanChangeIt(t *testing.T) {
	f := newTree(t)
	open := func(name string) error {
		b, info, err := f.judge().readFile(f.path(name), 1)
		if err == nil && (string(b) != "x" || info.Size() != 1) {
			t.Errorf("%s: read %q of %d bytes", name, b, info.Size())
		}
		return err
	}
	f.mkdir("etc/..data", 0o755)
	f.mkdir("theirs", 0o755)
	f.file("etc/..data/password", 0o644) // the layout of systems that distribute secrets
	f.link("..data/password", "etc/password")
	f.link("../etc/password", "theirs/password")
	f.must(open("etc/password"))
	f.must(open("theirs/password"))
	f.uids["theirs"] = stranger
	f.refused(open("theirs/password"), "theirs", "belongs to user 12345")
	f.uids["etc/..data/password"] = stranger
	f.refused(open("etc/password"), "etc/..data/password", "belongs to user 12345")
	delete(f.uids, "etc/..data/password")
	f.must(os.Chmod(f.path("etc/..data/password"), 0o620))
	f.refused(open("etc/password"), "etc/..data/password", "can be written by others")
	f.refused(open("etc/..data"), "etc/..data", "is not a regular file")
	if err := open("none/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := os.Lstat(f.path("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory was made: %v", err)
	}
}

func TestASecretThatEverybodyCanReadIsWarnedOf(t *testing.T) {
	f := newTree(t)
	for mode, warned := range map[fs.FileMode]bool{0o600: false, 0o440: false, 0o444: true, 0o604: true} {
		f.file("secret", mode)
		info, err := os.Stat(f.path("secret"))
		f.must(err)
		var log bytes.Buffer
		WarnOfReaders(f.path("secret"), info, slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Contains(log.String(), "can be read by other accounts") != warned {
			t.Errorf("mode %o: logged %q", mode, log.String())
		}
	}
}

func TestAFileIsReadWholeOrNotAtAll(t *testing.T) {
	f := newTree(t)
	for size, most := range map[int]int{0: 0, 1: 1, 2: 2, 3: 2, 70_000: 70_000, 70_001: 70_000} {
		want := bytes.Repeat([]byte("x"), size)
		f.must(os.WriteFile(f.path("file"), want, 0o600))
		got, info, err := ReadFile(f.path("file"), most)
		if info == nil || info.Size() != int64(size) {
			t.Errorf("%d bytes: the state is %v", size, info)
		}
		if size > most {
			if !errors.Is(err, ErrTooLarge) || got != nil || !strings.Contains(err.Error(), f.path("file")) {
				t.Errorf("%d bytes, at most %d: %d bytes, %v", size, most, len(got), err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, at most %d: %d bytes, %v", size, most, len(got), err)
		}
	}
	if _, info, err := ReadFile(f.path("none"), 1); info != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v, %v", info, err)
	}
}
