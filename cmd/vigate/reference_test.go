package main

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/config"
	"github.com/vigate/vigate/internal/reference"
	"github.com/vigate/vigate/internal/vijson"
)

// update writes the page instead of comparing it. make reference sets it.
var update = flag.Bool("update", false, "write the page of the commands in docs/reference")

func TestThePageOfTheCommandsIsThatOfTheProgram(t *testing.T) {
	isKey := func(name string) bool {
		return slices.ContainsFunc(config.Keys(), func(k config.Key) bool { return k.Name == name })
	}
	root := rootCommand()
	whoami, _, err := root.Find([]string{"whoami"})
	if err != nil {
		t.Fatal(err)
	}
	want := reference.Commands(root, whoami.PersistentFlags(), isKey)
	path := filepath.Join("..", "..", "docs", "reference", "commands.md")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("the page is not what the program says: run make reference; %v", err)
	}
}

// leaves returns the commands that do something.
func leaves(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		all = append(all, leaves(sub)...)
	}
	if !c.HasSubCommands() {
		all = append(all, c)
	}
	return all
}

// split splits a line as a shell does, as far as the examples need it.
func split(line string) (words []string) {
	quoted := false
	for _, part := range strings.Split(line, "'") {
		if quoted {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
		quoted = !quoted
	}
	return words
}

func TestEveryCommandHasAnExampleThatItTakes(t *testing.T) {
	for _, c := range leaves(rootCommand()) {
		own := false
		for line := range strings.Lines(c.Example) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			for part := range strings.SplitSeq(line, " | ") {
				part, _, _ = strings.Cut(part, " > ")
				words := split(part)
				for len(words) > 0 && strings.Contains(words[0], "=") {
					words = words[1:] // a variable
				}
				if len(words) == 0 || words[0] != "vigate" {
					continue // another program
				}
				found, err := takes(words[1:])
				// The terminal of a test can't be asked.
				if err != nil && !strings.Contains(err.Error(), "there is no terminal") {
					t.Errorf("%s: %q: %v", c.CommandPath(), line, err)
				}
				own = own || found == c.CommandPath()
			}
		}
		if !own {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
}

// takes reads a command line without running it, and returns which command it is.
func takes(args []string) (string, error) {
	root := rootCommand()
	root.SetOut(io.Discard)
	c, rest, err := root.Find(args)
	if err != nil {
		return "", err
	}
	if err := c.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
		return "", err
	}
	if c.Args == nil {
		return c.CommandPath(), nil
	}
	return c.CommandPath(), c.Args(c, c.Flags().Args())
}

func TestThePathsOfTheReferenceAreServed(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), withAdmin)
	c := httpClient(t)
	const manager = "8.0.1.0/SessionManager/SessionManager/"
	row := map[string]string{http.MethodGet: "currentSession", http.MethodPost: "Login"}
	for _, p := range reference.Served {
		base := r.tls
		if p.Listener == "admin" {
			base = "http://" + r.Addr("admin").String()
		}
		for method := range strings.SplitSeq(p.Methods, ", ") {
			path := strings.NewReplacer("{release}/{type}/{id}/{name}", manager+row[method], "{release}", "8.0.1.0",
				vijson.HelloPath, vijson.HelloPath+"?action=hello").Replace(p.Path)
			req, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			w, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			w.Body.Close()
			if w.StatusCode == http.StatusNotFound || w.StatusCode == http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, p.Path, w.StatusCode)
			}
		}
	}
}

// The exit codes of the page are those of the errors.
func TestTheExitCodesAreExplained(t *testing.T) {
	for code, err := range map[string]error{
		"2": command.Usage("x"), "5": command.NotFound("x"),
	} {
		if _, got := command.Explain(err); !strings.Contains(command.ExitCodes, "\n  "+code+"  ") ||
			string(rune('0'+got)) != code {
			t.Errorf("%v has the exit code %d, want %s", err, got, code)
		}
	}
}
