package etcd_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
)

// Passwords of etcd's users. They must not appear anywhere.
const (
	rightSecret = "R1ght-secret"
	wrongSecret = "Wr0ng-secret"
)

// guarded starts a member that has authentication enabled. Its user vigate has a role for the
// prefix /vigate only. Its user stranger has no role.
func guarded(t *testing.T) (*member.Member, *output) {
	t.Helper()
	m := member.Started(t, program, 1, member.Options{})[0]
	raw, ctx := client(t, m), t.Context()
	for _, step := range []func() error{
		func() error { _, err := raw.UserAdd(ctx, "root", rightSecret); return err },
		func() error { _, err := raw.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := raw.UserAdd(ctx, "stranger", rightSecret); return err },
		func() error { _, err := raw.UserAdd(ctx, "vigate", rightSecret); return err },
		func() error { _, err := raw.RoleAdd(ctx, "vigate"); return err },
		func() error {
			_, err := raw.RoleGrantPermission(ctx, "vigate", "/vigate/", clientv3.GetPrefixRangeEnd("/vigate/"),
				clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := raw.UserGrantRole(ctx, "vigate", "vigate"); return err },
		func() error { _, err := raw.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	l := &output{}
	t.Cleanup(func() {
		for _, password := range []string{rightSecret, wrongSecret} {
			if strings.Contains(l.String(), password) {
				t.Errorf("a password is in the log: %s", l)
			}
		}
	})
	return m, l
}

// output is a log for concurrent writers.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *output) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *output) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// by returns options for a user of the member.
func (l *output) by(m *member.Member, user, password string) etcd.Options {
	return etcd.Options{
		Endpoints: []string{m.Endpoint}, Username: user, Password: secret.New(password),
		StartTimeout: slow, Timeout: slow,
		Logger: slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func TestAUserOfThePrefixCanDoAllThatAStoreDoes(t *testing.T) {
	t.Parallel()
	m, l := guarded(t)
	s := opened(t, l.by(m, "vigate", rightSecret))
	f := follow(t, s)
	rev := must(t, s, store.Append(store.Event, nil, never), store.Create(store.Session, "a", nil, never),
		store.Create(store.Ticket, "old", nil, time.Unix(1, 0)))
	if _, err := s.Touch(t.Context(), store.Record{Kind: store.Session, ID: "a", Revision: rev}); err != nil {
		t.Errorf("Touch: %v", err)
	}
	if n, err := s.Sweep(t.Context(), 10, store.Ticket); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	if _, err := s.Get(t.Context(), store.Session, "a"); err != nil {
		t.Errorf("Get: %v", err)
	}
	_, err := s.Commit(t.Context(), store.Create(store.Session, "a", nil, never))
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("a commit that conflicts: %v", err)
	}
	f.upTo(t, must(t, s, store.Delete(store.Session, "a")))
	eventually(t, "the store is fresh", func() bool { return s.Fresh() == nil })
}

func TestAUserThatEtcdRefusesIsToldAtOnce(t *testing.T) {
	t.Parallel()
	m, l := guarded(t)
	for user, c := range map[string]struct{ password, want string }{
		"vigate":   {wrongSecret, "the user name or the password is wrong"},
		"nobody":   {rightSecret, "the user name or the password is wrong"},
		"stranger": {rightSecret, "may not read and write all keys under \"/vigate/\""},
		"":         {"", "it requires a user name and a password"},
	} {
		opts := l.by(m, user, c.password)
		opts.StartTimeout = 100 * slow // Open must not wait for it
		_, err := etcd.Open(t.Context(), opts)
		refused := errors.Is(err, etcd.ErrAccess) && !errors.Is(err, store.ErrUnavailable)
		if !refused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("user %q: %v", user, err)
		}
		if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("user %q: the password is in the error: %v", user, err)
		}
	}
}

// TestAStoreGetsANewTokenWhenItsOwnIsGone: a member forgets all tokens when it restarts.
func TestAStoreGetsANewTokenWhenItsOwnIsGone(t *testing.T) {
	t.Parallel()
	m, l := guarded(t)
	s := opened(t, l.by(m, "vigate", rightSecret))
	f := follow(t, s)
	f.upTo(t, must(t, s, store.Put(store.Setting, "a", nil, never)))
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	f.upTo(t, must(t, s, store.Put(store.Setting, "b", nil, never)))
	if state, _ := f.seen(); len(state) != 2 {
		t.Errorf("the stream shows %d records, want 2", len(state))
	}
}

func TestWarningsOfEtcdsClientAreLogged(t *testing.T) {
	t.Parallel()
	m := member.Started(t, program, 1, member.Options{})[0]
	l := &output{}
	opts := l.by(m, "", "")
	opts.Timeout = 15 * time.Second // a failed attempt is logged after a third of it
	s := opened(t, opts)
	must(t, s, store.Put(store.Setting, "a", nil, never))
	if strings.Contains(l.String(), "etcd client") {
		t.Errorf("a warning without a cause: %s", l)
	}
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = s.Get(ctx, store.Setting, "a") }()
	eventually(t, "a warning of etcd's client", func() bool { return strings.Contains(l.String(), "etcd client") })
	cancel()
	<-done
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestTheProgramOpensEtcdAsAUser(t *testing.T) {
	t.Parallel()
	m, _ := guarded(t)
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right"), filepath.Join(dir, "wrong")
	err := errors.Join(os.WriteFile(right, []byte(rightSecret+"\n"), 0o600),
		os.WriteFile(wrong, []byte(wrongSecret), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	at := "etcd://" + m.Endpoint + "/vigate"
	access := []string{"--store", at, "--etcd-user", "vigate", "--etcd-password-file"}
	s := serve(t, t.TempDir(), append(access, right)...)
	token := s.login()
	s.live(token)
	s.stop(syscall.SIGTERM)
	copies(t, at, "bolt:"+filepath.Join(dir, "copy"), "", "--force",
		"--etcd-user", "vigate", "--etcd-password-file", right)

	bad := slices.Concat([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, access, []string{wrong})
	cmd := command(t, bad...)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the user name or the password is wrong") {
		t.Errorf("with a wrong password: %v: %s", err, out)
	}
	if strings.Contains(string(out), wrongSecret) || strings.Contains(string(out), rightSecret) {
		t.Errorf("a password is in the output: %s", out)
	}
}

const loopback = "127.0.0.1"

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, pool: x509.NewCertPool()}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	pair := a.sign(a.cert)
	a.key = pair.PrivateKey.(*ecdsa.PrivateKey)
	a.cert = pair.Leaf
	a.pool.AddCert(a.cert)
	return a
}

// sign makes a key and its certificate. Without a key of its own, the authority signs with the new
// one.
func (a *authority) sign(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	by := a.key
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), by)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// leaf makes a certificate for the address.
func (a *authority) leaf(name, address string) tls.Certificate {
	return a.sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(address)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

// write writes PEM files and returns their paths.
func (a *authority) write(pair tls.Certificate) (cert, key string) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return cert, key
}

func TestAClientCertificateOpensAnEtcdThatAsksForOne(t *testing.T) {
	a := newAuthority(t)
	ca, _ := a.write(tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key})
	cert, key := a.write(a.leaf("member", loopback))
	trusted := &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{a.leaf("node", loopback)}}
	m := member.Started(t, program, 1, member.Options{CertFile: cert, KeyFile: key, TLS: trusted,
		Args: []string{"--client-cert-auth", "--trusted-ca-file", ca}})[0]
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	opts.TLS = trusted
	s := opened(t, opts)
	follow(t, s).upTo(t, must(t, s, store.Append(store.Event, nil, never)))

	opts.StartTimeout = 500 * time.Millisecond
	for name, config := range map[string]*tls.Config{
		"no certificate": {RootCAs: a.pool},
		"another's certificate": {
			RootCAs: a.pool, Certificates: []tls.Certificate{newAuthority(t).leaf("node", loopback)},
		},
		"no trust in the member": {Certificates: trusted.Certificates},
		"no encryption":          nil,
	} {
		opts.TLS = config
		if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Open with %s = %v", name, err)
		}
	}
}

func TestAMemberWhoseCertificateIsForElsewhereIsNotTrusted(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.write(a.leaf("member", "127.0.0.9"))
	m := member.Started(t, program, 1, member.Options{
		CertFile: cert, KeyFile: key, TLS: &tls.Config{InsecureSkipVerify: true},
	})[0]
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	opts.TLS = &tls.Config{RootCAs: a.pool}
	opts.StartTimeout = 500 * time.Millisecond
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open = %v", err)
	}
}
