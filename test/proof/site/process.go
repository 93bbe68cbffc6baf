//go:build linux

// Package site runs the processes and networks under test: vigate nodes, etcd members, the links
// between them, and small disks. A [Cluster] has all of them; a [Node] can also run alone.
// Everything is on loopback, and every process is ended by its process id.
package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a process may take until it serves, or until it has ended.
const patience = 5 * time.Minute

// process is a program that can be killed and started again.
type process struct {
	program string
	args    []string
	env     []string
	log     string // its output is appended to this file

	mu    sync.Mutex // guards the fields below
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	err   error         // how it ended; valid once ended is closed
}

// start starts the program. The program is killed when this process dies.
func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	defer log.Close()
	cmd := exec.Command(p.program, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.program, err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended, p.err = cmd, ended, nil
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(ended)
	}()
	return nil
}

// running returns the process, and the channel that is closed when the process has ended.
func (p *process) running() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.ended
}

func (p *process) signal(s syscall.Signal) error {
	cmd, _ := p.running()
	if cmd == nil {
		return errors.New("process was never started")
	}
	return cmd.Process.Signal(s)
}

// PID returns the id of the process that is running, or ran last.
func (p *process) PID() int {
	cmd, _ := p.running()
	return cmd.Process.Pid
}

// Pause stops the process with SIGSTOP, as a long stall would. Resume continues it.
func (p *process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (p *process) Resume() error { return p.signal(syscall.SIGCONT) }

// kill kills the process and returns when the process has ended.
func (p *process) kill() error {
	cmd, ended := p.running()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-ended
	return nil
}

// stop asks the process to end and returns how it ended.
func (p *process) stop() error {
	cmd, ended := p.running()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
	case <-time.After(patience):
		return errors.Join(errors.New("process did not end when asked to"), p.kill())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// await calls try every few milliseconds, until it succeeds, the process ends, or patience has
// passed.
func (p *process) await(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, ended := p.running()
	for {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("%s ended instead of serving, see its log:\n%s", p.program, tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w\n%s", p.program, err, tail(p.log))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Log returns the end of the process's log.
func (p *process) Log() string { return tail(p.log) }

// Logged returns how often the process has logged the text.
func (p *process) Logged(text string) int {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte(text))
}

// tail returns the last few kilobytes of a file.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// given counts the addresses that this process has used.
var given atomic.Uint32

// address returns a loopback address that no other process uses. The host belongs to this process
// alone: all of 127.0.0.0/8 is loopback. Each port is used once. So no other process takes an
// address while its owner is down.
func address() string {
	pid := os.Getpid() // has at most 22 bits
	return fmt.Sprintf("127.%d.%d.%d:%d", 64+pid>>16&63, pid>>8&255, pid&255, 10000+given.Add(1))
}
