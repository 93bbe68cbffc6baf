package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
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
A flag overrides the file.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file, flags)
			if err != nil {
				return err
			}
			return serve.Run(cmd.Context(), cfg, serve.Terminal{
				Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Getenv: os.Getenv, IsTerminal: isTerminal,
			}, nil)
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

// loadConfig reads the configuration from the file and the flags. Its error lists all mistakes.
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
	return config.Load(file, src, given(flags))
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
