// Package shared opens the store that several servers share, which is etcd. It is apart from package storage, so that
// a program whose servers only use an embedded store does not contain the client of etcd.
package shared

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
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
	secure, err := etcdTLS(cfg, log)
	if err != nil {
		return nil, err
	}
	o := etcd.Options{
		Endpoints: cfg.Store.Endpoints, Prefix: cfg.Store.Prefix, TLS: secure, Username: cfg.Etcd.User,
		NodeName: storage.NodeName(cfg), Purpose: purpose, StartTimeout: cfg.Etcd.StartTimeout,
		Timeout: cfg.Etcd.Timeout, MaxLag: cfg.Etcd.MaxLag, Now: now, Logger: log,
	}
	if o.Username != "" {
		if o.Password, err = secretfile.Read(cfg.Etcd.PasswordFile, "etcd's password", log); err != nil {
			return nil, err
		}
	}
	return etcd.Open(ctx, o)
}

// etcdTLS returns the TLS configuration for etcd. It is nil, for connections without TLS, if
// neither authorities nor a client certificate are configured.
func etcdTLS(cfg config.Config, log *slog.Logger) (*tls.Config, error) {
	if !cfg.Etcd.TLS() {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.Etcd.CA != "" {
		b, err := os.ReadFile(cfg.Etcd.CA)
		if err != nil {
			return nil, fmt.Errorf("read authorities of etcd: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("read authorities of etcd: no certificate in %s", cfg.Etcd.CA)
		}
	}
	if cfg.Etcd.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Etcd.Cert, cfg.Etcd.Key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate for etcd: %w", err)
		}
		if info, err := os.Stat(cfg.Etcd.Key); err == nil {
			datadir.WarnOfReaders(cfg.Etcd.Key, info, log)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
