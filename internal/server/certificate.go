package server

import (
	"crypto/sha1" //nolint:gosec // clone tickets hold a SHA-1 thumbprint; nothing is decided by it
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/filewatch"
)

// CertificateConfig configures the server's certificate.
type CertificateConfig struct {
	// Dir is the directory of a generated certificate, in the files cert.pem and key.pem. It is
	// used if CertFile and KeyFile are empty, and must stay open as long as the certificate is
	// used. Links in it are not followed.
	Dir *os.Root
	// CertFile is a PEM file, leaf first, and KeyFile holds its private key. Both or none must be
	// set. Only this process's account and root may be able to change them.
	CertFile, KeyFile string

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// Certificate is the server's certificate and key. When its files change, the new pair is used from
// the next handshake on. If the new pair can't be used, or another account could change it, that is
// logged and the old one stays in use.
type Certificate struct {
	certFile, keyFile string
	kept              *os.Root // directory of a generated pair; nil if the pair is configured
	now               func() time.Time
	logger            *slog.Logger

	pair  atomic.Pointer[pair]
	watch *filewatch.Watch
}

type pair struct {
	tls    tls.Certificate
	sha1   [sha1.Size]byte
	sha256 [sha256.Size]byte
}

// The file names of a generated pair.
const (
	keptCert = "cert.pem"
	keptKey  = "key.pem"
)

const (
	maxCertificateFile = 1 << 20
	expiryWarning      = 30 * 24 * time.Hour
)

// OpenCertificate reads the configured pair, or the generated pair in Dir, which it creates at the
// first start. If a generated pair is damaged or one of its files is missing, it returns an error:
// clients may have pinned the certificate, so only the operator may decide to replace it.
func OpenCertificate(cfg CertificateConfig) (*Certificate, error) {
	c := &Certificate{certFile: cfg.CertFile, keyFile: cfg.KeyFile, now: cfg.Now, logger: cfg.Logger}
	if c.now == nil {
		c.now = time.Now
	}
	if c.logger == nil {
		c.logger = slog.Default()
	}
	if (c.certFile == "") != (c.keyFile == "") {
		return nil, errors.New("open certificate: the certificate's file and the key's file go together, one is not " +
			"given")
	}
	if c.certFile == "" {
		c.kept = cfg.Dir
		c.certFile, c.keyFile = filepath.Join(cfg.Dir.Name(), keptCert), filepath.Join(cfg.Dir.Name(), keptKey)
		if err := c.ensureGenerated(); err != nil {
			return nil, err
		}
	}
	c.watch = filewatch.New(filewatch.Options{
		Paths: []string{c.certFile, c.keyFile}, Now: c.now, Stat: c.stat, Reload: c.reload,
		Failed: func(err error) {
			c.logger.Error("certificate files changed but can't be used, the old certificate stays", "err", err)
		},
	})
	p, err := c.loadPair()
	if err != nil {
		if c.kept != nil {
			return nil, fmt.Errorf("%w (it is not replaced by itself, since clients may have pinned it; "+
				"to get a new one, move %s and %s away)", err, c.certFile, c.keyFile)
		}
		return nil, err
	}
	c.pair.Store(p)
	c.warn(p)
	return c, nil
}

// ensureGenerated creates a pair if there is none.
func (c *Certificate) ensureGenerated() error {
	_, certErr := c.kept.Lstat(keptCert)
	_, keyErr := c.kept.Lstat(keptKey)
	certMissing, keyMissing := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case certMissing && keyMissing:
		if err := generatePair(c.kept, c.now()); err != nil {
			return fmt.Errorf("generate certificate: %w", err)
		}
		c.logger.Info("made a certificate", "file", c.certFile)
	case certMissing:
		return fmt.Errorf("open certificate: %s is missing while %s is there; put it back, or move the key away to "+
			"get a new pair", c.certFile, c.keyFile)
	case keyMissing:
		return fmt.Errorf("open certificate: %s is missing while %s is there; put it back, or move the certificate "+
			"away to get a new pair", c.keyFile, c.certFile)
	}
	return nil
}

