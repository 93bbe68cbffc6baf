package etcd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/etcd"
	"github.com/vigate/vigate/test/etcd/member"
)

func TestAPasswordOpensAnEtcdThatAsksForOne(t *testing.T) {
	m := member.Started(t, program, 1, member.Options{})[0]
	raw := client(t, m)
	ctx := t.Context()
	_, err := raw.UserAdd(ctx, "root", "right")
	if err == nil {
		_, err = raw.UserGrantRole(ctx, "root", "root")
	}
	if err == nil {
		_, err = raw.AuthEnable(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	opts.DialTimeout = time.Second
	opts.Username, opts.Password = "root", "Wr0ng-secret"
	if _, err := etcd.Open(ctx, opts); !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), opts.Password) {
		t.Errorf("Open with a wrong password = %v", err)
	}
	opts.Password = "right"
	opts.DialTimeout = slow
	s := opened(t, opts)
	follow(t, s).upTo(t, must(t, s, store.Append(store.Event, nil, never)))
	opts.Username, opts.Password = "", ""
	opts.DialTimeout = time.Second
	if _, err := etcd.Open(ctx, opts); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open without a password = %v", err)
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

// sign makes a key and its certificate, by itself if there is no key yet.
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

// leaf makes a certificate for who is at the address.
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

	opts.DialTimeout = 500 * time.Millisecond
	for name, config := range map[string]*tls.Config{
		"no certificate":         {RootCAs: a.pool},
		"another's certificate":  {RootCAs: a.pool, Certificates: []tls.Certificate{newAuthority(t).leaf("node", loopback)}},
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
	m := member.Started(t, program, 1, member.Options{CertFile: cert, KeyFile: key, TLS: &tls.Config{InsecureSkipVerify: true}})[0]
	opts := space()
	opts.Endpoints = []string{m.Endpoint}
	opts.TLS = &tls.Config{RootCAs: a.pool}
	opts.DialTimeout = 500 * time.Millisecond
	if _, err := etcd.Open(t.Context(), opts); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open = %v", err)
	}
}
