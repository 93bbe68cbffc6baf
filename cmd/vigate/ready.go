package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
)

const (
	// readyWithin is how long a server may take to say whether it is ready.
	readyWithin = 5 * time.Second
	// maxReason limits the text of a refusal, in bytes.
	maxReason = 1 << 10
)

func readyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ready [URL]",
		Short: "Find out whether a server can do its work",
		Long: `Ask the server's /readyz whether it can do its work: for the health checks of containers and
for scripts that wait for a server. The URL is that of any listener of the server or of a front;
without it, it is https://127.0.0.1:8989.

The server's certificate is not verified, because the command sends nothing that is secret. So
don't conclude from its result that the URL leads to the right server.

If the server is not ready or does not answer within 5 seconds, the exit code is 6.`,
		Example: "  vigate ready https://127.0.0.1:443",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			target := "https://127.0.0.1:8989"
			if len(args) == 1 {
				target = args[0]
			}
			u, err := url.Parse(target)
			if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
				return command.Usage("the URL must be like https://HOST:PORT")
			}
			if err := askReady(cmd.Context(), u.Scheme+"://"+u.Host); err != nil {
				return command.WithExitCode(fmt.Errorf("%s is not ready: %w", u.Host, err), command.ExitUnavailable)
			}
			return nil
		},
	}
}

// askReady returns nil if the server says that it is ready.
func askReady(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // see the help
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(r) // a redirect is no answer of a server of ours
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	reason, err := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %s", resp.Status, cmp.Or(strings.TrimSpace(string(reason)), "no reason given"))
}
