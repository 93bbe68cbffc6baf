// Package serve assembles a server: the store, the domain, the API, its bindings and the listeners.
//
// [Open] in wire.go is the one place that shows how the parts depend on each other. [Run] does all
// that the program's serve command does. A program that needs a server in its own process, such as
// a test or a benchmark, opens a [Node] and runs it. The package contains no logic of the API
// itself.
package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/vigate/vigate/internal/announce"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/datadir"
	"github.com/vigate/vigate/internal/serve/logging"
)

// notifyVariable is the name of the environment variable in which a service manager gives its socket.
const notifyVariable = "NOTIFY_SOCKET"

// Terminal is how the server communicates with the person who started it.
type Terminal struct {
	Out, Err   io.Writer
	Getenv     func(string) string
	IsTerminal func(io.Writer) bool
}

// Run runs a server until ctx ends. It sets the logger of the options by the configuration.
func Run(ctx context.Context, cfg config.Config, term Terminal, o Options) (err error) {
	o.Logger = logging.New(cfg, term.Err)
	dir, clean, err := DataDir(cfg, o.Logger)
	if err != nil {
		return err
	}
	defer clean()
	cfg.Data = dir
	announcer, err := announce.New(announce.Options{
		Socket: term.Getenv(notifyVariable), File: cfg.ReadyFile, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	n, err := Open(ctx, cfg, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	first, err := n.Bootstrap(ctx, cfg, term)
	if err != nil {
		return err
	}
	if err := n.Listen(ctx, cfg); err != nil {
		return err
	}
	n.announce(cfg, first, term)
	n.announcer, n.state = announcer, n.stateOf(cfg)
	n.logStart(cfg)
	err = n.Run(ctx)
	n.logEnd(err)
	return err
}

// DataDir returns the data directory, which Open creates. Only with --dev none need be configured:
// then the directory is temporary and clean removes it, and those of earlier runs that were killed are
// removed.
func DataDir(cfg config.Config, logger *slog.Logger) (dir string, clean func(), err error) {
	clean = func() {}
	switch {
	case cfg.Data != "":
		dir, err = filepath.Abs(cfg.Data)
		return dir, clean, err
	case !cfg.Dev:
		return "", nil, errors.New("--data DIR is needed: it keeps the sessions, users and events (or try --dev)")
	}
	return datadir.Temporary(os.TempDir(), logger)
}
