// Package cli is the commands with which people use a server that runs: they
// log in, look at sessions and end them, and manage users, roles, permissions,
// extensions, events and options. It calls servers through package client and
// works against any that serves VI JSON.
//
// [AddTo] puts the commands on the program's root command, [Execute] runs it
// and gives the process's exit code.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Host is what the commands use of the machine besides the command's own input
// and output. A nil field is the real thing.
type Host struct {
	// LookupEnv reads an environment variable.
	LookupEnv func(name string) (string, bool)
	// Prompt asks for a secret, without showing what is typed.
	Prompt func(ctx context.Context, prompt string) (string, error)
	// Now is the clock.
	Now func() time.Time
}

const clientGroup = "client"

// exitCodes is told in the help of the root command.
const exitCodes = `Exit codes:
  0  done
  1  any other error
  2  wrong usage
  3  not logged in, or the login was refused
  4  no permission
  5  not found
  6  the server can't be reached, is overloaded, or is not trusted`

// AddTo adds the commands to root. It also makes root, and with it all of its
// commands, leave the printing of errors to [Execute] and take a name that is
// no command for wrong usage.
func AddTo(root *cobra.Command, host Host) {
	a := newApp(root, host)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w: see '%s --help'", err, cmd.CommandPath())
	})
	if !root.Runnable() {
		root.RunE = needSubcommand
	}
	if root.Long == "" {
		root.Long = root.Short
	}
	root.Long = strings.TrimSpace(root.Long + "\n\n" + exitCodes)
	root.AddGroup(&cobra.Group{ID: clientGroup, Title: "Commands for a server that runs:"})
	for _, cmd := range []*cobra.Command{
		a.login(), a.logout(), a.whoami(), a.about(),
		a.session(), a.user(), a.role(), a.permission(), a.extension(), a.event(), a.option(),
	} {
		cmd.GroupID = clientGroup
		cmd.PersistentFlags().AddFlagSet(a.flags.set)
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
	text, code := explain(err)
	fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), clean(text))
	return code
}

// app is what the commands of one root share.
type app struct {
	host  Host
	root  *cobra.Command
	flags *flags
	// stdinUsed names what has read the standard input, which can be read once.
	stdinUsed string
}

func newApp(root *cobra.Command, host Host) *app {
	if host.LookupEnv == nil {
		host.LookupEnv = lookupEnv
	}
	if host.Prompt == nil {
		host.Prompt = promptTerminal
	}
	if host.Now == nil {
		host.Now = time.Now
	}
	return &app{host: host, root: root, flags: newFlags()}
}

// flags are those that all commands have.
type flags struct {
	set *pflag.FlagSet

	url, user                 string
	passwordFile              string
	passwordStdin             bool
	insecure                  bool
	ca, thumbprint, cert, key string
	release, output           string
	sessionFile               string
	timeout                   time.Duration
	noKeep                    bool
}

func newFlags() *flags {
	f := &flags{set: pflag.NewFlagSet("client", pflag.ContinueOnError)}
	s := f.set
	s.StringVarP(&f.url, "url", "u", "", "server: https://host[:port] or unix:///path (VIGATE_URL, GOVC_URL)")
	s.StringVar(&f.user, "username", "", "user to log in as, or whose kept session to use (VIGATE_USERNAME, GOVC_USERNAME)")
	s.StringVar(&f.passwordFile, "password-file", "", "file with the password, - for standard input (else VIGATE_PASSWORD, GOVC_PASSWORD)")
	s.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	s.BoolVarP(&f.insecure, "insecure", "k", false, "trust any server (VIGATE_INSECURE, GOVC_INSECURE)")
	s.StringVar(&f.ca, "ca", "", "file with the certificates of the authorities to trust (VIGATE_CA, GOVC_TLS_CA_CERTS)")
	s.StringVar(&f.thumbprint, "thumbprint", "", "SHA-256 of the server's certificate, which is then trusted (VIGATE_THUMBPRINT)")
	s.StringVar(&f.cert, "cert", "", "file with the client certificate (VIGATE_CERTIFICATE, GOVC_CERTIFICATE)")
	s.StringVar(&f.key, "key", "", "file with its private key (VIGATE_PRIVATE_KEY, GOVC_PRIVATE_KEY)")
	s.StringVar(&f.release, "release", "", "release of the API, such as 8.0.1.0 (default: agreed on with the server)")
	s.StringVarP(&f.output, "output", "o", "table", "table for people, json for programs")
	s.StringVar(&f.sessionFile, "session-file", "", "file to keep the session in (VIGATE_SESSION_FILE; default: one per server and user)")
	s.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to wait for each answer")
	s.BoolVar(&f.noKeep, "no-keep", false, "don't keep a session that this command logs in for, but log out")
	return f
}

// action is what a command does. The job is connected to the server.
type action func(ctx context.Context, j *job) error

// command makes a command that calls the server.
func (a *app) command(use, short string, args cobra.PositionalArgs, do action) *cobra.Command {
	return a.bare(use, short, args, func(ctx context.Context, j *job) error {
		if err := j.connect(ctx); err != nil {
			return err
		}
		return j.finish(ctx, do(ctx, j))
	})
}

// bare makes a command that connects by itself.
func (a *app) bare(use, short string, args cobra.PositionalArgs, do action) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: checked(args),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := a.newJob(cmd, args)
			if err != nil {
				return err
			}
			return j.explainable(do(cmd.Context(), j))
		},
	}
}

// group makes a command that only has subcommands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: needSubcommand, ValidArgsFunction: cobra.NoFileCompletions}
	cmd.AddCommand(commands...)
	return cmd
}

func needSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage("%s needs a subcommand: see '%[1]s --help'", cmd.CommandPath())
	}
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean '" + strings.Join(similar, "' or '") + "'? "
	}
	return usage("unknown command %q: %ssee '%s --help'", args[0], hint, cmd.CommandPath())
}

// usageError is a mistake in how a command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// checked makes wrong arguments wrong usage.
func checked(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return usage("%w: usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// complete makes a completion of what list finds on the server, where a session
// is kept: completions never log in. several says whether the command takes more
// than one of them.
func (a *app) complete(several bool, list func(ctx context.Context, j *job) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// A shell waits for it at each stroke of the key.
		ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
		defer cancel()
		found, err := a.find(ctx, cmd, list)
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found = slices.DeleteFunc(found, func(s string) bool {
			value, _, _ := strings.Cut(s, "\t")
			return slices.Contains(args, value)
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) find(ctx context.Context, cmd *cobra.Command, list func(context.Context, *job) ([]string, error)) ([]string, error) {
	j, err := a.newJob(cmd, nil)
	if err != nil {
		return nil, err
	}
	j.silent = true
	if err := j.connect(ctx); err != nil {
		return nil, err
	}
	defer j.Close()
	if j.kept == nil {
		return nil, errors.New("no session is kept")
	}
	return list(ctx, j)
}

// warn tells what went wrong beside what the command was for.
func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "warning: "+clean(fmt.Sprintf(format, args...)))
}
