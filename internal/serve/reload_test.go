package serve

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/testclock"
	"github.com/vigate/vigate/internal/upstream"
)

func TestTheConfigurationIsReadAgainWhenItsFileHasChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vigate.yaml")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a: 1\n")
	var log bytes.Buffer
	clock, reads := testclock.New(time.Time{}), 0
	n := &Node{logger: slog.New(slog.NewTextHandler(&log, nil)), now: clock.Now}
	r := newReload(n, Options{File: file, Reread: func() ([]upstream.Config, error) {
		reads++
		return nil, nil
	}})
	for _, step := range []struct {
		change func()
		reads  int
	}{
		{func() {}, 0},
		{func() { write("a: 22\n") }, 1},
		{func() {}, 1},
		{func() { _ = os.Remove(file) }, 1}, // it may be about to be replaced
		{func() { write("a: 333\n") }, 2},
	} {
		step.change()
		clock.Advance(filewatch.Period)
		if err := r.look(t.Context()); err != nil || reads != step.reads {
			t.Fatalf("read %d times, want %d: %v", reads, step.reads, err)
		}
	}
	if n := strings.Count(log.String(), "were read again"); n != 2 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}
