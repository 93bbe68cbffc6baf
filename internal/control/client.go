package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// ErrNoServer means that no server listens on the data directory's socket.
var ErrNoServer = errors.New("no server is listening")

const (
	// silence is how long the client waits for more data from the server.
	silence = 30 * time.Second
	// maxRefusal limits the text of an error response, in bytes.
	maxRefusal = 1 << 10
)

// Backup asks the server that runs on the data directory for a copy of its store and writes the
// copy to w. After an error, w may have received a part of the copy. If no server runs there, the
// error is ErrNoServer.
func Backup(ctx context.Context, data string, w io.Writer) error {
	if err := get(ctx, data, backupPath, w); err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	return nil
}

func get(ctx context.Context, data, path string, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vigate"+path, nil)
	if err != nil {
		return err
	}
	t := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, data) },
	}
	defer t.CloseIdleConnections()
	resp, err := t.RoundTrip(req)
	if err != nil {
		return broken(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		return fmt.Errorf("it refused (%d): %s", resp.StatusCode, strings.TrimSpace(string(text)))
	}
	_, err = io.Copy(w, resp.Body)
	return broken(err)
}

// broken explains an error that means that the connection ended too early.
func broken(err error) error {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return fmt.Errorf("the connection broke: %w", err)
		}
	}
	return err
}

// Running reports whether a server listens on the data directory's socket.
func Running(ctx context.Context, data string) (bool, error) {
	c, err := dial(ctx, data)
	if errors.Is(err, ErrNoServer) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("check for a running server: %w", err)
	}
	return true, c.Close()
}

func dial(ctx context.Context, data string) (net.Conn, error) {
	var c net.Conn
	err := withAddress(data, func(name string) (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, "unix", name)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	if err != nil {
		return nil, err
	}
	return patient{c}, nil
}

// patient is a connection with a time limit for each read. A server that was stopped by a signal,
// for example, would otherwise block its client for ever.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}
