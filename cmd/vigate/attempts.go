package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vigate/vigate/internal/clientenv"
	"github.com/vigate/vigate/internal/upstream/note"
)

// maxAttempts is how many logins of a user at an upstream "config check" lets fail within note.Window, over all its
// runs. A server has a budget of its own, and both together must stay below what locks the user out.
const maxAttempts = 2

// attempts are the failed logins of earlier runs. They are kept in a file, because a script may run the command again
// and again.
type attempts struct {
	book *note.Book
	file string // empty: there is no place for it
}

// maxAttemptsFile limits the size of the file, in bytes.
const maxAttemptsFile = 1 << 20

// readAttempts reads the file. A file that can't be read is as good as none: then only this run counts.
func readAttempts(lookup func(string) (string, bool)) *attempts {
	a := &attempts{book: note.New(note.Options{MaxRefused: maxAttempts})}
	dir, err := clientenv.StateDir(lookup)
	if err != nil {
		return a
	}
	a.file = filepath.Join(dir, "config-check.json")
	info, err := os.Stat(a.file)
	if err != nil || info.Size() > maxAttemptsFile {
		return a
	}
	b, err := os.ReadFile(a.file)
	var known map[string][]time.Time
	if err == nil && json.Unmarshal(b, &known) == nil {
		a.book.Remember(known)
	}
	return a
}

// save writes the file. It is removed if no login has failed.
func (a *attempts) save() error {
	refused := a.book.Refused()
	switch {
	case len(refused) == 0 && a.file == "":
		return nil
	case len(refused) == 0:
		if err := os.Remove(a.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove failed logins: %w", err)
		}
		return nil
	case a.file == "":
		return errors.New("keep failed logins: there is no home directory")
	}
	b, err := json.Marshal(refused)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(a.file), 0o700)
	}
	if err == nil {
		err = clientenv.ReplaceFile(a.file, b)
	}
	if err != nil {
		return fmt.Errorf("keep failed logins: %w", err)
	}
	return nil
}
