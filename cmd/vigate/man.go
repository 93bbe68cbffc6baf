//go:build man

package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/vigate/vigate/internal/serve"
)

// This program, which is built with the tag man, writes the man pages of all commands into the directory
// of its first argument. The pages have the time of the environment variable SOURCE_DATE_EPOCH. The
// generator is not part of the binary.
func main() {
	if err := writePages(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vigate man pages:", err)
		os.Exit(1)
	}
}

func writePages(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want a directory, have %d arguments", len(args))
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
	}
	date := time.Unix(epoch, 0).UTC()
	root := rootCommand()
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	return doc.GenManTree(root, &doc.GenManHeader{
		Section: "1", Date: &date, Source: "vigate " + serve.Version, Manual: "vigate",
	}, args[0])
}
