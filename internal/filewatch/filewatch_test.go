package filewatch_test

import (
	"errors"
	"os"
	"path/filepath"
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
		Paths: []string{one, other}, Now: clock.Now, Reload: func() { reloads++ },
	})
	for i, change := range []func(){
		func() { replace(one, "b") },
		func() { must(os.WriteFile(one, []byte("longer"), 0o600)) },
		func() { must(os.WriteFile(other, nil, 0o600)) },
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
	w = filewatch.New(filewatch.Options{Paths: []string{path}, Now: clock.Now, Reload: func() {
		reloads++
		clock.Advance(filewatch.Period)
		w.Check() // by another caller: it would wait for this one, or reload as well
	}})
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	clock.Advance(filewatch.Period)
	if w.Check(); reloads != 1 {
		t.Errorf("%d reloads", reloads)
	}
}
