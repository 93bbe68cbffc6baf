//go:build linux

// Package site runs what is put to the proof: vigate nodes, etcd members, the
// links between them, and small disks. All of it is on loopback, and whatever
// was started is ended by its process id.
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

// patience is how long a process may take to serve or to end.
const patience = 5 * time.Minute

// process is a program that can be killed and started again.
type process struct {
	program string
	args    []string
	env     []string
	log     string // file that its output is appended to

	mu    sync.Mutex // guards what follows
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd is gone
	err   error         // how it ended, once ended is closed
}

// start runs the program. It dies with this process.
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

// running returns the process and what is closed when it is gone.
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

// PID is the id of the process that runs, or ran last.
func (p *process) PID() int {
	cmd, _ := p.running()
	return cmd.Process.Pid
}

// Pause stops the process as a long stall would (SIGSTOP), Resume lets it go on.
func (p *process) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *process) Resume() error { return p.signal(syscall.SIGCONT) }

// kill ends the process at once and returns when it is gone.
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

// await calls try every few milliseconds until it succeeds, the process ends or
// patience does.
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
			return fmt.Errorf("%s ended as it should begin to serve, see its log:\n%s", p.program, tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w\n%s", p.program, err, tail(p.log))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Log is the end of what the process has logged.
func (p *process) Log() string { return tail(p.log) }

// Logged is how often the process has logged the text.
func (p *process) Logged(text string) int {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	return bytes.Count(b, []byte(text))
}

// tail is the last few kilobytes of a file.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// given counts the addresses that this process has given out.
var given atomic.Uint32

// address is a loopback address that nobody else uses: the host is this
// process's own, of the 127.0.0.0/8 that are all loopback, and the port is given
// out once. So none is taken while what listens on it is down.
func address() string {
	pid := os.Getpid() // of 22 bits at most
	return fmt.Sprintf("127.%d.%d.%d:%d", 64+pid>>16&63, pid>>8&255, pid&255, 10000+given.Add(1))
}
