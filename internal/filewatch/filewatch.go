// Package filewatch notices that files have changed, for programs that use the content of files for long, such as
// keys and certificates.
//
// A [Watch] has no goroutine: its owner calls [Watch.Check] whenever it uses the content. The package does not read
// the files. Who may change them is decided by package datadir.
package filewatch

import (
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Period is the time between two looks at the files.
const Period = time.Second

// Watch notices changes of some files. It is safe for concurrent use.
type Watch struct {
	paths  []string
	stat   func(string) (fs.FileInfo, error)
	now    func() time.Time
	reload func()

	next atomic.Int64 // when to look at the files again, Unix nanoseconds
	// looking is held by the one caller that looks at the files. It guards seen.
	looking atomic.Bool
	seen    []fs.FileInfo // nil entries are missing files
}

// Options are the parameters of a Watch. Paths and Reload are required.
type Options struct {
	Paths []string
	Now   func() time.Time // if nil, time.Now
	// Stat returns the state of a file. If nil, os.Stat.
	Stat func(path string) (fs.FileInfo, error)
	// Reload reads the files again.
	Reload func()
}

// New returns a Watch of the files as they are now. The caller reads them afterwards, so that a change in between is
// noticed.
func New(o Options) *Watch {
	w := &Watch{paths: o.Paths, stat: o.Stat, now: o.Now, reload: o.Reload}
	if w.stat == nil {
		w.stat = os.Stat
	}
	if w.now == nil {
		w.now = time.Now
	}
	w.seen = w.look()
	w.next.Store(w.now().Add(Period).UnixNano())
	return w
}

// Check calls Reload if a file has changed, appeared or disappeared since New or the last call of Reload. It looks at
// the files at most once in a Period. While one caller looks or reloads, Check returns at once for all others.
func (w *Watch) Check() {
	now := w.now()
	if now.UnixNano() < w.next.Load() || !w.looking.CompareAndSwap(false, true) {
		return
	}
	defer w.looking.Store(false)
	w.next.Store(now.Add(Period).UnixNano())
	found := w.look()
	if slices.EqualFunc(found, w.seen, same) {
		return
	}
	w.seen = found // before the files are read, so that a change in between is noticed at the next look
	w.reload()
}

func (w *Watch) look() []fs.FileInfo {
	found := make([]fs.FileInfo, len(w.paths))
	for i, path := range w.paths {
		if info, err := w.stat(path); err == nil {
			found[i] = info
		}
	}
	return found
}

// same reports whether a file is unchanged. A missing file is nil.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
