// Package filewatch notices that files have changed, for programs that use the content of files for long, such as
// keys and certificates.
//
// A [Watch] has no goroutine: its owner calls [Watch.Check] whenever it uses the content. The package does not read
// the files, but it calls the function that does. If that fails, it is called again later, also if the files don't
// change any more. Who may change the files is decided by package datadir.
package filewatch

import (
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// Period is the time between two looks at the files. It is also the time until files that can't be used are read
// again.
const Period = time.Second

// LongestPause is the longest time until files that can't be used are read again. The time doubles with each failure.
const LongestPause = time.Minute

// Watch notices changes of some files. It is safe for concurrent use.
type Watch struct {
	paths  []string
	stat   func(string) (fs.FileInfo, error)
	now    func() time.Time
	reload func() error
	failed func(error)

	next atomic.Int64 // when to look at the files again, Unix nanoseconds
	// looking is held by the one caller that looks at the files. It guards the fields below.
	looking atomic.Bool
	seen    []fs.FileInfo // nil entries are missing files
	pause   time.Duration // between the last failure and retry; 0: the last call of reload succeeded
	retry   time.Time     // when to read the files again although they have not changed
	told    string        // the last error that was passed to failed since the files changed
}

// Options are the parameters of a Watch. Paths and Reload are required.
type Options struct {
	Paths []string
	Now   func() time.Time // if nil, time.Now
	// Stat returns the state of a file. If nil, os.Stat.
	Stat func(path string) (fs.FileInfo, error)
	// Seen is the state of each file when its content was read, with a nil entry for a missing file. If Seen is nil,
	// it is the state in which New finds them: the caller then reads them after New.
	Seen []fs.FileInfo
	// Reload reads the files again. After an error it is called again, at first after a Period, at last every
	// LongestPause, until it succeeds.
	Reload func() error
	// Failed gets the errors of Reload. An error with the same text as the one before is left out unless the files
	// have changed in between. If Failed is nil, nobody gets them.
	Failed func(error)
}

// New returns a Watch of the files.
func New(o Options) *Watch {
	w := &Watch{paths: o.Paths, stat: o.Stat, now: o.Now, reload: o.Reload, failed: o.Failed, seen: o.Seen}
	if w.stat == nil {
		w.stat = os.Stat
	}
	if w.now == nil {
		w.now = time.Now
	}
	if w.seen == nil {
		w.seen = w.look()
	}
	w.next.Store(w.now().Add(Period).UnixNano())
	return w
}

// Check calls Reload if a file has changed, appeared or disappeared since the last call of Reload, or if that call
// failed and it is time to try again. It looks at the files at most once in a Period. While one caller looks or
// reloads, Check returns at once for all others.
func (w *Watch) Check() {
	now := w.now()
	if now.UnixNano() < w.next.Load() || !w.looking.CompareAndSwap(false, true) {
		return
	}
	defer w.looking.Store(false)
	w.next.Store(now.Add(Period).UnixNano())
	found := w.look()
	switch {
	case !slices.EqualFunc(found, w.seen, Same):
		w.pause, w.told = 0, ""
	case w.pause == 0 || now.Before(w.retry):
		return
	}
	w.seen = found // before the files are read, so that a change in between is noticed at the next look
	err := w.reload()
	if err == nil {
		w.pause, w.told = 0, ""
		return
	}
	w.pause = min(max(2*w.pause, Period), LongestPause)
	w.retry = now.Add(w.pause)
	if text := err.Error(); w.failed != nil && text != w.told {
		w.told = text
		w.failed(err)
	}
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

// Same reports whether two states of a path are those of one file that has not changed in between. A missing file is
// nil. A change of the mode counts, because it decides whether a file may be used.
func Same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode()
}
