package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vigate/vigate/internal/announce"
	"github.com/vigate/vigate/internal/serve"
)

// program is `vigate serve` as a process of its own.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   bytes.Buffer // to be read after the end
	out   bytes.Buffer
	told  chan string // the messages to the service manager; closed when the process has ended
	file  string      // the ready file
	state announce.State
}

// launch starts `vigate serve` with its data in a directory, and waits until it serves or has ended. env are
// variables as NAME=VALUE.
func launch(t *testing.T, data string, env []string, args ...string) *program {
	t.Helper()
	return launchAs(t, "vigate", data, env, args...)
}

// launchAs is launch for one of the programs of TestMain.
func launchAs(t *testing.T, name, data string, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, told: make(chan string, 100), file: filepath.Join(t.TempDir(), "ready.json")}
	if i := slices.Index(args, "--ready-file"); i >= 0 {
		p.file = args[i+1]
	}
	socket := filepath.Join(shortTempDir(t), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if data != "" {
		args = append([]string{"--data", data}, args...)
	}
	p.cmd = exec.CommandContext(t.Context(), name,
		append([]string{"serve", "--listen", "127.0.0.1:0", "--ready-file", p.file}, args...)...)
	p.cmd.Env = append(os.Environ(), append([]string{
		"NOTIFY_SOCKET=" + socket, serve.PasswordVariable + "=" + adminPassword, "GORACE=atexit_sleep_ms=0",
	}, env...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.told)
		b := make([]byte, 4096)
		for {
			n, err := manager.Read(b)
			if err != nil {
				return
			}
			p.told <- string(b[:n])
		}
	}()
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		_ = manager.Close()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		for range p.told {
		}
	})
	if first := <-p.told; strings.HasPrefix(first, "READY=1\n") {
		p.state = p.ready()
	}
	return p
}

// ready returns the content of the ready file.
func (p *program) ready() announce.State {
	p.t.Helper()
	var s announce.State
	b, err := os.ReadFile(p.file)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// end sends a signal, waits for the end of the process, and returns what the service manager was told.
func (p *program) end(s os.Signal) (told []string) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	for m := range p.told {
		told = append(told, m)
	}
	return told
}

func TestOthersAreToldWhereTheServerIsAsLongAsItServes(t *testing.T) {
	data := t.TempDir()
	p := launch(t, data, nil, "--plain-http", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--default-domain", "Corp.Example")
	if p.state.PID != p.cmd.Process.Pid || p.state.User != "administrator@corp.example" || p.state.Data != data ||
		p.state.Version != serve.Version {
		t.Fatalf("%+v\n%s", p.state, p.log.String())
	}
	// The URL and the thumbprint are enough to log in.
	t.Setenv("VIGATE_PASSWORD", adminPassword)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, url := range []string{p.state.URL, p.state.PlainHTTP} {
		args := []string{"whoami", "--no-keep", "--url", url, "--username", p.state.User}
		if strings.HasPrefix(url, "https:") {
			args = append(args, "--thumbprint", p.state.Thumbprint)
		}
		if out, code := vigate(t, args...); code != 0 || !strings.Contains(out, "CORP.EXAMPLE") {
			t.Errorf("%s: %d %s", url, code, out)
		}
	}
	if b, err := os.ReadFile(p.file); err != nil || bytes.Contains(b, []byte(adminPassword)) {
		t.Errorf("%s, %v", b, err)
	}
	told := p.end(syscall.SIGTERM)
	if len(told) == 0 || !strings.HasPrefix(told[len(told)-1], "STOPPING=1\n") {
		t.Errorf("told: %q", told)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log.String())
	}
	if _, err := os.Stat(p.file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ready file is still there: %v", err)
	}
	// The log says once what has started, and once that it has ended.
	log := p.log.String()
	for _, want := range []string{
		`msg="the server starts" version=` + serve.Version,
		"data=" + data + " store=bolt sessions=0 url=" + p.state.URL,
		"thumbprint=" + p.state.Thumbprint, `msg="the server ends" served=`,
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if strings.Contains(log, "the limit of open files") {
		t.Errorf("a warning about files: %s", log)
	}
}

func TestTooFewFilesForTheConnectionsAreAWarning(t *testing.T) {
	t.Parallel()
	p := launchAs(t, fewFiles, t.TempDir(), nil)
	p.end(syscall.SIGTERM)
	if log := p.log.String(); !strings.Contains(log, "the limit of open files is below max-connections") ||
		!strings.Contains(log, "files=256 connections=20000") {
		t.Errorf("logged: %s", log)
	}
}

func TestARunOfDevRemovesWhatKilledOnesLeft(t *testing.T) {
	t.Parallel()
	env := []string{"TMPDIR=" + t.TempDir()}
	killed, running := launch(t, "", env, "--dev"), launch(t, "", env, "--dev")
	killed.end(syscall.SIGKILL)
	third := launch(t, "", env, "--dev")
	if _, err := os.Stat(killed.state.Data); !errors.Is(err, fs.ErrNotExist) || killed.state.Data == "" {
		t.Errorf("the data of the killed one: %v", err)
	}
	for _, p := range []*program{running, third} {
		if _, err := os.Stat(p.state.Data); err != nil {
			t.Errorf("the data of one that runs: %v", err)
		}
		p.end(syscall.SIGTERM)
		if _, err := os.Stat(p.state.Data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after its end: %v", err)
		}
	}
}

func TestAStartThatFailsTellsNobodyThatItServes(t *testing.T) {
	data := t.TempDir()
	running := launch(t, data, nil)
	second := launch(t, data, nil)
	if second.state.PID != 0 || second.cmd.ProcessState.ExitCode() == 0 {
		t.Errorf("two servers have one store: %+v", second.state)
	}
	if _, err := os.Stat(second.file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ready file: %v", err)
	}
	// Nor does it take away the file of the server that runs.
	third := launch(t, t.TempDir(), nil, "--ready-file", running.file)
	if code := third.cmd.ProcessState.ExitCode(); code != 1 ||
		!strings.Contains(third.log.String(), "belongs to a running server") {
		t.Errorf("%d: %s", code, third.log.String())
	}
	if now := running.ready(); now.PID != running.cmd.Process.Pid {
		t.Errorf("%+v", now)
	}
	// After a kill, the file stays until the next start.
	running.end(syscall.SIGKILL)
	running.ready()
	fourth := launch(t, data, nil, "--ready-file", running.file)
	if now := running.ready(); now.PID != fourth.cmd.Process.Pid {
		t.Errorf("%+v", now)
	}
}
