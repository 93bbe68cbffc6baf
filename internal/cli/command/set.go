// Package command contains what all commands that call a server share: settings from flags and
// environment variables, a connection with a saved session, input of secrets, output as a table or
// as JSON, and errors with hints.
//
// A [Set] belongs to one root command. It defines the common flags and makes commands with
// [Set.Connected] and [Set.Unconnected]. Each run of a command gets a [Run], which has the client,
// the arguments and the [Output]. A session that a command logs in for is saved in a file that only
// its owner can read, and later commands use it. [Explain] turns an error into a text for the user
// and an exit code.
//
// The package has no commands itself; those are in package cli. It calls servers only through
// package client.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Host provides what the commands need from the machine besides the input and output of the root
// command. A nil field means the real implementation.
type Host struct {
	// LookupEnv returns the value of an environment variable.
	LookupEnv func(name string) (string, bool)
	// Prompt asks for a secret without showing it on the terminal.
	Prompt func(ctx context.Context, prompt string) (string, error)
	// IsTerminal reports whether a stream of the root command is a terminal.
	IsTerminal func(stream any) bool
	// Now returns the current time.
	Now func() time.Time
}

// Set is what all commands under one root command share.
type Set struct {
	host  Host
	root  *cobra.Command
	flags *flags
	// formats are the output formats of the commands that have more than the others.
	formats map[*cobra.Command][]string
	// stdinUsed names what was read from standard input, which can be read only once.
	stdinUsed string
}

// New makes a Set for the root command and adds the common flags to it.
func New(root *cobra.Command, host Host) *Set {
	if host.LookupEnv == nil {
		host.LookupEnv = os.LookupEnv
	}
	if host.Prompt == nil {
		host.Prompt = promptTerminal
	}
	if host.IsTerminal == nil {
		host.IsTerminal = isTerminal
	}
	if host.Now == nil {
		host.Now = time.Now
	}
	return &Set{host: host, root: root, flags: newFlags(), formats: map[*cobra.Command][]string{}}
}

// flags are the flags that all commands have.
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
	s.StringVarP(&f.url, "url", "u", "", "URL of the server: https://host[:port] or unix:///path (VIGATE_URL, "+
		"GOVC_URL)")
	s.StringVar(&f.user, "username", "", "user to log in as, or whose saved session to use (VIGATE_USERNAME, "+
		"GOVC_USERNAME)")
	s.StringVar(&f.passwordFile, "password-file", "", "file that holds the password, - for standard input (default: "+
		"VIGATE_PASSWORD, GOVC_PASSWORD)")
	s.BoolVar(&f.passwordStdin, "password-stdin", false, "read the password from standard input")
	s.BoolVarP(&f.insecure, "insecure", "k", false, "accept any server certificate (VIGATE_INSECURE, GOVC_INSECURE)")
	s.StringVar(&f.ca, "ca", "", "PEM file of the certificate authorities to trust (VIGATE_CA, GOVC_TLS_CA_CERTS)")
	s.StringVar(&f.thumbprint, "thumbprint", "",
		"SHA-256 thumbprint of the server certificate to trust (VIGATE_THUMBPRINT)")
	s.StringVar(&f.cert, "cert", "", "PEM file of the client certificate (VIGATE_CERTIFICATE, GOVC_CERTIFICATE)")
	s.StringVar(&f.key, "key", "", "PEM file of its private key (VIGATE_PRIVATE_KEY, GOVC_PRIVATE_KEY)")
	s.StringVar(&f.release, "release", "", "release of the API, such as 8.0.1.0 (default: negotiated with the server)")
	s.StringVarP(&f.output, "output", "o", TableFormat, "output format: "+oneOf(usualFormats))
	s.StringVar(&f.sessionFile, "session-file", "", "file in which the session is saved (VIGATE_SESSION_FILE; "+
		"default: one file per server and user)")
	s.DurationVar(&f.timeout, "timeout", 30*time.Second, "time limit for each request")
	s.BoolVar(&f.noKeep, "no-keep", false, "if this command logs in, log out at its end instead of saving the session")
	return f
}

// The output formats that every command has.
const (
	TableFormat = "table"
	JSONFormat  = "json"
)

