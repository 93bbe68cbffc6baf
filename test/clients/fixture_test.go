// Package clients tests a running server with existing clients, unmodified: govc, the packages of govmomi,
// Debian's pyVmomi, and libraries that build their clients from the WSDL. It shows that they work, not what the
// API must return in each case: that is in package vectors.
package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	adminUser     = "administrator@vsphere.local"
	adminPassword = "correct horse battery staple 7"
	userPassword  = "another long password 8"
)

// patience is how long a test waits for a condition. It is long enough for the slowest machines.
const patience = 5 * time.Minute

// bin is the directory of the tested programs.
var bin struct{ vigate, govc, lab string }

func TestMain(m *testing.M) {
	// Tests create data directories, which must not be writable by the group.
	syscall.Umask(0o022)
	dir, err := os.MkdirTemp("", "vigate-clients-")
	if err != nil {
		panic(err)
	}
	bin.vigate, bin.govc = filepath.Join(dir, "vigate"), filepath.Join(dir, "govc")
	bin.lab = filepath.Join(dir, "vigate-lab")
	for out, src := range map[string][2]string{
		bin.vigate: {"../..", "./cmd/vigate"}, bin.lab: {"../..", "./cmd/vigate-lab"}, bin.govc: {".", "./govc"},
	} {
		cmd := exec.Command("go", "build", "-o", out, src[1])
		cmd.Dir = src[0]
		if msg, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", src[1], err, msg)
			os.Exit(1)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is a vigate process.
type server struct {
	tls, plain string // host:port
	dir        string
	home       string // home directory of the clients
}

var listening = regexp.MustCompile(`msg=listening listener=(\w+) address=(\S+)`)

// newServer starts a server and waits until it serves.
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{dir: t.TempDir(), home: t.TempDir()}
	args = append([]string{"serve", "--data", s.dir, "--listen", "127.0.0.1:0", "--plain-http", "127.0.0.1:0"}, args...)
	cmd := exec.Command(bin.vigate, args...)
	cmd.Env = append(os.Environ(), "VIGATE_ADMIN_PASSWORD="+adminPassword)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ready, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				switch m[1] {
				case "tls":
					s.tls = m[2]
				case "plain":
					s.plain = m[2]
					ready <- true
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, log.String())
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", log.String())
		}
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("the server ended at its start:\n%s", log.String())
	case <-time.After(patience):
		t.Fatal("the server does not serve")
	}
	return s
}

// govc is a user of govc with its own home directory, in which sessions are stored.
type govc struct {
	t   *testing.T
	env []string
}

// govc returns a govc for the user. If json is set, it uses VI JSON.
func (s *server) govc(t *testing.T, user, password string, json bool) *govc {
	home := t.TempDir()
	env := []string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GOVMOMI_HOME=" + filepath.Join(home, ".govmomi"),
		"GOVC_URL=https://" + s.tls + "/sdk", "GOVC_INSECURE=true", "GOVC_USERNAME=" + user,
		"GOVC_PASSWORD=" + password,
	}
	if json {
		env = append(env, "GOVC_VI_JSON=true")
	}
	return &govc{t, env}
}

func (g *govc) with(env ...string) *govc {
	return &govc{g.t, append(append([]string(nil), g.env...), env...)}
}

// try runs govc and returns its output and its error.
func (g *govc) try(args ...string) (stdout, stderr string, err error) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin.govc, args...)
	cmd.Env = g.env
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	err = cmd.Run()
	return out.String(), bad.String(), err
}

// ok runs govc, which must succeed.
func (g *govc) ok(args ...string) string {
	g.t.Helper()
	out, bad, err := g.try(args...)
	if err != nil {
		g.t.Fatalf("govc %s: %v\n%s%s", strings.Join(args, " "), err, out, bad)
	}
	return strings.TrimSpace(out)
}

// okStdin runs govc with the text as its input.
func (g *govc) okStdin(text string, args ...string) string {
	g.t.Helper()
	cmd := exec.Command(bin.govc, args...)
	cmd.Env, cmd.Stdin = g.env, strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("govc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fails runs govc, which must fail with an error that contains want.
func (g *govc) fails(want string, args ...string) {
	g.t.Helper()
	out, bad, err := g.try(args...)
	if err == nil || !strings.Contains(bad, want) {
		g.t.Errorf("govc %s: %v, want a failure that says %q\n%s%s", strings.Join(args, " "), err, want, out, bad)
	}
}

// has checks that the output contains each of the texts.
func has(t *testing.T, what, out string, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(out, s) {
			t.Errorf("%s: no %q in\n%s", what, s, out)
		}
	}
}

// certificate creates a self-signed client certificate and returns its files.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der},
		key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
