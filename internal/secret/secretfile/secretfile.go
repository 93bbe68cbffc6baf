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
	"io"
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
	f, err := datadir.OpenFile(path)
	if err != nil {
		return secret.Text{}, fmt.Errorf("read %s: %w", what, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		datadir.WarnOfReaders(path, info, logger)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize+3))
	if err != nil {
		return secret.Text{}, fmt.Errorf("read %s: %w", what, err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(b) == 0:
		err = errors.New("is empty")
	case len(b) > maxSize:
		err = fmt.Errorf("has more than %d bytes", maxSize)
	default:
		return secret.New(string(b)), nil
	}
	return secret.Text{}, fmt.Errorf("read %s: %s %w", what, path, err)
}
