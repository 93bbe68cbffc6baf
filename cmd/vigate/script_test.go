package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/config"
)

func TestMain(m *testing.M) {
	// The tests make data directories, which a group must not be able to write.
	syscall.Umask(0o022)
	// In scripts, the test binary acts as the program.
	testscript.Main(m, map[string]func(){
		"vigate": main, "vigate-on-full-disk": mainOnFullDisk, "vigate-half-a-backup": halfABackup,
		fewFiles: mainWithFewFiles,
	})
}

// mainOnFullDisk is the program with a limit of 8 KiB for files. Writes then fail as on a full
// disk.
func mainOnFullDisk() {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 8 << 10, Max: 8 << 10}); err != nil {
		panic(err)
	}
	main()
}

const fewFiles = "vigate-with-few-files"

// mainWithFewFiles is the program in a system that allows 256 open files.
func mainWithFewFiles() {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 256, Max: 256}); err != nil {
		panic(err)
	}
	main()
}

// TestScripts runs each script in testdata/script against its own server.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			socket := filepath.Join(shortTempDir(t), "s")
			data := t.TempDir()
			r := start(t, data, func(c *config.Config) { c.Unix = socket })
			runScript(t, script, func(env *testscript.Env) error { return setupScript(env, r, socket, data) })
		})
	}
}

func runScript(t *testing.T, script string, setup func(*testscript.Env) error) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Files: []string{script}, RequireExplicitExec: true, Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "let": let},
	})
}

// shortTempDir returns a directory for sockets, whose paths must be short.
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vigate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func setupScript(env *testscript.Env, r *running, socket, data string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"VIGATE_URL": r.tls, "VIGATE_USERNAME": adminUser, "VIGATE_PASSWORD": adminPassword, "VIGATE_INSECURE": "true",
		"XDG_STATE_HOME": filepath.Join(env.WorkDir, ".state"), "SOCKET": "unix://" + socket, "PLAIN": r.plain,
		"ME": me.Username, "DATA": data,
		// Without this setting, the race detector delays the end of each command by a second.
		"GORACE": "atexit_sleep_ms=0",
	} {
		env.Setenv(name, value)
	}
	return writeClientCertificate(env.WorkDir)
}

// writeClientCertificate writes cert.pem and key.pem for extensions.
func writeClientCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "backup"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
			0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
			0o600),
	)
}

// exits runs a program that must end with an exit code: exits CODE PROGRAM…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// let sets a variable to the first group of a regular expression in the last output: let NAME
// REGEXP
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let NAME REGEXP")
	}
	found := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("the output does not match %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

func TestNewEventsAreFollowed(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	for name, value := range map[string]string{
		"VIGATE_URL": r.tls, "VIGATE_USERNAME": adminUser, "VIGATE_PASSWORD": adminPassword, "VIGATE_INSECURE": "true",
		"XDG_STATE_HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	vigate := func(ctx context.Context, out io.Writer, args ...string) int {
		root := rootCommand()
		root.SetOut(out)
		root.SetErr(out)
		return cli.Execute(ctx, root, args)
	}
	// When the first event is printed, the reaction causes a second event, which ends the command.
	out := &reaction{}
	out.react = func(text string) {
		switch {
		case strings.Contains(text, "down at noon"):
			cancel()
		case strings.Contains(text, "UserLoginSessionEvent"):
			if code := vigate(t.Context(), io.Discard, "session", "message", "down at noon"); code != 0 {
				t.Errorf("change message: exit code %d", code)
				cancel()
			}
		}
	}
	if code := vigate(ctx, out, "event", "ls", "-f", "--type",
		"UserLoginSessionEvent,GlobalMessageChangedEvent"); code != 0 {
		t.Errorf("exit code %d: %s", code, out.text)
	}
	if !strings.Contains(out.text, "GlobalMessageChangedEvent") {
		t.Errorf("shown: %s", out.text)
	}
}

// reaction calls react with each text that is written.
type reaction struct {
	text  string
	react func(string)
}

func (r *reaction) Write(p []byte) (int, error) {
	r.text += string(p)
	r.react(string(p))
	return len(p), nil
}
