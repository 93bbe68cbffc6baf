// Package command is what every command for a running server needs: its
// settings from flags and environment, a connection with the session that is
// kept between commands, input of secrets, output as table or JSON, and errors
// that say what to do.
package command

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

// Set is what the commands of one root share.
type Set struct {
	host  Host
	root  *cobra.Command
	flags *flags
	// stdinUsed names what has read the standard input, which can be read once.
	stdinUsed string
}

// New makes the commands' common part.
func New(root *cobra.Command, host Host) *Set {
	if host.LookupEnv == nil {
		host.LookupEnv = lookupEnv
	}
	if host.Prompt == nil {
		host.Prompt = promptTerminal
	}
	if host.Now == nil {
		host.Now = time.Now
	}
	return &Set{host: host, root: root, flags: newFlags()}
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

// ExitCodes tells in the help what the exit codes mean.
const ExitCodes = `Exit codes:
  0  done
  1  any other error
  2  wrong usage
  3  not logged in, or the login was refused
  4  no permission
  5  not found
  6  the server can't be reached, is overloaded, or is not trusted`

// Flags are those that all commands of the set have.
func (set *Set) Flags() *pflag.FlagSet { return set.flags.set }

// Action is what a command does. A run of Connected has a client.
type Action func(ctx context.Context, r *Run) error

// Connected makes a command that calls the server.
func (set *Set) Connected(use, short string, args cobra.PositionalArgs, do Action) *cobra.Command {
	return set.Bare(use, short, args, func(ctx context.Context, r *Run) error {
		if err := r.connect(ctx); err != nil {
			return err
		}
		return r.finish(ctx, do(ctx, r))
	})
}

// Bare makes a command that connects by itself.
func (set *Set) Bare(use, short string, args cobra.PositionalArgs, do Action) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: checked(args),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := set.newRun(cmd, args)
			if err != nil {
				return err
			}
			return r.explainable(do(cmd.Context(), r))
		},
	}
}

// Group makes a command that only has subcommands.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: NeedSubcommand, ValidArgsFunction: cobra.NoFileCompletions}
	cmd.AddCommand(commands...)
	return cmd
}

// NeedSubcommand is the run of a command that only has subcommands: the name of
// none of them, or no name, is wrong usage.
func NeedSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return Usage("%s needs a subcommand: see '%[1]s --help'", cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = max(cmd.SuggestionsMinimumDistance, 2)
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean '" + strings.Join(similar, "' or '") + "'? "
	}
	return Usage("unknown command %q: %ssee '%s --help'", args[0], hint, cmd.CommandPath())
}

// usageError is a mistake in how a command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes an error of a mistake in how a command was called.
func Usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// checked makes wrong arguments wrong usage.
func checked(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return Usage("%w: usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// Complete makes a completion of what list finds on the server, where a session
// is kept: completions never log in. several says whether the command takes more
// than one of them.
func (set *Set) Complete(several bool, list func(ctx context.Context, r *Run) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// A shell waits for it at each stroke of the key.
		ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
		defer cancel()
		found, err := set.find(ctx, cmd, list)
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

func (set *Set) find(ctx context.Context, cmd *cobra.Command, list func(context.Context, *Run) ([]string, error)) ([]string, error) {
	r, err := set.newRun(cmd, nil)
	if err != nil {
		return nil, err
	}
	r.silent = true
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	defer r.Close()
	if r.keptNow() == nil {
		return nil, errors.New("no session is kept")
	}
	return list(ctx, r)
}

// warn tells what went wrong beside what the command was for.
func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "warning: "+Clean(fmt.Sprintf(format, args...)))
}
