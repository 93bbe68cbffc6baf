// Package storage opens the store of a server as its configuration says. [OpenEmbedded] opens the embedded store.
// Package shared, which not every program contains, also opens the one that several servers share.
//
// An [Opened] is a store with the functions that a server needs besides those of every store: whether it is up to
// date, and a backup of it.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/store"
	"github.com/vigate/vigate/internal/store/bolt"
)

// File is the name of the embedded store's file in the data directory.
const File = datadir.Store

// Opened is a store with functions that only some kinds of stores have. A store that only this
// process writes to is always up to date.
type Opened struct {
	store.Store
	Fresh func() error                 // returns an error if the state may be out of date; nil: it never is
	Lag   func() (time.Duration, bool) // see cluster.Options; nil: none
	// Backup writes a copy of a store that only this process can read. It is nil if others can read
	// the store.
	Backup func(io.Writer) error
}

// Options are the parameters of a store that are not part of the configuration.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
	// Observe is called for each transaction of a store that reports them. If nil, nothing is called.
	Observe func(writes int, took time.Duration, err error)
}

// OpenEmbedded opens the store in the data directory. It refuses a configuration that names another
// store: the packages of that store are not part of every program, see serve.Options.OpenStore.
func OpenEmbedded(_ context.Context, cfg config.Config, o Options) (Opened, error) {
	if len(cfg.Store.Endpoints) > 0 {
		return Opened{}, errors.New("open store: this program can't use etcd")
	}
	s, err := bolt.Open(filepath.Join(cfg.Data, File),
		bolt.Options{Now: o.Now, Logger: o.Logger, Observe: o.Observe})
	if errors.Is(err, bolt.ErrSealed) {
		err = fmt.Errorf("%w: use vigate store restore", err)
	}
	if err != nil {
		return Opened{}, err
	}
	return Opened{Store: s, Backup: s.Backup}, nil
}

// NodeName returns the name of this server among those that share its store.
func NodeName(cfg config.Config) string {
	if cfg.NodeName != "" {
		return cfg.NodeName
	}
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}
