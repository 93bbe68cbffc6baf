// Command clocked is vigate's serve command with a clock that a test can set. The environment
// variable VIGATE_PROOF_CLOCK has the path of a file; the file says how far the clock is off. It
// takes the flags of vigate serve, and is for tests only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/shared"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "serve" {
		return errors.New("usage: clocked serve FLAG…")
	}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	var values []*config.FlagValue
	for _, k := range config.Keys() {
		v := k.FlagValue()
		values = append(values, v)
		flags.Var(v, k.Name, k.Help)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var given []config.Flag
	for _, v := range values {
		if f := v.Flag(); len(f.Values) > 0 {
			given = append(given, f)
		}
	}
	cfg, err := config.Load("", nil, given)
	if err != nil {
		return err
	}
	return serve.Run(ctx, cfg, serve.Terminal{
		Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, IsTerminal: func(io.Writer) bool { return false },
	}, serve.Options{Now: clock(os.Getenv("VIGATE_PROOF_CLOCK")), OpenStore: shared.Open})
}

// clock returns a clock that is off by the content of the file.
func clock(path string) func() time.Time {
	return func() time.Time {
		b, err := os.ReadFile(path)
		if err != nil {
			return time.Now() // the test has not set it yet
		}
		off, err := time.ParseDuration(strings.TrimSpace(string(b)))
		if err != nil {
			panic(err) // the test wrote it
		}
		return time.Now().Round(0).Add(off) // without the monotonic reading
	}
}
