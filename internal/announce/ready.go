package announce

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/vigate/vigate/internal/datadir"
)

// State is the content of the ready file, as JSON. It has the addresses of a server, and the thumbprint by which to
// trust it. None of it is secret.
type State struct {
	// URL is how a program on this machine reaches the server: https://127.0.0.1:8989, without HTTPS
	// http://127.0.0.1:8990, and without both unix:///run/vigate/sock.
	URL       string `json:"url"`
	PlainHTTP string `json:"plainHttp,omitempty"` // http://127.0.0.1:8990
	Unix      string `json:"unix,omitempty"`      // unix:///run/vigate/sock
	Admin     string `json:"admin,omitempty"`     // http://127.0.0.1:9090, or https, of metrics and profiles
	// Thumbprint is the SHA-256 of the certificate at URL, as `vigate --thumbprint` takes it. It is empty
	// without HTTPS.
	Thumbprint string            `json:"thumbprint,omitempty"`
	Fronts     map[string]string `json:"fronts,omitempty"` // the URL of each front, by its name
	PID        int               `json:"pid"`
	// User is the name of the first user, the administrator who was made at the first start.
	User    string    `json:"user"`
	Data    string    `json:"data"` // the data directory
	Version string    `json:"version"`
	Commit  string    `json:"commit,omitempty"`
	Started time.Time `json:"started"`
}

// URL returns the URL at which a program on this machine reaches an address of the scheme https, http or
// unix. It is empty if there is no address.
func URL(scheme string, addr net.Addr) string {
	switch a := addr.(type) {
	case nil:
		return ""
	case *net.TCPAddr:
		if a.IP.IsUnspecified() {
			// The server listens on all addresses, so also on this one.
			return scheme + "://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
		}
	}
	return scheme + "://" + addr.String()
}

// maxReadyFile is the maximum size of a ready file in bytes, more than the longest.
const maxReadyFile = 1 << 20

// readyFile is a file at path that is locked as long as its server runs.
type readyFile struct {
	path string      // empty: there is no file
	mine fs.FileInfo // of the file that this process wrote; nil: none
	held *os.File    // the same file, locked; nil on systems without such locks
}

// clear removes a ready file whose server no longer runs.
func (r *readyFile) clear() error {
	if r.path == "" {
		return nil
	}
	info, err := os.Lstat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find ready file: %w", err)
	}
	state, err := readState(r.path, info)
	if errors.Is(err, datadir.ErrLocked) {
		return fmt.Errorf("open ready file: %s belongs to a running server, whose process id is %d", r.path,
			state.PID)
	}
	if err != nil {
		return fmt.Errorf("open ready file: %w", err)
	}
	return removeSame(r.path, info)
}

// readState reads the ready file of an earlier server. The error is datadir.ErrLocked if that server runs.
func readState(path string, info fs.FileInfo) (State, error) {
	var s State
	if !info.Mode().IsRegular() {
		return s, notReady(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReadyFile))
	if err != nil {
		return s, err
	}
	if json.Unmarshal(b, &s) != nil || s.URL == "" || s.PID == 0 {
		return s, notReady(path)
	}
	if err := datadir.TryLock(f); !errors.Is(err, errors.ErrUnsupported) {
		return s, err
	}
	return s, nil
}

func notReady(path string) error {
	return fmt.Errorf("%s exists and is not a ready file: move it away, or use another path", path)
}

// write writes the file. It appears at path when it is complete.
func (r *readyFile) write(s State) error {
	if r.path == "" {
		return nil
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(r.path), "."+filepath.Base(r.path)+"-*")
	if err != nil {
		return err
	}
	if err := r.place(f, append(b, '\n')); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return nil
}

// place writes the content to the new file f, and renames it to the ready file.
func (r *readyFile) place(f *os.File, content []byte) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	if runtime.GOOS != "windows" { // modes have no meaning there
		// Any program on the machine may wait for the server.
		if err := f.Chmod(0o644); err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	held := f
	if err := datadir.TryLock(f); errors.Is(err, errors.ErrUnsupported) {
		// Such a system may not be able to rename an open file, either.
		held, err = nil, f.Close()
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), r.path); err != nil {
		return err
	}
	r.mine, r.held = info, held
	return nil
}

// remove removes the file that write has written, unless another file has taken its place.
func (r *readyFile) remove() error {
	if r.mine == nil {
		return nil
	}
	err := removeSame(r.path, r.mine)
	if r.held != nil {
		err = errors.Join(err, r.held.Close())
	}
	r.mine, r.held = nil, nil
	return err
}

// removeSame removes the file at path if it is still the file of info.
func removeSame(path string, info fs.FileInfo) error {
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(now, info) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.Remove(path)
}
