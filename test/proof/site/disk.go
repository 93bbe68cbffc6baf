//go:build linux

package site

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Disk is a directory whose space can be made to run out.
type Disk struct {
	Dir string
	// How says by which means it is full: a small file system of its own, or a limit on the size of
	// the files that the process writes, if mounting is not permitted.
	How     string
	mounted bool
}

const limited = "a limit on the size of files"

// NewDisk makes a disk of size bytes under dir.
func NewDisk(dir string, size int) (*Disk, error) {
	d := &Disk{Dir: filepath.Join(dir, "disk"), How: "a tmpfs"}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return nil, err
	}
	switch err := syscall.Mount("tmpfs", d.Dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); {
	case err == nil:
		d.mounted = true
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		d.How = limited
	default:
		return nil, fmt.Errorf("mount tmpfs: %w", err)
	}
	return d, nil
}

// LimitedDisk returns a directory that runs out of space by a limit on the process.
func LimitedDisk(dir string) *Disk { return &Disk{Dir: dir, How: limited} }

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Fill takes all the space away from the process.
func (d *Disk) Fill(pid int) error {
	if !d.mounted {
		// A limit of one page. The process can't write any part of a store beyond it. The log has a
		// file handle of its own in the process, so it loses lines as well.
		return limit(pid, 4096)
	}
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 512} {
		for block := make([]byte, size); ; {
			if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return fmt.Errorf("fill disk: %w", err)
			}
		}
	}
	return nil
}

// Free gives the space back to the process with the id. 0 means that no process is running.
func (d *Disk) Free(pid int) error {
	switch {
	case d.mounted:
	case pid == 0:
		return nil // the limit has ended with its process
	default:
		return limit(pid, unix.RLIM_INFINITY)
	}
	return os.Remove(d.ballast())
}

// Close removes the disk. Nothing may use it any more.
func (d *Disk) Close() error {
	if !d.mounted {
		return nil
	}
	return syscall.Unmount(d.Dir, 0)
}

func limit(pid int, size uint64) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}, nil); err != nil {
		return fmt.Errorf("limit the size of files: %w", err)
	}
	return nil
}
