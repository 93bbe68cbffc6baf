// Command vigate is a session manager for the vSphere API. It is one program that contains the
// server and a command line. The command line works with this server and with any other server of
// the Virtual Infrastructure JSON API.
//
// This package has the commands serve, config, store and openapi, which run the server or work on its data.
// Package serve assembles the server, and package cli has the commands for a running server.
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
	// After the first signal, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	code := cli.Execute(ctx, rootCommand(), os.Args[1:])
	stop()
	os.Exit(code)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "vigate",
		Short: "A session manager for the vSphere API",
		Long: "A session manager for the vSphere API: a server, and a command line for this\n" +
			"and any other server of the Virtual Infrastructure JSON API.",
		Version: serve.Version,
	}
	root.AddCommand(serveCommand(), configCommand(), storeCommand(), openapiCommand())
	cli.AddTo(root, cli.Host{})
	return root
}
