// Package announce reports the state of a server to other programs on the machine: to the service manager that
// started it, and to any program that waits for a file.
//
// The service manager gets notifications in systemd's protocol (sd_notify(3), `Type=notify` in a unit): when the
// server serves, when it begins to stop, and a line about its state in between. The file, see [State], exists exactly
// as long as the server serves. So a program can start a server on any free port, wait for the file, and read from it
// where the server is. Nothing that the package writes is secret.
package announce

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
)

// Options are the parameters of an Announcer.
type Options struct {
	// Socket is the address of the service manager's socket, the value of NOTIFY_SOCKET. It is a path, or the name of
	// an abstract socket after an @. If empty, no service manager is notified.
	Socket string
	// File is the path of the ready file. If empty, there is none.
	File   string
	Logger *slog.Logger // nil: slog.Default
}

// Announcer reports the state of one server. All methods of a nil Announcer do nothing.
type Announcer struct {
	socket string
	logger *slog.Logger

	mu   sync.Mutex // guards the fields below, and the order of the notifications
	file readyFile
	// stopping is set once the server has begun to stop. From then on, only the end is reported.
	stopping bool
	status   string // the last line about the state
}

// New returns an announcer. It removes the ready file that a killed server has left. It returns an error if
// the ready file belongs to a running server, or if it is not a ready file.
func New(o Options) (*Announcer, error) {
	a := &Announcer{socket: o.Socket, file: readyFile{path: o.File}, logger: cmp.Or(o.Logger, slog.Default())}
	if err := a.file.clear(); err != nil {
		return nil, err
	}
	return a, nil
}

// Serving reports that the server serves. It returns an error if the ready file can't be written, because a program
// may be waiting for it.
func (a *Announcer) Serving(s State, status string) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		return nil // a signal came first
	}
	if err := a.file.write(s); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	a.status = status
	a.notify("READY=1", "STATUS="+oneLine(status))
	return nil
}

// Status sends the service manager one line about the server's state, unless it is the line that was sent last. The
// line is shown by `systemctl status`.
func (a *Announcer) Status(text string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping || a.status == text {
		return
	}
	a.status = text
	a.notify("STATUS=" + oneLine(text))
}

// Stopping reports that the server begins to stop, and why a part of that takes time. It removes the ready file. It
// may be called several times.
func (a *Announcer) Stopping(status string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		return
	}
	a.stopping = true
	if err := a.file.remove(); err != nil {
		a.logger.Warn("the ready file stays", "file", a.file.path, "err", err)
	}
	a.notify("STOPPING=1", "STATUS="+oneLine(status))
}

// notify sends one message to the service manager. Its loss does not stop the server: the service manager
// has a time-out of its own.
func (a *Announcer) notify(lines ...string) {
	if a.socket == "" {
		return
	}
	// The package net takes a name after an @ for an abstract socket, as sd_notify does.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: a.socket, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(strings.Join(lines, "\n")))
		c.Close()
	}
	if err != nil {
		a.logger.Warn("the service manager was not notified", "message", lines[0], "err", err)
	}
}

// oneLine makes a text fit on a line of the protocol.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
