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

// maxSessionFile limits the size of a session file, in bytes.
const maxSessionFile = 64 << 10

// savedSession is a session that was saved for later commands.
type savedSession struct {
	URL string `json:"url"`
	// User is the name that the user logged in with. UserName is the name that the server gave the
	// session.
	User     string    `json:"user,omitempty"`
	UserName string    `json:"userName"`
	Release  string    `json:"release"`
	Since    time.Time `json:"since"`

	token client.Token
	path  string // of the file that the session was read from
}

// isOf reports whether the session belongs to the user. An empty user matches every session.
func (k *savedSession) isOf(user string) bool {
	return user == "" || canonical(k.User) == canonical(user) || canonical(k.UserName) == canonical(user)
}

// sessionFile is the content of a session's file.
type sessionFile struct {
	savedSession
	Token string `json:"token"`
}

// sessionFiles tells where sessions are saved: in dir, one file for each server and user, or in the
// one file that the user named.
type sessionFiles struct{ dir, file string }

// find returns the session that is saved for the user on the server. If user is empty, it returns
// the newest session on the server. It returns nil if there is none.
func (f sessionFiles) find(url, user string) (*savedSession, error) {
	if f.file != "" {
		k, err := readSession(f.file)
		if err != nil || k == nil {
			return nil, err
		}
		if k.URL != url {
			return nil, Usage("%s holds a session of another server, %s; use another --session-file", f.file, k.URL)
		}
		if !k.isOf(user) {
			return nil, Usage("%s holds a session of another user, %s; use another --session-file", f.file, k.UserName)
		}
		return k, nil
	}
	// The file name begins with the server's digest, so the files of other servers are not even
	// read.
	paths, err := filepath.Glob(filepath.Join(escapeGlob(f.dir), digest(url)+"-*.json"))
	if err != nil {
		return nil, fmt.Errorf("find saved sessions: %w", err)
	}
	var found *savedSession
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

// path returns the file in which the session is saved.
func (f sessionFiles) path(k *savedSession) string {
	if f.file != "" {
		return f.file
	}
	return filepath.Join(f.dir, digest(k.URL)+"-"+digest(canonical(k.UserName))+".json")
}

// save writes the session to its file. The file is replaced atomically, so a concurrent reader sees
// either the old session or the new one.
func (f sessionFiles) save(k *savedSession) error {
	if f.file == "" {
		if err := makePrivateDir(f.dir); err != nil {
			return fmt.Errorf("save session: %w", err)
		}
	}
	content, err := json.MarshalIndent(sessionFile{*k, k.token.Reveal()}, "", "  ")
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	k.path = f.path(k)
	if err := ReplaceFile(k.path, append(content, '\n')); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}

// forget removes the session's file, unless the file holds another session by now.
func (f sessionFiles) forget(k *savedSession) error {
	now, err := readSession(k.path)
	if err != nil {
		return err
	}
	if now == nil || now.token != k.token {
		return nil
	}
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove session file: %w", err)
	}
	return nil
}

// readSession reads a session file. It returns nil if the file does not exist.
func readSession(path string) (*savedSession, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read saved session: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read saved session: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read saved session: %s is not a regular file", path)
	}
	if isOpenToOthers(info) {
		return nil, fmt.Errorf("read saved session: %s is accessible to other users of this machine (mode %04o), who "+
			"may know its session; remove it and log in again, or run chmod 600 on it",
			path, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSessionFile+1))
	if err != nil {
		return nil, fmt.Errorf("read saved session: %w", err)
	}
	k, err := parseSession(content)
	if err != nil {
		return nil, fmt.Errorf("read saved session: %s: %w; remove it and log in again", path, err)
	}
	k.path = path
	return k, nil
}

func parseSession(content []byte) (*savedSession, error) {
	if len(content) > maxSessionFile {
		return nil, errors.New("too large")
	}
	var file sessionFile
	// The decoder's errors may quote the content, which holds a token.
	if json.Unmarshal(content, &file) != nil {
		return nil, errors.New("not a session file")
	}
	if file.URL == "" || file.Token == "" {
		return nil, errors.New("it holds no session")
	}
	// The token is sent in an HTTP header.
	if strings.ContainsFunc(file.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("its token is malformed")
	}
	file.token = client.NewToken(file.Token)
	return &file.savedSession, nil
}

func isOpenToOthers(info fs.FileInfo) bool {
	// On Windows the mode has no meaning, and the user's profile is private.
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
		return fmt.Errorf("%s is accessible to other users of this machine (mode %04o); run chmod 700 on it", dir,
			info.Mode().Perm())
	}
	return nil
}

// ReplaceFile atomically replaces a file. Only its owner can read the new file.
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

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

func escapeGlob(path string) string {
	if runtime.GOOS == "windows" { // Match has no escapes there
		return path
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
