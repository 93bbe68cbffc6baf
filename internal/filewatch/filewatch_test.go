package filewatch_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/testclock"
)

func TestEachChangeOfAFileIsNoticedOnce(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// replace puts a new file in the place of a file, which is noticed also within the resolution of its time.
	replace := func(path, content string) {
		t.Helper()
		must(errors.Join(os.WriteFile(path+".new", []byte(content), 0o600), os.Rename(path+".new", path)))
	}
	must(os.WriteFile(one, []byte("a"), 0o600))
	clock, reloads := testclock.New(time.Time{}), 0
	w := filewatch.New(filewatch.Options{
		Paths: []string{one, other}, Now: clock.Now, Reload: func() error { reloads++; return nil },
	})
	for i, change := range []func(){
		func() { replace(one, "b") },
		func() { must(os.WriteFile(one, []byte("longer"), 0o600)) },
		func() { must(os.WriteFile(other, nil, 0o600)) },
		func() { must(os.Chmod(other, 0o640)) },
		func() { must(os.Remove(one)) },
		func() { replace(one, "b") },
	} {
		change()
		if w.Check(); reloads != i {
			t.Errorf("change %d: noticed before the period was over", i)
		}
		clock.Advance(filewatch.Period)
		w.Check()
		clock.Advance(filewatch.Period)
		if w.Check(); reloads != i+1 {
			t.Fatalf("change %d: %d reloads", i, reloads)
		}
	}
}

func TestOneCallerReloadsWhileOthersGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	clock, reloads := testclock.New(time.Time{}), 0
	var w *filewatch.Watch
	w = filewatch.New(filewatch.Options{Paths: []string{path}, Now: clock.Now, Reload: func() error {
		reloads++
		clock.Advance(filewatch.Period)
		w.Check() // by another caller: it would wait for this one, or reload as well
		return nil
	}})
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.Advance(filewatch.Period)
	if w.Check(); reloads != 1 {
		t.Errorf("%d reloads", reloads)
	}
}

func TestAFailedReloadIsTriedAgainMoreAndMoreSeldom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	clock, reloads := testclock.New(time.Time{}), 0
	cause := errors.New("one")
	var told []string
	w := filewatch.New(filewatch.Options{
		Paths: []string{path}, Now: clock.Now, Reload: func() error { reloads++; return cause },
		Failed: func(err error) { told = append(told, err.Error()) },
	})
	// after moves the clock on, and returns how often the files were read meanwhile.
	after := func(periods int) int {
		before := reloads
		for range periods {
			clock.Advance(filewatch.Period)
			w.Check()
		}
		return reloads - before
	}
	if n := after(10); n != 0 {
		t.Fatalf("nothing has happened: %d reloads", n)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// At 1, 2, 4, 8, 16, 32 and 64 periods, and then once in the longest pause.
	for _, step := range []struct{ periods, reloads int }{{1, 1}, {1, 1}, {1, 0}, {1, 1}, {4, 1}, {56, 3}} {
		if n := after(step.periods); n != step.reloads {
			t.Fatalf("%d reloads in %d periods, want %d", n, step.periods, step.reloads)
		}
	}
	const hour = int(time.Hour / filewatch.Period)
	if n, want := after(hour), int(time.Hour/filewatch.LongestPause); n != want {
		t.Errorf("%d reloads in an hour, want %d", n, want)
	}
	if !slices.Equal(told, []string{"one"}) {
		t.Errorf("told: %q", told)
	}
	// A change is read at the next look, and its error is told although it is the same.
	if err := os.WriteFile(path, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := after(2); n != 2 || !slices.Equal(told, []string{"one", "one"}) {
		t.Errorf("after a change: %d reloads, told %q", n, told)
	}
	cause = errors.New("two")
	after(hour)
	cause = nil
	after(hour)
	if n := after(hour); n != 0 || !slices.Equal(told, []string{"one", "one", "two"}) {
		t.Errorf("after a success: %d reloads, told %q", n, told)
	}
}

func TestAChangeBeforeTheWatchBeginsIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("read"), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	reloads := func() int {
		clock, n := testclock.New(time.Time{}), 0
		w := filewatch.New(filewatch.Options{
			Paths: []string{path}, Now: clock.Now, Seen: []fs.FileInfo{read},
			Reload: func() error { n++; return nil },
		})
		clock.Advance(filewatch.Period)
		w.Check()
		return n
	}
	if n := reloads(); n != 0 {
		t.Errorf("the file is as it was read: %d reloads", n)
	}
	if err := os.WriteFile(path, []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := reloads(); n != 1 {
		t.Errorf("the file has changed since it was read: %d reloads", n)
	}
}
