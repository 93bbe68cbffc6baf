package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
	"github.com/vigate/vigate/internal/testclock"
)

func newClock() *testclock.Clock { return testclock.New(time.Now()) }

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openRoot opens a directory until the test ends.
func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// makePair writes a new certificate and its key to the given files.
func makePair(t testing.TB, certFile, keyFile string, now time.Time) {
	t.Helper()
	dir := t.TempDir()
	err := generatePair(openRoot(t, dir), now)
	if err == nil {
		err = os.Rename(filepath.Join(dir, keptKey), keyFile)
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, keptCert), certFile)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAGeneratedCertificateIsGoodForThisMachineAndStays(t *testing.T) {
	dir := t.TempDir()
	c, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	leaf := c.Leaf()
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]", "sdkTunnel"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() || leaf.IsCA {
		t.Errorf("key %T, CA %v", leaf.PublicKey, leaf.IsCA)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life < generatedLife {
		t.Errorf("life %v", life)
	}
	if info, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
	one, two := c.Thumbprints()
	if one != sha1.Sum(leaf.Raw) || two != sha256.Sum256(leaf.Raw) {
		t.Error("the thumbprints are another's")
	}
	again, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, dir)})
	if err != nil || !again.Leaf().Equal(leaf) {
		t.Errorf("the second start has another certificate, %v", err)
	}
}

func TestADamagedCertificateIsAnErrorAndIsNotReplaced(t *testing.T) {
	for name, damage := range map[string]func(cert, key string) error{
		"certificate cut":     func(cert, _ string) error { return os.Truncate(cert, 100) },
		"key cut":             func(_, key string) error { return os.Truncate(key, 20) },
		"certificate empty":   func(cert, _ string) error { return os.Truncate(cert, 0) },
		"certificate missing": func(cert, _ string) error { return os.Remove(cert) },
		"key missing":         func(_, key string) error { return os.Remove(key) },
		"certificate huge":    func(cert, _ string) error { return os.Truncate(cert, maxCertificateFile+1) },
		"another's key": func(_, key string) error {
			makePair(t, filepath.Join(t.TempDir(), "c"), key, time.Now())
			return nil
		},
	} {
		dir := t.TempDir()
		if _, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, dir)}); err != nil {
			t.Fatal(err)
		}
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		if err := damage(cert, key); err != nil {
			t.Fatal(err)
		}
		certBefore, _ := os.ReadFile(cert)
		_, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, dir)})
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "move") {
			t.Errorf("%s: %v", name, err)
		}
		if certAfter, _ := os.ReadFile(cert); !bytes.Equal(certBefore, certAfter) {
			t.Errorf("%s: the certificate was replaced", name)
		}
	}
}

