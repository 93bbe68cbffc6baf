// Package cli contains the commands for a running server. With them people log in, list and end
// sessions, manage users, roles, permissions, extensions, events and options, list the nodes of
// a cluster, and show and test the servers behind a server. The commands call servers through package
// client and work with any server that serves VI JSON.
//
// [AddTo] adds the commands to the program's root command. [Execute] runs the root command and
// returns the process's exit code. Each file has the commands of one group. What they share, such
// as the settings, the saved session and the output, is in package command. The commands that work
// on a server's own data are not here but in the program's main package.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/cli/example"
	"github.com/vigate/vigate/internal/cli/token"
	"github.com/vigate/vigate/internal/cli/upstream"
)

const clientGroup = "client"

// Host provides what the commands need from the machine. The zero Host is the real machine.
type Host = command.Host

// AddTo adds the commands to root. It also changes root and all of its commands so that [Execute]
// prints their errors, and so that an unknown subcommand is a usage error.
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
	root.AddGroup(&cobra.Group{ID: clientGroup, Title: "Commands for a running server:"})
	for _, cmd := range []*cobra.Command{
		a.login(), a.logout(), a.whoami(), a.about(),
		a.session(), a.user(), a.role(), a.permission(), a.extension(), a.event(), a.option(), a.node(),
		token.Command(a.Set), upstream.Command(a.Set),
	} {
		cmd.GroupID = clientGroup
		cmd.PersistentFlags().AddFlagSet(a.Flags())
		root.AddCommand(cmd)
	}
	example.Add(root)
}

// Execute runs the root command with the given arguments, which don't include the program's name.
// [AddTo] must have been called for root. Execute prints an error as one line to root's error
// output, and the mistakes of command.Mistaken as one line each. It returns the process's exit code.
func Execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := 0
	for _, e := range command.Mistakes(err) {
		var text string
		text, code = command.Explain(e)
		fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), command.Clean(text))
	}
	return code
}

// app makes the commands of one root command.
type app struct{ *command.Set }

// job is one run of a command.
type job struct{ *command.Run }

// command makes a command that calls the server. It connects before do is called.
func (a *app) command(
	use, short string, args cobra.PositionalArgs, do func(context.Context, *job) error,
) *cobra.Command {
	return a.Connected(use, short, args, func(ctx context.Context, r *command.Run) error { return do(ctx, &job{r}) })
}

// unconnected makes a command that connects to the server itself, or not at all.
func (a *app) unconnected(
	use, short string, args cobra.PositionalArgs, do func(context.Context, *job) error,
) *cobra.Command {
	return a.Unconnected(use, short, args, func(ctx context.Context, r *command.Run) error { return do(ctx, &job{r}) })
}

// complete returns a shell completion for the values that list finds on the server. several tells
// whether the command takes more than one value.
func (a *app) complete(several bool, list func(context.Context, *job) ([]string, error)) cobra.CompletionFunc {
	return a.Complete(several, func(ctx context.Context, r *command.Run) ([]string, error) {
		return list(ctx, &job{r})
	})
}
