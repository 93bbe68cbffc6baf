// Command vigate-lab is vigate in front of govmomi's simulator of a vCenter or an ESXi host, in one process. It
// has users to try, and prints what to paste for several clients. Nothing is kept when it ends.
//
// The inventory is the simulator's; sessions, passwords, limits and tickets are vigate's. Package lab assembles
// both. The command vigate does not contain the simulator.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vigate-lab:", err)
		os.Exit(1)
	}
}
