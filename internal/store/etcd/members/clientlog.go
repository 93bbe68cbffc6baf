package members

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// repeatLog is how often the same message of etcd's client is logged. The client
	// logs each request that fails.
	repeatLog = time.Minute
	// maxMessages bounds how many messages are remembered for that. The client has
	// some dozens.
	maxMessages = 200
)

// clientLog returns a logger for etcd's client that hands its warnings to our log.
func clientLog(logger *slog.Logger) *zap.Logger {
	return zap.New(&logCore{logger: logger, logged: &logged{at: map[string]time.Time{}}})
}

// logCore is a zapcore.Core that writes to our log.
type logCore struct {
	logger *slog.Logger
	with   []zapcore.Field
	logged *logged
}

// logged remembers when each message was logged.
type logged struct {
	mu sync.Mutex // guards at
	at map[string]time.Time
}

// again reports whether the message was logged a short time ago. If not, it is now.
func (l *logged) again(message string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.at[message]; ok && now.Sub(at) < repeatLog || !ok && len(l.at) >= maxMessages {
		return true
	}
	l.at[message] = now
	return false
}

func (c *logCore) Enabled(l zapcore.Level) bool { return l >= zapcore.WarnLevel }

func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{c.logger, append(c.with[:len(c.with):len(c.with)], fields...), c.logged}
}

func (c *logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write logs the entry, unless it is about a request that this process gave up.
func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("message", e.Message)}
	for _, f := range append(c.with[:len(c.with):len(c.with)], fields...) {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
				return nil
			}
			attrs = append(attrs, slog.String("err", err.Error()))
			continue
		}
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		for k, v := range m.Fields {
			attrs = append(attrs, slog.Any(k, v))
		}
	}
	if c.logged.again(e.Message, time.Now()) {
		return nil
	}
	c.logger.LogAttrs(context.Background(), level, "etcd client", attrs...)
	return nil
}

func (c *logCore) Sync() error { return nil }
