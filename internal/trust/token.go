package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
)

// minToken is the minimum length of a token in bytes: as long as a random one that can't be guessed.
const minToken = 16

// Token is a secret that callers present. It is in a file, which is read again when it changes. If the changed
// file can't be used, the error is logged and the previous secret stays in force. Only a digest of the secret is
// kept.
type Token struct {
	path   string
	logger *slog.Logger
	watch  *filewatch.Watch
	digest atomic.Pointer[[sha256.Size]byte]
}

// OpenToken reads a token from a file, without the blanks and line ends around it. Only this process's account
// and root may be able to change the file.
func OpenToken(path string, now func() time.Time, logger *slog.Logger) (*Token, error) {
	t := &Token{path: path, logger: logger}
	t.watch = filewatch.New(filewatch.Options{Paths: []string{path}, Now: now, Reload: t.reload,
		Failed: func(err error) {
			logger.Error("the changed token can't be used: the previous one stays in force", "file", path, "err", err)
		}})
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// Is reports whether the text is the token. Its time tells nothing about the token. About once a second it checks
// whether the file has changed.
func (t *Token) Is(text string) bool {
	t.watch.Check()
	given := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(given[:], t.digest.Load()[:]) == 1
}

// reload reads the file again, because it has changed.
func (t *Token) reload() error {
	if err := t.load(); err != nil {
		return err
	}
	t.logger.Info("token reloaded", "file", t.path)
	return nil
}

func (t *Token) load() error {
	b, info, err := read(t.path)
	if info != nil {
		datadir.WarnOfReaders(t.path, info, t.logger)
	}
	if err != nil {
		return err
	}
	b = bytes.TrimSpace(b)
	if len(b) < minToken {
		return fmt.Errorf("read trust: the token in %s has fewer than %d bytes", t.path, minToken)
	}
	digest := sha256.Sum256(b)
	t.digest.Store(&digest)
	return nil
}
