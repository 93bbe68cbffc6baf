// Command vigate is a session manager for the vSphere API: a server, and a
// command line for it and for any other server of the Virtual Infrastructure
// JSON API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/vigate/vigate/internal/cli"
)

func main() {
	// A second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := cli.Main(ctx, cli.System(), os.Args[1:], serveCommand(), openapiCommand())
	stop()
	os.Exit(code)
}
