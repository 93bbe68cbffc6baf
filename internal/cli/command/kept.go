package command

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vigate/vigate/client"
)

// maxSessionFile bounds what is read of a session file, in bytes.
const maxSessionFile = 64 << 10

// keptSession is a session that later commands use.
type keptSession struct {
	URL string `json:"url"`
	// User is the name that was given to log in, UserName the one that the
	// server gave the session.
	User     string    `json:"user,omitempty"`
	UserName string    `json:"userName"`
	Release  string    `json:"release"`
	Since    time.Time `json:"since"`

	token client.Token
	path  string // of the file that it was read from
}

// isOf reports whether the session is one of the user; "" is any user.
func (k *keptSession) isOf(user string) bool {
	return user == "" || canonical(k.User) == canonical(user) || canonical(k.UserName) == canonical(user)
}

// keptFile is a session's file.
type keptFile struct {
	keptSession
	Token string `json:"token"`
}

// sessionFiles is where sessions are kept: one file for each server and user in
// dir, or the one file that the user named.
type sessionFiles struct{ dir, file string }

// find returns the session that is kept for a user of a server, the newest where
// no user is named; nil if there is none.
func (f sessionFiles) find(url, user string) (*keptSession, error) {
	if f.file != "" {
		k, err := readSession(f.file)
		if err != nil || k == nil {
			return nil, err
		}
		if k.URL != url {
			return nil, Usage("%s keeps a session of another server, %s: give another --session-file", f.file, k.URL)
		}
		if !k.isOf(user) {
			return nil, Usage("%s keeps a session of another user, %s: give another --session-file", f.file, k.UserName)
		}
		return k, nil
	}
	// It is named after the server first, so that other servers' files are not
	// even read.
	paths, err := filepath.Glob(filepath.Join(escapeGlob(f.dir), digest(url)+"-*.json"))
	if err != nil {
		return nil, fmt.Errorf("find kept sessions: %w", err)
	}
	var found *keptSession
	for _, path := range paths {
		k, err := readSession(path)
		if err != nil {
			return nil, err
		}
		if k != nil && k.URL == url && k.isOf(user) && (found == nil || k.Since.After(found.Since)) {
			found = k
		}
	}
	return found, nil
}

// path is where a session is to be kept.
func (f sessionFiles) path(k *keptSession) string {
	if f.file != "" {
		return f.file
	}
	return filepath.Join(f.dir, digest(k.URL)+"-"+digest(canonical(k.UserName))+".json")
}

// save keeps a session. Whoever reads the file at the same time sees the old
// one or the new one, whole.
func (f sessionFiles) save(k *keptSession) error {
	if f.file == "" {
		if err := makePrivateDir(f.dir); err != nil {
			return fmt.Errorf("keep session: %w", err)
		}
	}
	content, err := json.MarshalIndent(keptFile{*k, k.token.Reveal()}, "", "  ")
	if err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	k.path = f.path(k)
	if err := replaceFile(k.path, append(content, '\n')); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// forget removes the file of a session, unless it keeps another one by now.
func (f sessionFiles) forget(k *keptSession) error {
	now, err := readSession(k.path)
	if err != nil {
		return err
	}
	if now == nil || now.token != k.token {
		return nil
	}
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget session: %w", err)
	}
	return nil
}

// readSession reads a session file; nil if there is none.
func readSession(path string) (*keptSession, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read kept session: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read kept session: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read kept session: %s is not a regular file", path)
	}
	if isOpenToOthers(info) {
		return nil, fmt.Errorf("read kept session: %s is open to other users of this machine (mode %04o), who may have its session: remove it and log in again, or chmod 600 it",
			path, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSessionFile+1))
	if err != nil {
		return nil, fmt.Errorf("read kept session: %w", err)
	}
	k, err := parseSession(content)
	if err != nil {
		return nil, fmt.Errorf("read kept session: %s: %w: remove it and log in again", path, err)
	}
	k.path = path
	return k, nil
}

func parseSession(content []byte) (*keptSession, error) {
	if len(content) > maxSessionFile {
		return nil, errors.New("too large")
	}
	var file keptFile
	// The decoder's errors can quote what they don't understand.
	if json.Unmarshal(content, &file) != nil {
		return nil, errors.New("not a session file")
	}
	if file.URL == "" || file.Token == "" {
		return nil, errors.New("there is no session in it")
	}
	// It goes into an HTTP header.
	if strings.ContainsFunc(file.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token in it is malformed")
	}
	file.token = client.NewToken(file.Token)
	return &file.keptSession, nil
}

func isOpenToOthers(info fs.FileInfo) bool {
	// The mode says nothing on Windows, where the user's profile is private.
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

func makePrivateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if isOpenToOthers(info) {
		return fmt.Errorf("%s is open to other users of this machine (mode %04o): chmod 700 it", dir, info.Mode().Perm())
	}
	return nil
}

// replaceFile writes a file that only its owner can read, all at once.
func replaceFile(path string, content []byte) (err error) {
	// CreateTemp makes a new file with mode 0600.
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

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

func escapeGlob(path string) string {
	if runtime.GOOS == "windows" { // where Match knows no escapes
		return path
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
