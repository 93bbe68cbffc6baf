// Package sessionfile saves sessions in files, so that a program need not log in at each start. The command line
// of vigate uses this package. So a program can go on with the session of `vigate login`, and the reverse.
//
// [Default] returns the place where the command line saves its sessions, [In] and [At] return others. [Files.Find]
// reads the session of a server and a user, and [Files.Save] writes one:
//
//	files, err := sessionfile.Default()
//	…
//	saved, err := files.Find("https://vc.example.com", "")
//	…
//	if saved != nil {
//		c.SetToken(saved.Token)
//	}
//
// A file has the mode 0600. A file that other users of the machine can read or write is refused, because whoever
// reads it has the session. So is the file of another user: whoever writes it chooses the session. Errors don't repeat
// the content of a file.
package sessionfile

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
	"github.com/vigate/vigate/internal/clientenv"
)

// maxFile limits the size of a session file, in bytes.
const maxFile = 64 << 10

// ErrOther means that the one file that [At] names holds a session of another server or user.
var ErrOther = errors.New("not the session that is looked for")

// Session is a session that is saved, or to be saved.
type Session struct {
	// URL is the server's URL without a path: https://vc.example.com. A URL in another form that [client.Config]
	// accepts is brought into this form.
	URL string `json:"url"`
	// User is the name that the user logged in with. UserName is the name that the server gave the session.
	User     string `json:"user,omitempty"`
	UserName string `json:"userName"`
	// Release is the release of the API that was negotiated, see [client.Client.Release].
	Release string `json:"release"`
	// Since is the time of the login.
	Since time.Time `json:"since"`
	// Token is the secret that identifies the session.
	Token client.Token `json:"-"`

	path string // of the file that the session was read from or written to
}

// Path returns the path of the session's file. It is empty for a session that was neither found nor saved.
func (s *Session) Path() string { return s.path }

// isOf reports whether the session belongs to the user. An empty user matches every session.
func (s *Session) isOf(user string) bool {
	canonical := clientenv.CanonicalUser
	return user == "" || canonical(s.User) == canonical(user) || canonical(s.UserName) == canonical(user)
}

// content is the content of a session's file.
type content struct {
	Session
	Token string `json:"token"`
}

// Files tells where sessions are saved: in a directory, one file for each server and user, or in one file.
type Files struct{ dir, file string }

// In returns the files in a directory, which Save creates.
func In(dir string) Files { return Files{dir: dir} }

// At returns the one file at path, which holds one session.
func At(path string) Files { return Files{file: path} }

// Default returns the place where the command line saves its sessions: the file that VIGATE_SESSION_FILE names
// or, without it, the directory $XDG_STATE_HOME/vigate/sessions (by default ~/.local/state/vigate/sessions).
func Default() (Files, error) { return FromEnv(os.LookupEnv) }

// FromEnv is Default with another source of environment variables.
func FromEnv(lookup func(name string) (string, bool)) (Files, error) {
	if path, _ := lookup("VIGATE_SESSION_FILE"); path != "" {
		return At(path), nil
	}
	state, err := clientenv.StateDir(lookup)
	if err != nil {
		return Files{}, fmt.Errorf("find saved sessions: %w", err)
	}
	return In(filepath.Join(state, "sessions")), nil
}

// Find returns the session that is saved for the user on the server. If user is empty, it returns
// the newest session on the server. It returns nil if there is none. A file that can't be read is an error only if it
// may hold that session.
func (f Files) Find(url, user string) (*Session, error) {
	url, err := standard(url)
	if err != nil {
		return nil, err
	}
	if f.file != "" {
		return f.findOne(url, user)
	}
	// The file name begins with the server's digest, so the files of other servers are not even
	// read.
	paths, err := filepath.Glob(filepath.Join(escapeGlob(f.dir), digest(url)+"-*.json"))
	if err != nil {
		return nil, fmt.Errorf("find saved sessions: %w", err)
	}
	var found *Session
	unread := map[string]error{}
	for _, path := range paths {
		s, err := read(path)
		if err != nil {
			unread[path] = err
		}
		if s != nil && s.URL == url && s.isOf(user) && (found == nil || s.Since.After(found.Since)) {
			found = s
		}
	}
	for _, path := range paths {
		if err := unread[path]; err != nil && mayHold(path, url, user, found) {
			return nil, err
		}
	}
	return found, nil
}