// Leaf returns the certificate that the next handshake will use.
func (c *Certificate) Leaf() *x509.Certificate { return c.current().tls.Leaf }

// Thumbprints returns the SHA-1 and SHA-256 of [Certificate.Leaf].
func (c *Certificate) Thumbprints() (sha1Sum [20]byte, sha256Sum [32]byte) {
	p := c.current()
	return p.sha1, p.sha256
}

// getCertificate implements tls.Config.GetCertificate.
func (c *Certificate) getCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &c.current().tls, nil
}

// current returns the pair in use. About once a second it checks whether the files have changed.
func (c *Certificate) current() *pair {
	c.watch.Check()
	return c.pair.Load()
}

// reload reads the files again, because they have changed.
func (c *Certificate) reload() error {
	p, err := c.loadPair()
	if err != nil || p.sha256 == c.pair.Load().sha256 {
		return err
	}
	c.pair.Store(p)
	c.logger.Info("certificate reloaded", "file", c.certFile, "sha256", fmt.Sprintf("%X", p.sha256))
	c.warn(p)
	return nil
}

// warn logs what is unwise about the pair. An expired certificate is still served: clients that pin
// it continue to work, and other clients report the problem.
func (c *Certificate) warn(p *pair) {
	if left := p.tls.Leaf.NotAfter.Sub(c.now()); left < 0 {
		c.logger.Warn("the certificate has expired", "file", c.certFile, "notAfter", p.tls.Leaf.NotAfter)
	} else if left < expiryWarning {
		c.logger.Warn("the certificate expires soon", "file", c.certFile, "notAfter", p.tls.Leaf.NotAfter)
	}
	// A key from elsewhere may be readable by a group. A generated key is private.
	others := fs.FileMode(0o007)
	if c.kept != nil {
		others = 0o077
	}
	if runtime.GOOS == "windows" {
		return // there, modes don't say who may read a file
	}
	if info, err := c.stat(c.keyFile); err == nil && info.Mode().Perm()&others != 0 {
		c.logger.Warn("the private key can be read by others", "file", c.keyFile, "mode", info.Mode().Perm().String())
	}
}

func (c *Certificate) loadPair() (*pair, error) {
	certPEM, err := c.read(c.certFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	keyPEM, err := c.read(c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair{
		tls:    cert,
		sha1:   sha1.Sum(cert.Leaf.Raw), //nolint:gosec // see the import
		sha256: sha256.Sum256(cert.Leaf.Raw),
	}, nil
}

// stat returns the state of one of the two files. It does not follow a link to a generated pair.
func (c *Certificate) stat(file string) (fs.FileInfo, error) {
	if c.kept == nil {
		return os.Stat(file)
	}
	return c.kept.Lstat(filepath.Base(file))
}

// read returns the content of one of the two files. A configured file must be one that no other account can change:
// whoever changes the pair decides which key clients trust.
func (c *Certificate) read(file string) ([]byte, error) {
	if c.kept == nil {
		b, _, err := datadir.ReadFile(file, maxCertificateFile)
		return b, err
	}
	info, err := c.stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	f, err := c.kept.Open(filepath.Base(file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCertificateFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxCertificateFile {
		return nil, fmt.Errorf("%s has more than %d bytes", file, maxCertificateFile)
	}
	return b, nil
}

// tlsConfig returns the configuration of TLS 1.3, and of 1.2 with forward secrecy and AEAD only. A
// client certificate is requested but not required: extensions log in with it, and the login
// decides whether it is valid.
func (c *Certificate) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     []string{"h2", "http/1.1"},
		ClientAuth:     tls.RequestClientCert,
		GetCertificate: c.getCertificate,
	}
}