var usualFormats = []string{TableFormat, JSONFormat}

// Formats gives the command output formats besides table and json.
func (set *Set) Formats(cmd *cobra.Command, more ...string) {
	all := append(slices.Clone(usualFormats), more...)
	set.formats[cmd] = all
	// A flag of the command itself overrides an inherited flag of the same name.
	cmd.Flags().StringVarP(&set.flags.output, "output", "o", TableFormat, "output format: "+oneOf(all))
	Choices(cmd, "output", all...)
}

// oneOf returns the list as words for people: a, b or c.
func oneOf(all []string) string {
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// Choices makes the shell complete the values of a flag.
func Choices(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values,
		cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the command has no such flag
	}
}

// ExitCodes explains the exit codes in the help.
const ExitCodes = `Exit codes:
  0  success
  1  any other error
  2  wrong usage
  3  not logged in, or the login was refused
  4  no permission
  5  not found
  6  the server is unreachable, overloaded or not trusted`

// Flags returns the flags that all commands of the set have.
func (set *Set) Flags() *pflag.FlagSet { return set.flags.set }

// Action is the function of a command. If the command was made by Connected, the run has a client.
type Action func(ctx context.Context, r *Run) error

// Connected makes a command that calls the server. The run connects before do and ends its session
// after do if that is not saved.
func (set *Set) Connected(use, short string, args cobra.PositionalArgs, do Action) *cobra.Command {
	return set.Unconnected(use, short, args, func(ctx context.Context, r *Run) error {
		if err := r.connect(ctx); err != nil {
			return err
		}
		return r.finish(ctx, do(ctx, r))
	})
}

// Unconnected makes a command that connects to the server itself, or not at all.
func (set *Set) Unconnected(use, short string, args cobra.PositionalArgs, do Action) *cobra.Command {
	return set.command(use, short, args, do, set.newRun)
}

// Local makes a command that needs no server, not even the address of one.
func (set *Set) Local(use, short string, args cobra.PositionalArgs, do Action) *cobra.Command {
	return set.command(use, short, args, do, func(cmd *cobra.Command, args []string) (*Run, error) {
		return set.localRun(cmd, args, settings{})
	})
}

func (set *Set) command(
	use, short string, args cobra.PositionalArgs, do Action, run func(*cobra.Command, []string) (*Run, error),
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: checked(args),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := run(cmd, args)
			if err != nil {
				return err
			}
			return r.explainable(do(cmd.Context(), r))
		},
	}
}

// Group makes a command that has only subcommands.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: NeedSubcommand, ValidArgsFunction: cobra.NoFileCompletions}
	cmd.AddCommand(commands...)
	return cmd
}

// NeedSubcommand is the function of a command that has only subcommands. It is called if the name
// of the subcommand is missing or unknown, and returns a usage error.
func NeedSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return Usage("%s needs a subcommand; see '%[1]s --help'", cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = max(cmd.SuggestionsMinimumDistance, 2)
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = "did you mean '" + strings.Join(similar, "' or '") + "'? "
	}
	return Usage("unknown command %q: %ssee '%s --help'", args[0], hint, cmd.CommandPath())
}

// usageError is an error in the arguments or flags of a command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage returns an error for wrong arguments or flags. It has the exit code for wrong usage.
func Usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// checked returns a validator whose errors are usage errors.
func checked(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return Usage("%w; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

// Complete returns a shell completion for the values that list finds on the server. It needs a
// saved session, because a completion never logs in. several tells whether the command takes more
// than one value.
func (set *Set) Complete(several bool, list func(ctx context.Context, r *Run) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !several {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// The shell waits for the completion at each key press.
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

func (set *Set) find(
	ctx context.Context, cmd *cobra.Command, list func(context.Context, *Run) ([]string, error),
) ([]string, error) {
	r, err := set.newRun(cmd, nil)
	if err != nil {
		return nil, err
	}
	r.noLogin = true
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	defer r.Close()
	if r.currentSaved() == nil {
		return nil, errors.New("there is no saved session")
	}
	return list(ctx, r)
}

// warn prints a warning about a failure that does not make the command fail.
func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "warning: "+Clean(fmt.Sprintf(format, args...)))
}
