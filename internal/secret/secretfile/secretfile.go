// Package secretfile reads the files in which an operator gives passwords and other secrets to the server.
//
// [Read] applies the same rules to all of them: who may change such a file, who may read it, its size, and the
// line end after the secret. Tokens that callers present are in files of another form: see packages trust and
// dispense.
package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/secret"
)

// maxSize is the maximum size of a secret in bytes.
const maxSize = 4096

// Read returns the secret in the file. One line end after it is not part of the secret. what names the secret in
// errors. Read refuses a file that an account other than the server's and root could change, with
// datadir.ErrUnsafe. It accepts a file that other accounts can read, with a warning, because systems that
// distribute secrets create such files. No error contains the secret.
func Read(path, what string, logger *slog.Logger) (secret.Text, error) {
	b, info, err := datadir.ReadFile(path, maxSize+len("\r\n"))
	if info != nil {
		datadir.WarnOfReaders(path, info, logger)
	}
	tooLarge := errors.Is(err, datadir.ErrTooLarge)
	if err != nil && !tooLarge {
		return secret.Text{}, fmt.Errorf("read %s: %w", what, err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case tooLarge || len(b) > maxSize:
		err = fmt.Errorf("has more than %d bytes", maxSize)
	case len(b) == 0:
		err = errors.New("is empty")
	default:
		return secret.New(string(b)), nil
	}
	return secret.Text{}, fmt.Errorf("read %s: %s %w", what, path, err)
}
