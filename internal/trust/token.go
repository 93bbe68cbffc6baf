package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/datadir"
)

// minToken is the minimum length of a token in bytes: as long as a random one that can't be guessed.
const minToken = 16

// Token is a secret that callers present. It is in a file, which is read again when it changes. If the changed
// file can't be used, the error is logged and the previous secret stays in force. Only a digest of the secret is
// kept.
type Token struct {
	path   string
	now    func() time.Time
	logger *slog.Logger

	digest atomic.Pointer[[sha256.Size]byte]
	next   atomic.Int64 // when to check the file again, Unix nanoseconds
	// loading is held by the one caller that checks the file. It guards seen.
	loading atomic.Bool
	seen    fs.FileInfo // nil: the file was missing
}

// OpenToken reads a token from a file, without the blanks and line ends around it. Only this process's account
// and root may be able to change the file.
func OpenToken(path string, now func() time.Time, logger *slog.Logger) (*Token, error) {
	t := &Token{path: path, now: now, logger: logger}
	t.seen = t.stamp()
	if err := t.load(); err != nil {
		return nil, err
	}
	t.next.Store(now().Add(checkPeriod).UnixNano())
	return t, nil
}

// Is reports whether the text is the token. Its time tells nothing about the token. About once a second it checks
// whether the file has changed.
func (t *Token) Is(text string) bool {
	now := t.now()
	if now.UnixNano() >= t.next.Load() && t.loading.CompareAndSwap(false, true) {
		t.next.Store(now.Add(checkPeriod).UnixNano())
		t.reload()
		t.loading.Store(false)
	}
	given := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(given[:], t.digest.Load()[:]) == 1
}

// reload reads the file again if it has changed. The caller holds loading.
func (t *Token) reload() {
	found := t.stamp()
	if sameFile(found, t.seen) {
		return
	}
	t.seen = found // taken before the file is read, so that a later change is noticed
	if err := t.load(); err != nil {
		t.logger.Error("the changed token can't be used: the previous one stays in force", "file", t.path, "err", err)
		return
	}
	t.logger.Info("token reloaded", "file", t.path)
}

func (t *Token) stamp() fs.FileInfo {
	info, err := os.Stat(t.path)
	if err != nil {
		return nil
	}
	return info
}

func (t *Token) load() error {
	b, err := read(t.path)
	if err != nil {
		return err
	}
	if t.seen != nil {
		datadir.WarnOfReaders(t.path, t.seen, t.logger)
	}
	b = bytes.TrimSpace(b)
	if len(b) < minToken {
		return fmt.Errorf("read trust: the token in %s has fewer than %d bytes", t.path, minToken)
	}
	digest := sha256.Sum256(b)
	t.digest.Store(&digest)
	return nil
}
