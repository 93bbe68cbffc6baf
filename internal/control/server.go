package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vigate/vigate/internal/peer"
)

const (
	// A copy of the store keeps pages that were freed from being used again, and
	// the map of the file from growing, so it must end: a reader that takes
	// nothing for stall is cut off, and so is one that is slower than minRate
	// bytes a second after the first grace.
	stall   = 30 * time.Second
	grace   = 30 * time.Second
	minRate = 4 << 20

	maxHeader  = 4 << 10
	maxRequest = 5 * time.Second // for the header, and between requests
)

// Options say what a server does when it is asked. All but Logger must be set.
type Options struct {
	// Backup writes a copy of the store that is whole and of one instant, and
	// ends with the writer's first error.
	Backup func(io.Writer) error
	Logger *slog.Logger // nil: slog.Default

	// For tests; zero: the real ones.
	uid          func(*net.UnixConn) (uint32, error)
	stall, grace time.Duration
}

// Server listens on the socket of one data directory.
type Server struct {
	opts   Options
	path   string
	http   *http.Server
	turn   chan struct{} // holds one: who has sent to it may copy
	served chan struct{} // closed when nothing is accepted any more

	mu       sync.Mutex // guards closing, and that requests only grow until then
	closing  bool
	requests sync.WaitGroup
}

// Listen opens the socket in the data directory. Only the process that has the
// directory's store locked may: it removes the socket of an earlier one.
func Listen(data string, opts Options) (*Server, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.uid == nil {
		opts.uid = peer.UID
	}
	if opts.stall == 0 {
		opts.stall, opts.grace = stall, grace
	}
	l, err := listen(data)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	s := &Server{opts: opts, path: filepath.Join(data, directory, socket), turn: make(chan struct{}, 1), served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+backupPath, s.backup)
	s.http = &http.Server{
		Handler:           s.guard(mux),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ReadHeaderTimeout: maxRequest, ReadTimeout: maxRequest, IdleTimeout: maxRequest, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			opts.Logger.Error("the control socket is not served any more", "err", err)
		}
	}()
	return s, nil
}

func listen(data string) (net.Listener, error) {
	if err := makeRoom(data); err != nil {
		return nil, err
	}
	var l *net.UnixListener
	err := withAddress(data, func(name string) (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}); err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // by then the name may lead elsewhere
		if err := os.Chmod(name, 0o600); err != nil {
			return errors.Join(err, l.Close())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// makeRoom makes the directory of the socket, and removes the socket that a killed
// server has left. No link is followed.
func makeRoom(data string) (err error) {
	in, err := os.OpenRoot(data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if err := in.Mkdir(directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := in.Lstat(directory)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", filepath.Join(data, directory))
	}
	dir, err := in.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	self, err := dir.Open(".")
	if err != nil {
		return err
	}
	if err := errors.Join(self.Chmod(0o700), self.Close()); err != nil {
		return err
	}
	info, err = dir.Lstat(socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket", filepath.Join(dir.Name(), socket))
	}
	return dir.Remove(socket)
}

// Close cuts off those who are being answered, waits until nothing is read of
// the store for them, and removes the socket.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	s.mu.Unlock()
	if again {
		return nil
	}
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, s.http.Close())
	<-s.served
	s.requests.Wait()
	return err
}

// begin counts a request, unless the server is being closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.requests.Add(1)
	}
	return !s.closing
}

type (
	connKey struct{} // the connection
	uidKey  struct{} // who is at its other end
)

// guard answers nobody but the account that this process runs as, and root. Who
// it is the kernel says, of the time of the caller's connect call; where it does
// not, nobody is answered.
func (s *Server) guard(next http.Handler) http.Handler {
	self := os.Geteuid()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			http.Error(w, "the server ends", http.StatusServiceUnavailable)
			return
		}
		defer s.requests.Done()
		c, ok := r.Context().Value(connKey{}).(*net.UnixConn)
		if !ok {
			http.Error(w, "not a unix socket", http.StatusForbidden)
			return
		}
		switch uid, err := s.opts.uid(c); {
		case err != nil:
			s.opts.Logger.Warn("a caller of the control socket is refused: it can't be found out who it is", "err", err)
			http.Error(w, "it can't be found out who you are: "+err.Error(), http.StatusForbidden)
		case int64(uid) != int64(self) && uid != 0:
			s.opts.Logger.Warn("a caller of the control socket is refused", "uid", uid)
			http.Error(w, "this is for the account that the server runs as, and root", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), uidKey{}, uid)))
		}
	})
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		http.Error(w, "another backup is being made", http.StatusServiceUnavailable)
		return
	}
	start := time.Now()
	out := &pacer{
		w: w, stall: s.opts.stall, until: start.Add(s.opts.grace),
		deadline: http.NewResponseController(w).SetWriteDeadline,
	}
	err := s.opts.Backup(out)
	log := s.opts.Logger.With("uid", r.Context().Value(uidKey{}), "bytes", out.written, "took", time.Since(start).Round(time.Millisecond))
	if err == nil {
		log.Info("backup given")
		return
	}
	log.Error("backup failed", "err", err)
	if out.written == 0 {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// The connection is closed before the end of the body, which is how the
	// caller knows that it has not all.
	panic(http.ErrAbortHandler)
}

// pacer writes only for as long as the reader keeps up.
type pacer struct {
	w        io.Writer
	stall    time.Duration
	until    time.Time // by when what was written up to now had to be taken
	deadline func(time.Time) error
	written  int64
}

func (p *pacer) Write(b []byte) (int, error) {
	p.until = p.until.Add(time.Duration(len(b)) * time.Second / minRate)
	next := time.Now().Add(p.stall)
	if p.until.Before(next) {
		next = p.until
	}
	if err := p.deadline(next); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.written += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the reader is too slow: %w", err)
	}
	return n, err
}
