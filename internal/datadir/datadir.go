// Package datadir opens the server's data directory and refuses one that another account could
// change.
//
// An account that can write to the data directory can make itself administrator. So the directory,
// the files that the server keeps in it, and all directories above it must belong to the server's
// account or to root, and no other account may write to them. No other account may read the files
// that contain private keys: with the keys in the store, it could issue tokens for every user.
// [Open] checks that; [ReadFile] applies the rule for writing to files that an operator names.
//
// The checks go from the root of the file system down. Once a directory has passed, only the
// server's account and root can replace it, so a path that was checked can't change afterwards.
package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// The names of the files and directories that the server keeps in the data directory.
const (
	Store       = "vigate.db"
	Certificate = "cert.pem"
	Key         = "key.pem"
	Local       = "local"   // files of local tickets
	Control     = "control" // the socket for local commands
)

// mode is the mode of new directories. Other accounts may traverse them to reach a local ticket
// whose name they know. Every file has the mode 0600.
const mode = 0o711

// entries lists what the data directory may contain at the start, and the type that each entry must
// have. Entries with other names are not opened.
var entries = []struct {
	name    string
	kind    fs.FileMode // 0: a regular file
	private bool        // no other account may read it, because it contains private keys
}{
	{name: Store, private: true},
	{name: Certificate},
	{name: Key, private: true},
	{name: Local, kind: fs.ModeDir},
	{name: Control, kind: fs.ModeDir},
	{name: filepath.Join(Control, "sock"), kind: fs.ModeSocket},
}

// ErrUnsafe means that an account other than the server's and root could change a file or
// directory, or read a private key, or that it has the wrong type. The error's text gives the path,
// the mode and a remedy.
var ErrUnsafe = errors.New("not safe to use")

// ErrLocked means that another process uses a file.
var ErrLocked = errors.New("in use by another process")

// Dir is a data directory that only the server's account and root can write to.
type Dir struct {
	root  *os.Root
	judge judge
}

// Open opens the data directory at path and creates it if it does not exist. It checks the
// directories above it, the directory itself, and all files in it that the server opens. It returns
// ErrUnsafe if a check fails.
func Open(path string) (*Dir, error) { return self().open(path) }

func (j judge) open(path string) (*Dir, error) {
	d, err := j.opened(path)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	for _, e := range entries {
		info, err := d.root.Lstat(e.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		file := filepath.Join(d.Path(), e.name)
		if err == nil {
			err = j.own(file, info, e.kind)
		}
		if err == nil && e.private {
			err = j.secret(file, info)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open data directory: %w", err), d.Close())
		}
	}
	return d, nil
}

// opened opens the directory itself.
func (j judge) opened(path string) (*Dir, error) {
	if path == "" {
		return nil, errors.New("no directory is given")
	}
	path, err := j.follow(path, true, false)
	if err != nil {
		return nil, err
	}
	root, err := j.openRoot(path, func() (*os.Root, error) { return os.OpenRoot(path) })
	if err != nil {
		return nil, err
	}
	return &Dir{root, j}, nil
}

// openRoot opens a directory and then checks that it opened the directory that was judged.
func (j judge) openRoot(path string, open func() (*os.Root, error)) (*os.Root, error) {
	found, err := os.Lstat(path)
	if err == nil {
		err = j.own(path, found, fs.ModeDir)
	}
	if err != nil {
		return nil, err
	}
	root, err := open()
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil && !os.SameFile(found, info) {
		err = fmt.Errorf("%s was replaced while it was opened", path)
	}
	if err == nil {
		err = j.own(path, info, fs.ModeDir)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// Path returns the absolute path of the directory, without symbolic links.
func (d *Dir) Path() string { return d.root.Name() }

// Root returns the directory for access to its files. Close closes it.
func (d *Dir) Root() *os.Root { return d.root }

// Close releases the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Sub opens the subdirectory with the name, creates it if it does not exist, and sets its mode.
func (d *Dir) Sub(name string, mode fs.FileMode) (*os.Root, error) {
	path := filepath.Join(d.Path(), name)
	err := d.root.Mkdir(name, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	sub, err := d.judge.openRoot(path, func() (*os.Root, error) { return d.root.OpenRoot(name) })
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	self, err := sub.Open(".")
	if err == nil {
		err = errors.Join(self.Chmod(mode), self.Close()) // the umask may have removed bits
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open directory: %w", err), sub.Close())
	}
	return sub, nil
}

// ErrTooLarge means that a file has more bytes than its reader accepts.
var ErrTooLarge = errors.New("is too large")

// ReadFile reads a file that an operator has named, of at most the given number of bytes. It returns
// ErrUnsafe if an account other than the server's and root could change the file or what its path
// leads to. It follows links that no other account can change. Other errors: ErrTooLarge, or the file
// system's.
//
// The state of the file is that from before its content was read. So a change in between is visible
// by comparison. It is nil if the file could not be opened.
func ReadFile(path string, most int) ([]byte, fs.FileInfo, error) { return self().readFile(path, most) }

func (j judge) readFile(path string, most int) ([]byte, fs.FileInfo, error) {
	f, err := j.openFile(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("%s %w: it has more than %d bytes", path, ErrTooLarge, most)
	}
	if err != nil {
		return nil, info, err
	}
	return b, info, nil
}

func (j judge) openFile(path string) (*os.File, error) {
	path, err := j.follow(path, false, true)
	if err != nil {
		return nil, err
	}
	found, err := os.Lstat(path)
	if err == nil {
		err = j.own(path, found, 0)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(found, info) {
		err = fmt.Errorf("%s was replaced while it was opened", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// WarnOfReaders logs a warning if every account of the machine can read a file with a secret. That is no error,
// because systems that distribute secrets create such files, and a group may read one on purpose.
func WarnOfReaders(path string, info fs.FileInfo, logger *slog.Logger) {
	if _, _, known := owner(info); known && info.Mode().Perm()&0o007 != 0 {
		logger.Warn("a file that contains a secret can be read by other accounts", "file", path,
			"mode", info.Mode().String())
	}
}
