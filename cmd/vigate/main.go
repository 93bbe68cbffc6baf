// Command vigate is a session manager for the vSphere API. It is one program that contains the
// server and a command line. The command line works with this server and with any other server of
// the Virtual Infrastructure JSON API.
//
// This package has the commands serve, config, store, openapi, ready and version, which run the server, work
// on its data or check it. Package serve assembles the server, and package cli has the commands for a running
// server. With the build tag man, the program writes the man pages instead.
package main

import (
	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli"
	"github.com/vigate/vigate/internal/serve"
)

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "vigate",
		Short: "A session manager for the vSphere API",
		Long: "A session manager for the vSphere API: a server, and a command line for this\n" +
			"and any other server of the Virtual Infrastructure JSON API.",
		Version: serve.Version,
	}
	root.AddCommand(serveCommand(), configCommand(), storeCommand(), openapiCommand(), readyCommand(),
		versionCommand())
	cli.AddTo(root, cli.Host{})
	return root
}
