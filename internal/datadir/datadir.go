// Package datadir opens the server's data directory and refuses one that another
// account could change. Whoever can write there can make itself administrator, so
// the directory, what the server keeps in it, and the directories above it must
// belong to the server's account or to root, and nobody else may write to them.
//
// All checks go from the top of the file system down. When a directory is judged,
// nobody but the server's account and root can put another one in its place any
// more, so that a path that was judged stays what it was.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// What the server keeps in the directory.
const (
	Store       = "vigate.db"
	Certificate = "cert.pem"
	Key         = "key.pem"
	Local       = "local"   // files of local tickets
	Control     = "control" // the socket for commands of this machine
)

// mode is what directories are made with. Others may pass through to the one
// local ticket that they were told the name of; every file is 0600.
const mode = 0o711

// entries are what may be in the directory at the start, and what each must be.
// What has another name is not opened.
var entries = []struct {
	name    string
	kind    fs.FileMode // 0: a regular file
	private bool        // warn if others can read it
}{
	{name: Store, private: true},
	{name: Certificate},
	{name: Key}, // the server warns of its mode itself, at each renewal
	{name: Local, kind: fs.ModeDir},
	{name: Control, kind: fs.ModeDir},
	{name: filepath.Join(Control, "sock"), kind: fs.ModeSocket},
}

// ErrUnsafe: others than the server's account and root could change a file or
// directory, or it is not what it must be. The error's text names its path and
// mode, and what to do.
var ErrUnsafe = errors.New("not safe to use")

// Dir is a data directory in which only the server's account and root can write.
type Dir struct {
	root  *os.Root
	judge judge
}

// Open opens the directory at path, which is made if there is none, after it has
// judged the directories above it, the directory, and all in it that the server
// opens. logger, nil for slog.Default, hears of a store that others can read.
// Errors: ErrUnsafe among others.
func Open(path string, logger *slog.Logger) (*Dir, error) {
	return self().open(path, logger)
}

func (j judge) open(path string, logger *slog.Logger) (*Dir, error) {
	d, err := j.opened(path)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if logger == nil {
		logger = slog.Default()
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
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open data directory: %w", err), d.Close())
		}
		if _, _, known := j.owner(info); known && e.private && info.Mode().Perm()&0o077 != 0 {
			logger.Warn("the store can be read by others: chmod 600", "file", file, "mode", info.Mode().String())
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

// openRoot opens a directory and judges what was opened.
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
		err = fmt.Errorf("%s was exchanged while it was opened", path)
	}
	if err == nil {
		err = j.own(path, info, fs.ModeDir)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// Path is where the directory is: absolute, and no part of it is a link.
func (d *Dir) Path() string { return d.root.Name() }

// Root is for what is in the directory. Close closes it.
func (d *Dir) Root() *os.Root { return d.root }

// Close releases the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Sub opens the directory of that name in d, which is made if there is none, and
// gives it the mode.
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
		err = errors.Join(self.Chmod(mode), self.Close()) // the umask may have taken of it
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open directory: %w", err), sub.Close())
	}
	return sub, nil
}

// OpenFile opens a file that an operator names, for reading, if only the server's
// account and root can change it, or what the path leads to. Links are followed
// if nobody else can change them. Errors: ErrUnsafe among others.
func OpenFile(path string) (*os.File, error) { return self().openFile(path) }

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
		err = fmt.Errorf("%s was exchanged while it was opened", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
