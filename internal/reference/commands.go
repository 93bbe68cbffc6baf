package reference

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands returns the page of all commands. common are the flags that all commands for a running server have.
// isKey reports whether a flag is a key of the configuration.
func Commands(root *cobra.Command, common *pflag.FlagSet, isKey func(flag string) bool) string {
	var b strings.Builder
	b.WriteString(head("Commands", "Each command tells the same by `--help`."))
	all := commands(root)
	b.WriteString("| command | what |\n|--|--|\n")
	for _, c := range all {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"),
			cell(c.Short))
	}
	_, codes, _ := strings.Cut(root.Long, "Exit codes:\n")
	b.WriteString("\n## Exit codes\n\n" + fence(codes))
	b.WriteString("\n## Flags of the commands for a running server\n\n" + fence(common.FlagUsagesWrapped(wide)))
	for _, c := range all {
		b.WriteString("\n## " + c.CommandPath() + "\n\n" + fence(help(c, common, isKey)))
	}
	return b.String()
}

// wide is the number of columns of descriptions of flags.
const wide = 110

// commands returns the commands that do something, in the order of their names.
func commands(root *cobra.Command) (all []*cobra.Command) {
	for _, c := range root.Commands() {
		switch {
		case c.HasSubCommands():
			all = append(all, commands(c)...)
		case c.IsAvailableCommand():
			all = append(all, c)
		}
	}
	return all
}

// help is the help of a command, without the flags that are explained elsewhere.
func help(c *cobra.Command, common *pflag.FlagSet, isKey func(flag string) bool) string {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	text += "\n\nUsage:\n  " + c.UseLine() + "\n"
	if c.Example != "" {
		text += "\nExamples:\n" + c.Example + "\n"
	}
	flags, keys := pflag.NewFlagSet(c.Name(), pflag.ContinueOnError), 0
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Name == "help", f == common.Lookup(f.Name):
		case isKey(f.Name) && (f.Name != "data" || c.Flags().Lookup("config") != nil):
			keys++
		default:
			flags.AddFlag(f)
		}
	})
	if flags.HasFlags() {
		text += "\nFlags:\n" + flags.FlagUsagesWrapped(wide)
	}
	if keys > 0 {
		text += "\nFurther flags are keys of the configuration: see docs/operations.md §3.\n"
	}
	return text
}
