// Package cli is the commands with which people use a server that runs: they
// log in, look at sessions and end them, manage users, roles, permissions,
// extensions, events and options, and look at the nodes of a cluster. It calls servers through package client and
// works against any that serves VI JSON.
//
// [AddTo] puts the commands on the program's root command, [Execute] runs it
// and gives the process's exit code.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
)

const clientGroup = "client"

// Host is what the commands use of the machine. The zero Host is the real thing.
type Host = command.Host

// AddTo adds the commands to root. It also makes root, and with it all of its
// commands, leave the printing of errors to [Execute] and take a name that is
// no command for wrong usage.
func AddTo(root *cobra.Command, host Host) {
	a := &app{command.New(root, host)}
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return command.Usage("%w: see '%s --help'", err, cmd.CommandPath())
	})
	if !root.Runnable() {
		root.RunE, root.Args = command.NeedSubcommand, cobra.ArbitraryArgs
	}
	root.Long = strings.TrimSpace(cmp.Or(root.Long, root.Short) + "\n\n" + command.ExitCodes)
	root.AddGroup(&cobra.Group{ID: clientGroup, Title: "Commands for a server that runs:"})
	for _, cmd := range []*cobra.Command{
		a.login(), a.logout(), a.whoami(), a.about(),
		a.session(), a.user(), a.role(), a.permission(), a.extension(), a.event(), a.option(), a.node(),
	} {
		cmd.GroupID = clientGroup
		cmd.PersistentFlags().AddFlagSet(a.Flags())
		root.AddCommand(cmd)
	}
}

// Execute runs root, which went through [AddTo], with the arguments behind the
// program's name. It writes an error as one sentence to root's error output and
// returns the process's exit code.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	text, code := command.Explain(err)
	fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), command.Clean(text))
	return code
}

// app is what the commands of one root share.
type app struct{ *command.Set }

// job is one run of a command.
type job struct{ *command.Run }

// command makes a command that calls the server.
func (a *app) command(use, short string, args cobra.PositionalArgs, do func(context.Context, *job) error) *cobra.Command {
	return a.Connected(use, short, args, func(ctx context.Context, r *command.Run) error { return do(ctx, &job{r}) })
}

// bare makes a command that connects by itself.
func (a *app) bare(use, short string, args cobra.PositionalArgs, do func(context.Context, *job) error) *cobra.Command {
	return a.Bare(use, short, args, func(ctx context.Context, r *command.Run) error { return do(ctx, &job{r}) })
}

// complete makes a completion of what list finds on the server. several: the
// command takes more than one of them.
func (a *app) complete(several bool, list func(context.Context, *job) ([]string, error)) cobra.CompletionFunc {
	return a.Complete(several, func(ctx context.Context, r *command.Run) ([]string, error) { return list(ctx, &job{r}) })
}
