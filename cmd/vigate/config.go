package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/upstream"
	"github.com/vigate/vigate/internal/upstream/note"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, show and explain the configuration of a server",
		Args:  cobra.ArbitraryArgs,
		RunE:  command.NeedSubcommand,
	}
	cmd.AddCommand(configCheckCommand(), configShowCommand(), configExampleCommand())
	return cmd
}

// fileArgument takes the path of the configuration file as an argument, which may be missing.
func (in *inputs) fileArgument(args []string) {
	in.partial = true
	if len(args) > 0 {
		in.file = args[0]
	}
}

func configCheckCommand() *cobra.Command {
	var in inputs
	var offline bool
	cmd := &cobra.Command{
		Use:   "check [FILE] [flags]",
		Short: "Check a configuration file and try its identity sources and upstreams",
		Long: `Check the configuration that 'vigate serve --config FILE' would have, with the
same environment and flags. Only the data directory may be missing.

Every mistake is printed on a line of its own, with its place, and the exit code
is 2. That includes mistakes in the files that the configuration names. A
warning, such as that everybody can read a file with a secret, is printed as the
server would log it, and does not change the exit code.

Without a mistake, each identity source is tried: keys, certificates and servers
are read, and service accounts log in. For each source, one line says what it is
for, and the next line what it answered. If a source fails, the exit code is 1.
No user logs in, and nothing is changed.

Each upstream is tried, too: its certificate, its version, and a login with each
account, which is logged out again. A wrong password is a failed login at the
upstream, and too many of them lock the user out there. So a user is tried once
in a run, and not again once two logins have failed within 15 minutes; a server
counts its own. Use --offline to try nothing.`,
		Example:               "  vigate config check /etc/vigate/vigate.yaml",
		Args:                  cobra.MaximumNArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			in.fileArgument(args)
			logger := warnings(cmd.ErrOrStderr())
			c, err := in.check(logger)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: no mistakes\n", command.Clean(cmp.Or(in.path(), config.CommandLine)))
			if offline {
				return nil
			}
			known := readAttempts(os.LookupEnv)
			return errors.Join(tryIdentity(cmd.Context(), out, c.identity, logger),
				tryUpstreams(cmd.Context(), out, c.upstreams, known.book), known.save())
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not connect to the identity sources and upstreams")
	in.defineKeys(cmd)
	return cmd
}

func configShowCommand() *cobra.Command {
	var in inputs
	cmd := &cobra.Command{
		Use:   "show [FILE] [flags]",
		Short: "Show the configuration in force, and where each value comes from",
		Long: `Show the configuration that 'vigate serve --config FILE' would have, with the
same environment and flags. The output is a configuration file itself. A comment
after each value says where it comes from: a line of the file, an environment
variable, a flag, or the default.

Passwords and keys are in files of their own. Only the paths of these are shown.
Options that clients have set with 'vigate option set' are in the store and not
shown here: see 'vigate option ls'.`,
		Example: "  vigate config show /etc/vigate/vigate.yaml\n" +
			"  " + config.Prefix + "MAX_SESSIONS=5000 vigate config show --idle-timeout 1h",
		Args:                  cobra.MaximumNArgs(1),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			in.fileArgument(args)
			c, err := in.load()
			if err != nil {
				return err
			}
			text, err := c.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	in.defineKeys(cmd)
	return cmd
}

func configExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration file with all keys, explained and commented out",
		Example: "  vigate config example > vigate.yaml\n" +
			"  vigate config check vigate.yaml",
		Args:                  cobra.NoArgs,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Example(sectionExamples))
			return err
		},
	}
}

// tryUpstreams prints what each upstream answers.
func tryUpstreams(ctx context.Context, out io.Writer, all []upstream.Config, book *note.Book) error {
	opened, err := openUpstreams(all, book, slog.New(slog.DiscardHandler)) // the results are printed
	if err != nil {
		return err
	}
	failed, refused := 0, false
	for _, u := range opened {
		bad := false
		fmt.Fprintf(out, "upstreams.%s\n", command.Clean(u.Name()))
		for _, f := range u.Test(ctx) {
			result := "ok: " + f.Found
			if f.Err != nil {
				bad = true
				refused = refused || errors.Is(f.Err, upstream.ErrRejected) || errors.Is(f.Err, upstream.ErrUntried)
				result = "FAILED: " + f.Err.Error()
			}
			fmt.Fprintf(out, "  %s: %s\n", command.Clean(f.Subject), command.Clean(result))
		}
		if bad {
			failed++
		}
		// The test has logged out again. If a logout failed, the next start of the server reports
		// the session.
		_ = u.Drain(ctx)
	}
	if refused {
		fmt.Fprintf(out, "Each try with a wrong password is a failed login of the user at the upstream, which may "+
			"lock the user out.\nAfter %d of them, this command does not try the user again for %v.\n",
			maxAttempts, note.Window)
	}
	if failed > 0 {
		return fmt.Errorf("%d of the upstreams failed", failed)
	}
	return nil
}

// tryIdentity prints what each identity source answers.
func tryIdentity(ctx context.Context, out io.Writer, c identity.Config, logger *slog.Logger) error {
	failed := 0
	for _, f := range identity.Try(ctx, c, logger) {
		result := "ok: " + f.Found
		if f.Err != nil {
			failed++
			result = "FAILED: " + f.Err.Error()
		}
		fmt.Fprintf(out, "identity.%s\n  %s\n", command.Clean(f.Source), command.Clean(result))
	}
	if failed > 0 {
		return fmt.Errorf("%d of the identity sources failed", failed)
	}
	return nil
}

// warnings returns a logger that prints warnings and errors as a server logs them, without the time. It prints each
// line once, because a file may be read several times.
func warnings(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(&once{w, map[string]bool{}}, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// once is a writer of lines that leaves out those that it has written before. Its one user, the handler of a log,
// writes one line at a time.
type once struct {
	io.Writer
	seen map[string]bool
}

func (o *once) Write(line []byte) (int, error) {
	if o.seen[string(line)] {
		return len(line), nil
	}
	o.seen[string(line)] = true
	return o.Writer.Write(line)
}

// sectionExamples are the sections of the file, for 'vigate config example'.
const sectionExamples = `# Users of other sources than this server: docs/identity.md has all keys.
#identity:
#  ldap:
#  - domain: corp.example
#    servers: ["ldaps://dc1.corp.example"]
#    bind-dn: cn=vigate,ou=services,dc=corp,dc=example
#    bind-password-file: /etc/vigate/ldap-password
#    user-base: ou=people,dc=corp,dc=example
#    user-filter: (uid={name})
#  oidc:
#  - issuer: https://login.corp.example/
#    audience: vigate
#    domain: oidc.corp.example

# Servers behind this one: docs/gateway.md has all keys.
#upstreams:
#- name: vc1
#  url: https://vc1.corp.example/sdk
#  listen: 0.0.0.0:8443
#  accounts:
#  - name: shared
#    username: svc-vigate@corp.example
#    password-file: /etc/vigate/vc1-password
`