// mayHold reports whether a file that can't be read may hold the session that is looked for, rather than found,
// which is nil if there is none. A file has its name from the user as the server spells it, which a name without a
// domain does not tell, and is written after the login.
func mayHold(path, url, user string, found *Session) bool {
	if user != "" {
		return found == nil && (!strings.ContainsAny(user, `\@`) || filepath.Base(path) == nameOf(url, user))
	}
	if found == nil {
		return true
	}
	info, err := os.Lstat(path)
	return err == nil && !info.ModTime().Before(found.Since)
}

func (f Files) findOne(url, user string) (*Session, error) {
	s, err := read(f.file)
	if err != nil || s == nil {
		return nil, err
	}
	if s.URL != url {
		return nil, fmt.Errorf("%w: %s holds one of another server, %s", ErrOther, f.file, s.URL)
	}
	if !s.isOf(user) {
		return nil, fmt.Errorf("%w: %s holds one of another user, %s", ErrOther, f.file, s.UserName)
	}
	return s, nil
}

// standard returns the form of a server's URL under which sessions are saved.
func standard(url string) (string, error) {
	a, err := clientenv.ParseAddress(url)
	if err != nil {
		return "", fmt.Errorf("find saved session: the server's URL: %w", err)
	}
	return a.URL, nil
}

// pathOf returns the file in which the session is saved.
func (f Files) pathOf(s *Session) string {
	if f.file != "" {
		return f.file
	}
	return filepath.Join(f.dir, nameOf(s.URL, s.UserName))
}

// nameOf returns the name of the file of a session in a directory.
func nameOf(url, user string) string {
	return digest(url) + "-" + digest(clientenv.CanonicalUser(user)) + ".json"
}

// Save writes the session to its file. The file is replaced atomically, so a concurrent reader sees
// either the old session or the new one.
func (f Files) Save(s *Session) error {
	url, err := standard(s.URL)
	if err != nil {
		return err
	}
	s.URL = url
	if f.file == "" {
		if err := makePrivateDir(f.dir); err != nil {
			return fmt.Errorf("save session: %w", err)
		}
	}
	b, err := json.MarshalIndent(content{*s, s.Token.Reveal()}, "", "  ")
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	s.path = f.pathOf(s)
	if err := clientenv.ReplaceFile(s.path, append(b, '\n')); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}

// Remove removes the file of a session that was found or saved, unless the file holds another session by now.
func (f Files) Remove(s *Session) error {
	now, err := read(s.path)
	if err != nil {
		return err
	}
	if now == nil || now.Token != s.Token {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove session file: %w", err)
	}
	return nil
}

// read reads a session file. It returns nil if the file does not exist.
func read(path string) (*Session, error) {
	// The file may be a pipe, on which others would have to write before it is open.
	file, err := os.OpenFile(path, os.O_RDONLY|nonblocking, 0)
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
	if !belongsTo(info, os.Geteuid()) {
		return nil, fmt.Errorf("read saved session: %s belongs to another user of this machine, who may have chosen "+
			"its session; use another file, or remove it and log in again", path)
	}
	if isOpenToOthers(info) {
		return nil, fmt.Errorf("read saved session: %s is accessible to other users of this machine (mode %04o), who "+
			"may know its session; remove it and log in again, or run chmod 600 on it",
			path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read saved session: %w", err)
	}
	s, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("read saved session: %s: %w; remove it and log in again", path, err)
	}
	s.path = path
	return s, nil
}

func parse(b []byte) (*Session, error) {
	if len(b) > maxFile {
		return nil, errors.New("too large")
	}
	var c content
	// The decoder's errors may quote the content, which holds a token.
	if json.Unmarshal(b, &c) != nil {
		return nil, errors.New("not a session file")
	}
	if c.URL == "" || c.Token == "" {
		return nil, errors.New("it holds no session")
	}
	// The token is sent in an HTTP header.
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("its token is malformed")
	}
	c.Session.Token = client.NewToken(c.Token)
	return &c.Session, nil
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
