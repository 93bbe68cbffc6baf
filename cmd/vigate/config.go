package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/identity"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/upstream"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file",
		Args:  cobra.ArbitraryArgs,
		RunE:  command.NeedSubcommand,
	}
	cmd.AddCommand(configCheckCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file and try its identity sources and upstreams",
		Long: `Check a configuration file, and try each identity source and upstream in it.

Every mistake in the file is printed on a line of its own, with its place, and
the exit code is 2. Without a mistake, each identity source is tried: keys,
certificates and servers are read, and service accounts log in. For each source,
one line says what it is for, and the next line what it answered. If a source
fails, the exit code is 1. No user logs in, and nothing is changed.

Each upstream is tried, too: its certificate, its version, and a login with each
account, which is logged out again.`,
		Example: "  vigate config check /etc/vigate/vigate.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := checkConfig(args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s: no mistakes\n", command.Clean(args[0]))
			if offline {
				return nil
			}
			return errors.Join(tryIdentity(cmd.Context(), out, c.identity),
				tryUpstreams(cmd.Context(), out, c.upstreams))
		},
	}
	cmd.Flags().BoolVar(&offline, "offline", false, "do not connect to the identity sources and upstreams")
	return cmd
}

// checkConfig reads a configuration file and the files that it names. The data directory may be
// missing in it, because it is often given on the command line.
func checkConfig(file string) (configuration, error) {
	c, err := loadConfig(file, nil)
	if err != nil && needsData(err) {
		c, err = loadConfig(file, []config.Flag{{Name: "data", Values: []string{"."}}})
	}
	var all []error
	if err != nil {
		all = command.Mistakes(err)
		if _, ok := errors.AsType[*config.Error](all[0]); !ok {
			return c, err // there is no such file
		}
	}
	// Mistakes in the files that the section names are reported together with those in the section.
	sources, err := identity.Open(c.identity, nil, nil)
	if err == nil {
		sources.Close()
	} else {
		all = append(all, command.Mistakes(command.Mistaken(err))...)
	}
	var sound []upstream.Config
	for _, u := range c.upstreams {
		if len(u.Check()) == 0 {
			sound = append(sound, u)
		}
	}
	if _, err := openUpstreams(sound); err != nil {
		all = append(all, command.Mistakes(command.Mistaken(err))...)
	}
	if len(all) > 0 {
		return c, command.Mistaken(errors.Join(all...))
	}
	return c, nil
}

// openUpstreams opens the upstreams, which reads the files that they name. It sends nothing. The error joins all
// mistakes.
func openUpstreams(all []upstream.Config) ([]*upstream.Upstream, error) {
	opened, errs := make([]*upstream.Upstream, len(all)), make([]error, len(all))
	for i, c := range all {
		opened[i], errs[i] = upstream.Open(c, upstream.Options{
			Version: serve.Version, Logger: slog.New(slog.DiscardHandler),
		})
	}
	return opened, errors.Join(errs...)
}

// tryUpstreams prints what each upstream answers.
func tryUpstreams(ctx context.Context, out io.Writer, all []upstream.Config) error {
	opened, err := openUpstreams(all)
	if err != nil {
		return err
	}
	failed := 0
	for _, u := range opened {
		bad := false
		fmt.Fprintf(out, "upstreams.%s\n", command.Clean(u.Name()))
		for _, f := range u.Test(ctx) {
			result := "ok: " + f.Found
			if f.Err != nil {
				bad = true
				result = "FAILED: " + f.Err.Error()
			}
			fmt.Fprintf(out, "  %s: %s\n", command.Clean(f.Subject), command.Clean(result))
		}
		if bad {
			failed++
		}
		// The test has logged out again. What failed to is reported by the server's next start.
		_ = u.Drain(ctx)
	}
	if failed > 0 {
		return fmt.Errorf("%d of the upstreams failed", failed)
	}
	return nil
}

// needsData reports whether the absence of the data directory is one of the mistakes.
func needsData(err error) bool {
	for _, e := range command.Mistakes(err) {
		if mistake, ok := errors.AsType[*config.Error](e); ok && mistake.Key == "data" && mistake.From == "default" {
			return true
		}
	}
	return false
}

// tryIdentity prints what each identity source answers.
func tryIdentity(ctx context.Context, out io.Writer, c identity.Config) error {
	failed := 0
	for _, f := range identity.Try(ctx, c) {
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
