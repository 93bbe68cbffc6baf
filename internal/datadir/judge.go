package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// judge decides which accounts are trusted: root, and the server's account.
type judge struct {
	uid    uint32
	groups []uint32 // the groups of the account
	// owner returns the owner and group of a file. known is false if the system does not report it;
	// then modes mean nothing either, and only the types of files are checked.
	owner func(fs.FileInfo) (uid, gid uint32, known bool)
}

// self returns the judge for the account of this process.
func self() judge {
	j := judge{uid: uint32(os.Geteuid()), groups: []uint32{uint32(os.Getegid())}, owner: owner}
	more, err := os.Getgroups()
	if err != nil {
		return j // without them fewer groups are trusted
	}
	for _, g := range more {
		j.groups = append(j.groups, uint32(g))
	}
	return j
}

// refuse returns an ErrUnsafe for a file: the reason, and what to do.
func refuse(path string, info fs.FileInfo, why, do string) error {
	return fmt.Errorf("%w: %s (%s) %s: %s", ErrUnsafe, path, info.Mode(), why, do)
}

// owned refuses a file that belongs to an untrusted account.
func (j judge) owned(path string, info fs.FileInfo) error {
	uid, _, known := j.owner(info)
	if !known || uid == 0 || uid == j.uid {
		return nil
	}
	return refuse(path, info,
		fmt.Sprintf("belongs to user %d, not to user %d, which the server runs as, or root", uid, j.uid),
		fmt.Sprintf("run the server as its owner, use another place, or look what is in it and then chown %d %s",
			j.uid, path))
}

// own refuses a file that the server keeps, or is configured to read, if it has the wrong type,
// belongs to an untrusted account, or can be written by others.
func (j judge) own(path string, info fs.FileInfo, kind fs.FileMode) error {
	if is := info.Mode().Type(); is != kind {
		if is == fs.ModeSymlink {
			return refuse(path, info, "is a link, and not "+kindName(kind),
				"put what it leads to in its place, or give that path")
		}
		return refuse(path, info, "is not "+kindName(kind), "move it away")
	}
	if err := j.owned(path, info); err != nil {
		return err
	}
	if _, _, known := j.owner(info); known && info.Mode().Perm()&0o022 != 0 {
		return refuse(path, info, "can be written by others", "look what is in it and then chmod go-w "+path)
	}
	return nil
}

// secret refuses a file with private keys that others can read.
func (j judge) secret(path string, info fs.FileInfo) error {
	if _, _, known := j.owner(info); known && info.Mode().Perm()&0o077 != 0 {
		return refuse(path, info, "can be read by others", "chmod 600 "+path+
			", and replace the keys in it if another account of this machine may have read them")
	}
	return nil
}

func kindName(kind fs.FileMode) string {
	switch kind {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a regular file"
}

// above refuses a directory in which untrusted accounts could replace an entry.
//
// A group may have write access if it is root's group, or if the server's account is in it: such a
// group is private to the account or meant for its administrators.
func (j judge) above(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return refuse(path, info, "is not a directory", "use another place")
	}
	if err := j.owned(path, info); err != nil {
		return err
	}
	_, gid, known := j.owner(info)
	switch perm := info.Mode().Perm(); {
	case !known || info.Mode()&fs.ModeSticky != 0:
		// Only root, the directory's owner and an entry's own owner can replace an entry.
	case perm&0o002 != 0:
		return refuse(path, info, "can be written by everybody and has no sticky bit",
			"use another place, or chmod o-w "+path)
	case perm&0o020 != 0 && gid != 0 && !slices.Contains(j.groups, gid):
		return refuse(path, info, fmt.Sprintf("can be written by group %d, which the server's account is not in", gid),
			"use another place, or chmod g-w "+path)
	}
	return nil
}

// maxLinks is how many links a path may lead through.
const maxLinks = 40

// follow walks down to path, checks every directory on the way, and returns the path without
// symbolic links. If make is set, it creates missing directories. If last is set, it also follows a
// link at the end. It does not check the last element.
func (j judge) follow(path string, make, last bool) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	top := filepath.VolumeName(path) + string(filepath.Separator)
	at, rest := top, split(path[len(top):])
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at) // it was already checked
			continue
		}
		if err := j.above(at); err != nil {
			return "", err
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if make && errors.Is(err, fs.ErrNotExist) {
			if err = os.Mkdir(next, mode); err == nil || errors.Is(err, fs.ErrExist) {
				info, err = os.Lstat(next)
			}
		}
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink || len(rest) == 0 && !last {
			at = next
			continue
		}
		if err := j.owned(next, info); err != nil {
			return "", err
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s leads through more than %d links", path, maxLinks)
		}
		to, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(to) {
			top = filepath.VolumeName(to) + string(filepath.Separator)
			at, to = top, to[len(top):]
		}
		rest = append(split(to), rest...)
	}
	return at, nil
}

// split returns the elements of a path, without empty ones and ".".
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(filepath.ToSlash(path), "/"), func(name string) bool {
		return name == "" || name == "."
	})
}