func TestAKeptPairIsNeverReadThroughALink(t *testing.T) {
	for name, link := range map[string]func(from, to string) error{
		"out of the directory": os.Symlink,
		"within the directory": func(from, to string) error {
			aside := filepath.Join(filepath.Dir(to), "aside")
			if err := os.Rename(from, aside); err != nil {
				return err
			}
			return os.Symlink("aside", to)
		},
	} {
		for _, file := range []string{keptCert, keptKey} {
			dir, clk, out := t.TempDir(), newClock(), &logs{}
			open := func() (*Certificate, error) {
				return OpenCertificate(CertificateConfig{
					Dir: openRoot(t, dir), Now: clk.Now, Logger: slog.New(slog.NewTextHandler(out, nil)),
				})
			}
			c, err := open()
			if err != nil {
				t.Fatal(err)
			}
			first := c.Leaf()
			other := t.TempDir()
			makePair(t, filepath.Join(other, keptCert), filepath.Join(other, keptKey), time.Now())
			for _, f := range []string{keptCert, keptKey} {
				from, to := filepath.Join(other, f), filepath.Join(dir, f)
				if f != file {
					err = os.Rename(from, to)
				} else if err = os.Remove(to); err == nil {
					err = link(from, to)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			clk.Advance(2 * filewatch.Period)
			if !c.Leaf().Equal(first) || !strings.Contains(out.String(), file+" is not a regular file") {
				t.Errorf("%s, %s, while it is served: %s", file, name, out)
			}
			if _, err := open(); err == nil || !strings.Contains(err.Error(), file+" is not a regular file") {
				t.Errorf("%s, %s, at the start: %v", file, name, err)
			}
		}
	}
}

func TestOneFileOfAPairIsAnError(t *testing.T) {
	for _, cfg := range []CertificateConfig{{CertFile: "c"}, {KeyFile: "k"}, {CertFile: "none/c", KeyFile: "none/k"}} {
		if _, err := OpenCertificate(cfg); err == nil {
			t.Errorf("%+v went well", cfg)
		}
	}
}

func TestANewPairIsServedAndABrokenOneIsNot(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	makePair(t, certFile, keyFile, time.Now())
	clk, out := newClock(), &logs{}
	c, err := OpenCertificate(CertificateConfig{CertFile: certFile, KeyFile: keyFile, Now: clk.Now,
		Logger: slog.New(slog.NewTextHandler(out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Handler: tellPeer, Listen: "127.0.0.1:0", Certificate: c})
	served := func() *x509.Certificate {
		t.Helper()
		conn, err := tls.Dial("tcp", r.Addr("tls").String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	first := served()

	newCert, newKey := filepath.Join(dir, "c2.pem"), filepath.Join(dir, "k2.pem")
	makePair(t, newCert, newKey, time.Now())
	// After half of the change, the certificate and the key don't match.
	write(t, certFile, read(t, newCert))
	clk.Advance(2 * filewatch.Period)
	if !served().Equal(first) {
		t.Fatal("a certificate without its key is served")
	}
	clk.Advance(2 * filewatch.Period)
	served()
	if n := strings.Count(out.String(), "can't be used"); n != 1 {
		t.Errorf("the broken pair is logged %d times:\n%s", n, out)
	}
	write(t, keyFile, read(t, newKey))
	if !served().Equal(first) {
		t.Error("the files are looked at more than once a second")
	}
	clk.Advance(2 * filewatch.Period)
	second := served()
	if second.Equal(first) || !second.Equal(c.Leaf()) {
		t.Fatal("the new certificate is not served")
	}
	if one, _ := c.Thumbprints(); one != sha1.Sum(second.Raw) {
		t.Error("the thumbprint is not that of the new certificate")
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	clk.Advance(2 * filewatch.Period)
	if !served().Equal(second) {
		t.Fatal("the certificate went with its file")
	}
}

func TestExpiryAndReadableKeysAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	makePair(t, certFile, keyFile, time.Now())
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]string{
		0:                           "can be read by others",
		generatedLife - time.Hour:   "expires soon",
		generatedLife + 2*time.Hour: "has expired",
	} {
		out := &logs{}
		_, err := OpenCertificate(CertificateConfig{
			CertFile: certFile, KeyFile: keyFile, Logger: slog.New(slog.NewTextHandler(out, nil)),
			Now: func() time.Time { return time.Now().Add(after) },
		})
		if err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("after %v: %v, log %q", after, err, out)
		}
	}
}

func TestAConfiguredPairThatOthersCouldChangeIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	makePair(t, certFile, keyFile, time.Now())
	clk := newClock()
	open := func() (*Certificate, error) {
		return OpenCertificate(CertificateConfig{
			CertFile: certFile, KeyFile: keyFile, Now: clk.Now, Logger: slog.New(slog.DiscardHandler),
		})
	}
	used, err := open()
	if err != nil {
		t.Fatal(err)
	}
	first := used.Leaf()
	makePair(t, certFile, keyFile, time.Now())
	for _, file := range []string{certFile, keyFile} {
		if err := os.Chmod(file, 0o660); err != nil {
			t.Fatal(err)
		}
		if _, err := open(); !errors.Is(err, datadir.ErrUnsafe) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: opened with %v", file, err)
		}
		clk.Advance(2 * filewatch.Period)
		if !used.Leaf().Equal(first) {
			t.Errorf("%s: the new pair is used", file)
		}
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clk.Advance(2 * filewatch.Period)
	if used.Leaf().Equal(first) {
		t.Error("the new pair is not used once only the server can change it")
	}
}

func TestTheCertificateIsReadableByManyAtOnceWhileItChanges(t *testing.T) {
	dir := t.TempDir()
	clk := newClock()
	c, err := OpenCertificate(CertificateConfig{Dir: openRoot(t, dir), Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	before := c.Leaf()
	done := make(chan bool)
	for range 4 {
		go func() {
			for range 300 {
				clk.Advance(time.Second / 10)
				if got, err := c.getCertificate(nil); err != nil || got.Leaf == nil {
					t.Error("no certificate")
				}
			}
			done <- true
		}()
	}
	makePair(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), time.Now())
	for range 4 {
		<-done
	}
	clk.Advance(2 * filewatch.Period)
	if c.Leaf().Equal(before) {
		t.Error("the new certificate is not in use")
	}
}

func TestHostNamesThatACertificateCannotHoldAreLeftOut(t *testing.T) {
	for name, want := range map[string]bool{
		"node-1": true, "node1.example.org": true, "": false, "a_b": false, "-a": false, "a.": false,
		"a..b": false, "é": false, strings.Repeat("a", 64): false, "*": false,
	} {
		if usableName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if !strings.EqualFold(certificateNames()[len(certificateNames())-1], tunnelName) {
		t.Error("the tunnel's name is missing")
	}
}
