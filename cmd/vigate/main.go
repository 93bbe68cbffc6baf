// Command vigate is a session manager for the vSphere API: a server, and a
// command line for it and for any other server of the Virtual Infrastructure
// JSON API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := cli.Execute(ctx, rootCommand(), os.Args[1:])
	stop()
	os.Exit(code)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "vigate",
		Short:   "A session manager for the vSphere API",
		Long:    "A session manager for the vSphere API: the server, and a command line for\nit and for any other server of the Virtual Infrastructure JSON API.",
		Version: serve.Version,
	}
	root.AddCommand(serveCommand(), storeCommand(), openapiCommand())
	cli.AddTo(root, cli.Host{})
	return root
}
