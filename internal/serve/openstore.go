package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/secret"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
	"github.com/vigate/vigate/internal/store/etcd"
)

// StoreName is the name of the embedded store's file in the data directory.
const StoreName = datadir.Store

// openedStore is a store with functions that only some kinds of stores have. A store that only this
// process writes to is always up to date.
type openedStore struct {
	store.Store
	fresh func() error                 // returns an error if the state may be out of date; nil: it never is
	lag   func() (time.Duration, bool) // see cluster.Options; nil: none
	// backup writes a copy of a store that only this process can read. It is nil if others can read
	// the store.
	backup func(io.Writer) error
}

// openStore opens the configured store. observe, if not nil, is called for each transaction of a
// store that reports them.
func openStore(
	ctx context.Context, cfg config.Config, now func() time.Time, log *slog.Logger,
	observe func(int, time.Duration, error),
) (openedStore, error) {
	if len(cfg.Store.Endpoints) == 0 {
		s, err := bolt.Open(filepath.Join(cfg.Data, StoreName), bolt.Options{Now: now, Logger: log, Observe: observe})
		if errors.Is(err, bolt.ErrSealed) {
			err = fmt.Errorf("%w: use vigate store restore", err)
		}
		if err != nil {
			return openedStore{}, err
		}
		return openedStore{Store: s, backup: s.Backup}, nil
	}
	s, err := openEtcd(ctx, cfg, etcd.Serve, now, log)
	if err != nil {
		return openedStore{}, err
	}
	return openedStore{Store: s, fresh: s.Fresh, lag: s.Lag}, nil
}

// OpenEtcd opens the configured etcd store for a command.
func OpenEtcd(ctx context.Context, cfg config.Config, purpose etcd.Purpose, log *slog.Logger) (*etcd.Store, error) {
	return openEtcd(ctx, cfg, purpose, time.Now, log)
}

func openEtcd(
	ctx context.Context, cfg config.Config, purpose etcd.Purpose, now func() time.Time, log *slog.Logger,
) (*etcd.Store, error) {
	secure, err := etcdTLS(cfg)
	if err != nil {
		return nil, err
	}
	o := etcd.Options{
		Endpoints: cfg.Store.Endpoints, Prefix: cfg.Store.Prefix, TLS: secure, Username: cfg.Etcd.User,
		NodeName: nodeName(cfg), Purpose: purpose, StartTimeout: cfg.Etcd.StartTimeout, Timeout: cfg.Etcd.Timeout,
		MaxLag: cfg.Etcd.MaxLag, Now: now, Logger: log,
	}
	if o.Username != "" {
		password, err := readPassword(cfg.Etcd.PasswordFile, "etcd's password", log)
		if err != nil {
			return nil, err
		}
		o.Password = secret.New(string(password))
	}
	return etcd.Open(ctx, o)
}

// etcdTLS returns the TLS configuration for etcd. It is nil, for connections without TLS, if
// neither authorities nor a client certificate are configured.
func etcdTLS(cfg config.Config) (*tls.Config, error) {
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
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func nodeName(cfg config.Config) string {
	if cfg.NodeName != "" {
		return cfg.NodeName
	}
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}
