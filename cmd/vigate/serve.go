package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/config"
)

// maxConfigFile bounds what is read of a file that an operator names.
const maxConfigFile = config.MaxFile

func serveCommand() *cobra.Command {
	var file string
	var flags []*config.FlagValue
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it is told to end (SIGTERM or SIGINT).

The first start on a data directory needs a password for administrator@DOMAIN:
from VIGATE_ADMIN_PASSWORD, from --admin-password-file, or one is made up and
shown once, if there is a terminal to show it on.

All flags but --config can be keys of the configuration file, which is YAML:
  listen: 0.0.0.0:443
  idle-timeout: 1h
A flag goes before the file.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file, flags)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, terminal{
				out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), getenv: os.Getenv, isTerminal: isTerminal,
			})
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	for _, k := range config.Keys() {
		v := k.FlagValue()
		flags = append(flags, v)
		f := cmd.Flags().VarPF(v, k.Name, "", k.Help)
		if k.Bool() {
			f.NoOptDefVal = "true"
		}
	}
	return cmd
}

// loadConfig puts together the file and the flags. The error lists every
// mistake.
func loadConfig(file string, flags []*config.FlagValue) (config.Config, error) {
	var src []byte
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return config.Config{}, fmt.Errorf("read configuration: %w", err)
		}
		defer f.Close()
		if src, err = io.ReadAll(io.LimitReader(f, maxConfigFile+1)); err != nil {
			return config.Config{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	var given []config.Flag
	for _, v := range flags {
		if f := v.Flag(); len(f.Values) > 0 {
			given = append(given, f)
		}
	}
	return config.Load(file, src, given)
}

// terminal is where serve speaks to the person who started it.
type terminal struct {
	out, err   io.Writer
	getenv     func(string) string
	isTerminal func(io.Writer) bool
}

// serve runs a server until ctx ends.
func serve(ctx context.Context, cfg config.Config, term terminal) (err error) {
	log := newLogger(cfg, term.err)
	dir, clean, err := dataDir(cfg)
	if err != nil {
		return err
	}
	defer clean()
	cfg.Data = dir
	n, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	first, err := n.bootstrap(ctx, cfg, term)
	if err != nil {
		return err
	}
	if err := n.listen(ctx, cfg); err != nil {
		return err
	}
	n.announce(cfg, first, term)
	return n.run(ctx)
}

// dataDir makes the data directory. Only --dev may do without one: then it is
// temporary, and clean removes it.
func dataDir(cfg config.Config) (dir string, clean func(), err error) {
	clean = func() {}
	switch {
	case cfg.Data != "":
		// Others may pass through to the one local ticket that they were told
		// the name of; every file is 0600.
		if err := os.MkdirAll(cfg.Data, 0o711); err != nil {
			return "", nil, fmt.Errorf("make data directory: %w", err)
		}
		dir, err = filepath.Abs(cfg.Data)
		return dir, clean, err
	case !cfg.Dev:
		return "", nil, errors.New("--data DIR is needed: it keeps the sessions, users and events (or try --dev)")
	}
	dir, err = os.MkdirTemp("", "vigate-dev-")
	if err != nil {
		return "", nil, fmt.Errorf("make temporary data directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
