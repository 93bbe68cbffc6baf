package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/shared"
	"github.com/vigate/vigate/internal/upstream"
)

func serveCommand() *cobra.Command {
	var in inputs
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Example: "  vigate serve --dev\n" +
			"  vigate serve --config /etc/vigate/vigate.yaml\n" +
			"  vigate serve --data /var/lib/vigate --listen :443 --idle-timeout 1h",
		Long: `Run the server until it receives SIGTERM or SIGINT.

The first start with an empty data directory needs a password for the user
administrator@DOMAIN. It is read from VIGATE_ADMIN_PASSWORD or from
--admin-password-file. With neither, on a terminal, the server generates a
password and prints it once.

` + keysHelp + `

On SIGHUP, and when the file changes, the accounts and limits of its upstreams
are read again. Other keys need a restart.`,
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := in.check(slog.New(slog.DiscardHandler)) // the server logs its own warnings
			if err != nil {
				return err
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			err = serve.Run(cmd.Context(), c.Config, serve.Terminal{
				Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Getenv: os.Getenv, IsTerminal: isTerminal,
			}, serve.Options{
				Identity: c.identity, Upstreams: c.upstreams, OpenStore: shared.Open,
				File: in.path(), FileSeen: c.seen, Hangup: hangup,
				Reread: func() ([]upstream.Config, error) {
					c, err := in.load()
					return c.upstreams, err
				},
			})
			if _, ok := errors.AsType[*config.Error](err); ok {
				err = command.Mistaken(err)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&in.file, "config", "", "configuration file (YAML)")
	in.defineKeys(cmd)
	return cmd
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
