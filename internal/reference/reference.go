// Package reference makes the pages of docs/reference from the program: its commands, and the operations, options,
// events and paths of the server. So a page can't contradict the program.
//
// Each function returns one page in Markdown. Tests compare the pages with the files, and write the files if they are
// run with -update. The package describes what the tables of the program have. Facts that the program's tables lack,
// such as differences to vCenter, are in tables of this package. Tests check that the names in these tables exist.
package reference

import "strings"

// head returns the beginning of a page.
func head(title, about string) string {
	return "# " + title + "\n\n" + paragraph(about+" This page is made from the program by `make reference`.")
}

// columns is the width of a line of a document.
const columns = 120

// paragraph returns a text in lines, with an empty line at the end.
func paragraph(text string) string {
	var b strings.Builder
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > columns {
			b.WriteString(line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n\n"
}

// cell returns a text as a cell of a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// code returns names as code, with commas between them.
func code(names ...string) string {
	var all []string
	for _, n := range names {
		if n != "" {
			all = append(all, "`"+n+"`")
		}
	}
	return strings.Join(all, ", ")
}

// fence returns a text as a block of its own.
func fence(text string) string {
	return "```text\n" + strings.TrimRight(text, "\n") + "\n```\n"
}
