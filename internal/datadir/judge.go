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

// judge decides who is believed: root, and the account that it is for.
type judge struct {
	uid    uint32
	groups []uint32 // that the account is in
	// owner tells whose a file is; known is false where the system does not say.
	// Then modes mean nothing either, and only kinds of files are judged.
	owner func(fs.FileInfo) (uid, gid uint32, known bool)
}

// self is the judge for the account of this process.
func self() judge {
	j := judge{uid: uint32(os.Geteuid()), groups: []uint32{uint32(os.Getegid())}, owner: owner}
	more, err := os.Getgroups()
	if err != nil {
		return j // fewer groups are believed
	}
	for _, g := range more {
		j.groups = append(j.groups, uint32(g))
	}
	return j
}

// refuse is ErrUnsafe about a file: why it is refused, and what to do.
func refuse(path string, info fs.FileInfo, why, do string) error {
	return fmt.Errorf("%w: %s (%s) %s: %s", ErrUnsafe, path, info.Mode(), why, do)
}

// owned refuses what belongs to a stranger.
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

// own refuses what the server keeps, or is told to read, if it is of another
// kind, belongs to a stranger, or others can write to it.
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

func kindName(kind fs.FileMode) string {
	switch kind {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a regular file"
}

// above refuses a directory in which others could put something else in the place
// of what it has.
//
// A group may write there if it is root's or the server's account is in it: a
// private group of the account, or one for its administrators.
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
		// Of what is in it nobody but its owner, root and the directory's owner can
		// put another in the place.
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

// follow walks down to path, judges every directory on the way, and returns where
// it leads, free of links. With make it makes what is missing, as directories. With
// last it follows a link at the end, too. What is at the end is not judged.
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
			at = filepath.Dir(at) // which was judged
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

// split returns the names of a path, without those that mean nothing.
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(filepath.ToSlash(path), "/"), func(name string) bool {
		return name == "" || name == "."
	})
}
