package clientenv

import (
	"errors"
	"os"
	"path/filepath"
)

// ReplaceFile atomically replaces a file, such as one with a secret. Only its owner can read the new file.
func ReplaceFile(path string, content []byte) (err error) {
	// CreateTemp makes the file with mode 0600.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".session-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
