// Package shared opens the store that several servers share, which is etcd. It is apart from package storage, so that
// a program whose servers only use an embedded store does not contain the client of etcd.
package shared

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/secret/secretfile"
	"github.com/vigate/vigate/internal/serve/storage"
	"github.com/vigate/vigate/internal/store/etcd"
)

// Open opens the store that the configuration names, etcd or the embedded one. It is serve.Options.OpenStore of
// a program that can use both.
func Open(ctx context.Context, cfg config.Config, o storage.Options) (storage.Opened, error) {
	if len(cfg.Store.Endpoints) == 0 {
		return storage.OpenEmbedded(ctx, cfg, o)
	}
	s, err := open(ctx, cfg, etcd.Serve, o.Now, o.Logger)
	if err != nil {
		return storage.Opened{}, err
	}
	return storage.Opened{Store: s, Fresh: s.Fresh, Lag: s.Lag}, nil
}

// OpenEtcd opens the configured etcd store for a command.
func OpenEtcd(ctx context.Context, cfg config.Config, purpose etcd.Purpose, log *slog.Logger) (*etcd.Store, error) {
	return open(ctx, cfg, purpose, time.Now, log)
}

func open(
	ctx context.Context, cfg config.Config, purpose etcd.Purpose, now func() time.Time, log *slog.Logger,
) (*etcd.Store, error) {
	secure, err := etcdTLS(cfg.Etcd, log)
	if err != nil {
		return nil, err
	}
	password, err := Password(cfg.Etcd, log)
	if err != nil {
		return nil, err
	}
	return etcd.Open(ctx, etcd.Options{
		Endpoints: cfg.Store.Endpoints, Prefix: cfg.Store.Prefix, TLS: secure, Username: cfg.Etcd.User,
		Password: password, NodeName: storage.NodeName(cfg), Purpose: purpose, StartTimeout: cfg.Etcd.StartTimeout,
		Timeout: cfg.Etcd.Timeout, MaxLag: cfg.Etcd.MaxLag, Now: now, Logger: log,
	})
}

// etcdTLS returns the TLS configuration for etcd. It is nil, for connections without TLS, if
// neither authorities nor a client certificate are configured.
func etcdTLS(cfg config.Etcd, log *slog.Logger) (*tls.Config, error) {
	if !cfg.TLS() {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if c.RootCAs, err = Authorities(cfg); err != nil {
		return nil, err
	}
	c.Certificates, err = Certificates(cfg, log)
	return c, err
}

// maxFile is the maximum size of a file of certificates or of a key, in bytes.
const maxFile = 1 << 20

// Authorities returns the configured authorities of etcd's certificate, or nil for those of the system. Whoever can
// change the file decides which server is trusted to be etcd, so no other account may be able to.
func Authorities(cfg config.Etcd) (*x509.CertPool, error) {
	if cfg.CA == "" {
		return nil, nil
	}
	b, _, err := datadir.ReadFile(cfg.CA, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read authorities of etcd: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read authorities of etcd: no certificate in %s", cfg.CA)
	}
	return pool, nil
}

// Certificates returns the configured client certificate for etcd, or nil. It warns if everybody can read the key.
func Certificates(cfg config.Etcd, log *slog.Logger) ([]tls.Certificate, error) {
	if cfg.Cert == "" {
		return nil, nil
	}
	cert, _, err := datadir.ReadFile(cfg.Cert, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read client certificate for etcd: %w", err)
	}
	key, info, err := datadir.ReadFile(cfg.Key, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read key of the client certificate for etcd: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read client certificate for etcd: %w", err)
	}
	datadir.WarnOfReaders(cfg.Key, info, log)
	return []tls.Certificate{pair}, nil
}

// Password returns the password of the configured user of etcd. It is empty if no user is configured.
func Password(cfg config.Etcd, log *slog.Logger) (secret.Text, error) {
	if cfg.User == "" {
		return secret.Text{}, nil
	}
	return secretfile.Read(cfg.PasswordFile, "etcd's password", log)
}
