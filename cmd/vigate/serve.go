package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/shared"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/settings"
)

// maxConfigFile limits the size of a configuration file, in bytes.
const maxConfigFile = config.MaxFile

func serveCommand() *cobra.Command {
	var file string
	var flags []*config.FlagValue
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until it receives SIGTERM or SIGINT.

The first start with an empty data directory needs a password for the user
administrator@DOMAIN. It is read from VIGATE_ADMIN_PASSWORD or from
--admin-password-file. With neither, on a terminal, the server generates a
password and prints it once.

Every flag except --config is also a key of the configuration file, in YAML:
  listen: 0.0.0.0:443
  idle-timeout: 1h
A flag overrides the file.

On SIGHUP, and when the file changes, the accounts and limits of its upstreams
are read again. Other keys need a restart.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file, given(flags))
			if err != nil {
				return err
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			err = serve.Run(cmd.Context(), c.Config, serve.Terminal{
				Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Getenv: os.Getenv, IsTerminal: isTerminal,
			}, serve.Options{
				Identity: c.identity, Upstreams: c.upstreams, OpenStore: shared.Open, File: file, Hangup: hangup,
				Reread: func() ([]upstream.Config, error) {
					c, err := loadConfig(file, given(flags))
					return c.upstreams, err
				},
			})
			if _, ok := errors.AsType[*config.Error](err); ok {
				err = command.Mistaken(err)
			}
			return err
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

// configuration is the whole content of a configuration file, with the flags that override it.
type configuration struct {
	config.Config
	identity  identity.Config
	upstreams []upstream.Config
}

// loadConfig reads the configuration from the file and the flags. Its error joins all mistakes, and
// ends the program with the exit code for wrong usage. The result then has what could be read of the
// section identity.
func loadConfig(file string, flags []config.Flag) (configuration, error) {
	var src []byte
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return configuration{}, fmt.Errorf("read configuration: %w", err)
		}
		defer f.Close()
		if src, err = io.ReadAll(io.LimitReader(f, maxConfigFile+1)); err != nil {
			return configuration{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	c := configuration{identity: identity.Defaults()}
	var err error
	c.Config, err = config.Load(file, src, flags, c.identity.Section(file),
		settings.Section(file, &c.upstreams))
	if err != nil {
		return configuration{identity: c.identity}, command.Mistaken(err)
	}
	return c, nil
}

// given returns the flags that are set.
func given(flags []*config.FlagValue) []config.Flag {
	var set []config.Flag
	for _, v := range flags {
		if f := v.Flag(); len(f.Values) > 0 {
			set = append(set, f)
		}
	}
	return set
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
