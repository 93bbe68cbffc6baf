//go:build linux

// Package process runs the measured servers. It starts and stops them, waits until they are ready,
// and reads their memory and processor time from /proc.
package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a running server.
type Process struct {
	cmd  *exec.Cmd
	done chan error
	log  *os.File
}

// Start runs a program. Its output goes to the file log. The program is killed when this process
// ends.
func Start(log string, env []string, name string, args ...string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, errors.Join(err, f.Close()))
	}
	p := &Process{cmd: cmd, done: make(chan error, 1), log: f}
	go func() { p.done <- cmd.Wait() }()
	return p, nil
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the process to end. If it does not end in time, Stop kills it and returns an error.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case err := <-p.done:
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == -1 { // by the signal itself
			err = nil
		}
		return errors.Join(err, p.log.Close())
	case <-time.After(time.Minute):
		return errors.Join(errors.New("process did not end in time"), p.Kill())
	}
}

// Kill ends the process as a crash does (SIGKILL).
func (p *Process) Kill() error {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
	return p.log.Close()
}

// Ended returns an error if the process has ended, and nil while it runs.
func (p *Process) Ended() error {
	select {
	case err := <-p.done:
		p.done <- err
		return fmt.Errorf("process ended, see %s: %v", p.log.Name(), err)
	default:
		return nil
	}
}

// Poll calls try repeatedly until it succeeds, ctx ends, or the process ends.
func (p *Process) Poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		if end := p.Ended(); end != nil {
			return end
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for server: %w: last: %w", ctx.Err(), err)
		case <-time.After(time.Millisecond):
		}
	}
}

// Ready waits until the response to a GET of the URL has status 200.
func (p *Process) Ready(ctx context.Context, url string) error {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return p.Poll(ctx, func() error {
		resp, err := c.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
}

// FreeAddress returns a loopback address on which nothing listens at the moment.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Memory is the resident memory of a process in bytes.
type Memory struct {
	Resident int64 // VmRSS
	Peak     int64 // VmHWM since ResetPeak
	Anon     int64 // RssAnon, which does not include mapped files
}

// Memory reads the current memory of the process.
func (p *Process) Memory() (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	var m Memory
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		var to *int64
		switch name {
		case "VmRSS":
			to = &m.Resident
		case "VmHWM":
			to = &m.Peak
		case "RssAnon":
			to = &m.Anon
		default:
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("read memory: %w", err)
		}
		*to = n << 10
	}
	return m, nil
}

// ResetPeak sets the peak to the current resident memory.
func (p *Process) ResetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0)
}

// tick is the unit of times in /proc on Linux. It does not depend on the kernel's configuration.
const tick = 10 * time.Millisecond

// CPU returns the processor time that the process has used, with a resolution of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	// The name in parentheses may contain any characters.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0, errors.New("read processor time: unknown form")
	}
	var total time.Duration
	for _, s := range f[11:13] { // utime, stime
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}
