package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/serve"
	"github.com/vigate/vigate/internal/serve/process"
)

// versionInfo is the output of 'vigate version -o json'.
type versionInfo struct {
	Version string `json:"version"`
	// Commit and the next two are left out if the program was built outside of its repository.
	Commit   string     `json:"commit,omitempty"`
	Modified bool       `json:"modified,omitempty"`
	Time     *time.Time `json:"time,omitempty"` // of the commit
	API      string     `json:"api"`            // latest release of the API
	Go       string     `json:"go"`
	Platform string     `json:"platform"`
}

func versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the commit that the program was built from",
		Long: `Print the version of the program, the commit that it was built from, the latest
release of the API that it knows, and the release of Go.

'vigate about' prints the version of a running server.`,
		Example:               "  vigate version -o json",
		Args:                  cobra.NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			switch v := versionOf(process.BuildOf()); output {
			case command.JSONFormat:
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				return enc.Encode(v)
			case command.TableFormat:
				fmt.Fprint(out, v)
				return nil
			}
			return command.Usage("--output must be %s or %s, not %q", command.TableFormat, command.JSONFormat, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", command.TableFormat, "output format: table or json")
	command.Choices(cmd, "output", command.TableFormat, command.JSONFormat)
	return cmd
}

func versionOf(b process.Build) versionInfo {
	v := versionInfo{
		Version: serve.Version, Commit: b.Commit, Modified: b.Changed, API: serve.Release, Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if !b.Time.IsZero() {
		v.Time = &b.Time
	}
	return v
}

// String returns the text for people.
func (v versionInfo) String() string {
	s := "vigate " + v.Version + "\n"
	if v.Commit != "" {
		s += "Commit:   " + v.Commit
		if v.Time != nil {
			s += " of " + v.Time.UTC().Format(time.DateOnly)
		}
		if v.Modified {
			s += ", with changes"
		}
		s += "\n"
	}
	return s + fmt.Sprintf("API:      %s\nGo:       %s\nPlatform: %s\n", v.API, v.Go, v.Platform)
}
