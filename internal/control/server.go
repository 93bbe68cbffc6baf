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
	// While a copy is made, the store can't reuse freed pages and can't grow its memory map, so a
	// copy must end. A reader that accepts no data for the time stall is disconnected. So is a
	// reader that is slower than minRate bytes per second after the time grace.
	stall   = 30 * time.Second
	grace   = 30 * time.Second
	minRate = 4 << 20

	maxHeader  = 4 << 10
	maxRequest = 5 * time.Second // time limit for a request's header, and between requests
)

// Options configure a Server. All fields except Logger are required.
type Options struct {
	// Backup writes a consistent copy of the store. It ends with the first error of the writer.
	Backup func(io.Writer) error
	// Logger is the server's logger. If nil, slog.Default is used.
	Logger *slog.Logger

	// Replaced by tests. Zero values mean the real implementation.
	uid          func(*net.UnixConn) (uint32, error)
	stall, grace time.Duration
}

// Server serves the control socket of one data directory.
type Server struct {
	opts   Options
	path   string
	http   *http.Server
	turn   chan struct{} // has capacity one: sending to it reserves the right to make a copy
	served chan struct{} // closed when the server accepts no more connections

	mu       sync.Mutex // guards closing; requests can only grow while closing is false
	closing  bool
	requests sync.WaitGroup
}

// Listen opens the socket in the data directory. The caller must hold the lock of the directory's
// store, because Listen removes the socket of an earlier server.
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
	s := &Server{opts: opts, path: filepath.Join(data, directory, socket), turn: make(chan struct{}, 1),
		served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+backupPath, s.backup)
	s.http = &http.Server{
		Handler: s.guard(mux),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ReadHeaderTimeout: maxRequest, ReadTimeout: maxRequest, IdleTimeout: maxRequest, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(opts.Logger.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.served)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			opts.Logger.Error("the control socket failed and is no longer served", "err", err)
		}
	}()
	return s, nil
}

func listen(data string) (net.Listener, error) {
	if err := prepareDirectory(data); err != nil {
		return nil, err
	}
	var l *net.UnixListener
	err := withAddress(data, func(name string) (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}); err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // the path may name another socket by then
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

// prepareDirectory makes the directory of the socket, and removes the socket that a killed server
// has left there. It follows no links.
func prepareDirectory(data string) (err error) {
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
		return fmt.Errorf("%s exists and is not a socket", filepath.Join(dir.Name(), socket))
	}
	return dir.Remove(socket)
}

// Close ends all running requests, waits until none of them reads the store, and removes the
// socket.
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

// begin counts a request. It returns false if the server is closing.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.requests.Add(1)
	}
	return !s.closing
}

type (
	connKey struct{} // key of the request's connection
	uidKey  struct{} // key of the caller's user id
)

// guard serves only the account that the process runs as, and root. It asks the kernel for the
// account that called connect. If the kernel does not tell, the request is refused.
func (s *Server) guard(next http.Handler) http.Handler {
	self := os.Geteuid()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.begin() {
			http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
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
			s.opts.Logger.Warn("caller of the control socket refused: its account is unknown", "err", err)
			http.Error(w, "can't determine your account: "+err.Error(), http.StatusForbidden)
		case int64(uid) != int64(self) && uid != 0:
			s.opts.Logger.Warn("caller of the control socket refused", "uid", uid)
			http.Error(w, "only the server's account and root may use this socket", http.StatusForbidden)
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
		http.Error(w, "another backup is running", http.StatusServiceUnavailable)
		return
	}
	start := time.Now()
	out := &pacer{
		w: w, stall: s.opts.stall, until: start.Add(s.opts.grace),
		deadline: http.NewResponseController(w).SetWriteDeadline,
	}
	err := s.opts.Backup(out)
	logger := s.opts.Logger.With("uid", r.Context().Value(uidKey{}), "bytes", out.written, "took",
		time.Since(start).Round(time.Millisecond))
	if err == nil {
		logger.Info("backup sent")
		return
	}
	logger.Error("backup failed", "err", err)
	if out.written == 0 {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// Closing the connection before the end of the body tells the client that the copy is
	// incomplete.
	panic(http.ErrAbortHandler)
}

// pacer is a writer that fails if the reader is too slow.
type pacer struct {
	w        io.Writer
	stall    time.Duration
	until    time.Time // deadline for everything that has been written so far
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
