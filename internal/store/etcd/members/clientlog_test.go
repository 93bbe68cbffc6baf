package members

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestWarningsOfTheClientAreLoggedOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	to := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l := clientLog(to).With(zap.String("target", "a:1"))
	l.Info("not worth a line")
	l.Warn("it fails", zap.Error(context.Canceled)) // as this process gave up
	for range 3 {
		l.Warn("it fails", zap.Uint("attempt", 2), zap.Error(errors.New("no route")))
	}
	l.Error("it fails badly")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{
		`level=WARN msg="etcd client" message="it fails" target=a:1 attempt=2 err="no route"`,
		`level=ERROR msg="etcd client" message="it fails badly" target=a:1`,
	} {
		if len(lines) != 2 || !strings.Contains(lines[i], want) {
			t.Fatalf("logged is\n%s\nwant %s", out.String(), want)
		}
	}
	now := time.Now()
	seen := logged{at: map[string]time.Time{}}
	for i := range maxMessages {
		if seen.again(fmt.Sprint(i), now) {
			t.Errorf("message %d is not logged", i)
		}
	}
	if !seen.again("one more", now) || len(seen.at) != maxMessages {
		t.Errorf("%d messages are remembered", len(seen.at))
	}
	if !seen.again("0", now.Add(repeatLog-1)) || seen.again("0", now.Add(repeatLog)) {
		t.Error("a message is not logged again after a minute, or sooner")
	}
}
