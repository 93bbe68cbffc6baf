//go:build !man

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/vigate/vigate/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	code := cli.Execute(ctx, rootCommand(), os.Args[1:])
	stop()
	os.Exit(code)
}
