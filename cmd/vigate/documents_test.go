package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	blockForm = regexp.MustCompile("(?s)\n *```sh[^\n]*\n(.*?)```")
	spanForm  = regexp.MustCompile("`(vigate [a-z][^`]*)`")
	lineForm  = regexp.MustCompile(`(?m)^\s*(vigate [a-z][^#\n]*)`)
)

func TestTheDocumentsShowCommandsAndFlagsThatAreThere(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, m := range spanForm.FindAllStringSubmatch(string(text), -1) {
			lines = append(lines, m[1])
		}
		for _, block := range blockForm.FindAllStringSubmatch(string(text), -1) {
			for _, m := range lineForm.FindAllStringSubmatch(block[1], -1) {
				lines = append(lines, m[1])
			}
		}
		for _, line := range lines {
			shown++
			if wrong := wrongIn(strings.Fields(line)[1:]); wrong != "" {
				t.Errorf("%s shows %q: %s", filepath.Base(page), line, wrong)
			}
		}
	}
	if shown < 80 {
		t.Errorf("only %d commands were found", shown)
	}
}

// wrongIn says what the program does not have of a command line, or nothing.
func wrongIn(args []string) string {
	c, rest, err := rootCommand().Find(args)
	if err != nil {
		return err.Error()
	}
	for i, arg := range rest {
		name, long := strings.CutPrefix(arg, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case arg == "--" || arg == "|" || arg == ">":
			return ""
		case i == 0 && c.HasSubCommands() && !strings.HasPrefix(arg, "-"):
			return "there is no command " + arg
		case long && c.Flags().Lookup(name) == nil && c.InheritedFlags().Lookup(name) == nil && name != "help":
			return "there is no flag " + arg
		}
	}
	return ""
}
