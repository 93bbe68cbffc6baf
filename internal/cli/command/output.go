package command

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	vimjson "github.com/vmware/govmomi/vim25/json"
	"github.com/vmware/govmomi/vim25/types"
)

// Output writes a command's result to standard output, either as a table or as JSON.
type Output struct {
	w io.Writer
	// Format is the format that the user chose.
	Format string
	// JSON selects JSON for programs instead of a table for people.
	JSON bool
	now  func() time.Time
}

// Table holds the rows of a table for people.
type Table struct {
	Header []string // nil if the table is a list of names and values
	Rows   [][]string
}

// Add appends a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Show writes v as JSON, or the table that people returns.
func (o Output) Show(v any, people func() *Table) error {
	if o.JSON {
		return o.Encode(v, "  ")
	}
	return o.Table(people())
}

// Text writes a text, such as a message of the server. As JSON it is a string.
func (o Output) Text(s string) error {
	if o.JSON {
		return o.Encode(s, "")
	}
	_, err := fmt.Fprintln(o.w, cleanText(s))
	return err
}

// Line writes a line unchanged, in both formats.
func (o Output) Line(s string) error {
	_, err := fmt.Fprintln(o.w, Clean(s))
	return err
}

// Texts writes a list of texts, one per line. As JSON it is a list.
func (o Output) Texts(list []string) error {
	return o.Show(list, func() *Table {
		t := &Table{}
		for _, s := range list {
			t.Add(s)
		}
		return t
	})
}

// Table writes the table with aligned columns.
func (o Output) Table(t *Table) error {
	w := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	rows := t.Rows
	if t.Header != nil {
		rows = append([][]string{t.Header}, rows...)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = Clean(cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// CSV writes the table as comma-separated values, with its header as the first line. A text that a program
// for spreadsheets would take for a formula gets an apostrophe before it.
func (o Output) CSV(t *Table) error {
	w := csv.NewWriter(o.w)
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cells[i] = Clean(cell); strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "+") ||
				strings.HasPrefix(cell, "-") || strings.HasPrefix(cell, "@") {
				cells[i] = "'" + cells[i]
			}
		}
		if err := w.Write(cells); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	w.Flush()
	return w.Error()
}

// Encode writes v in the JSON of the API: objects have their _typeName, and an empty list is [].
func (o Output) Encode(v any, indent string) error {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		v = []string{}
	}
	var buf bytes.Buffer
	e := vimjson.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	e.SetDiscriminator("_typeName", "_value", vimjson.DiscriminatorEncodeTypeNameAllObjects)
	e.SetTypeToDiscriminatorFunc(func(t reflect.Type) string {
		if at := t.PkgPath(); at != "" && at != reflect.TypeFor[types.UserSession]().PkgPath() {
			return "" // not an object of the API
		}
		return types.VmomiTypeName(t)
	})
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if _, err := o.w.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// Clean replaces all characters that could control a terminal, so that the text fits on one line.
// Texts such as user agents and user names come from other clients and can't be trusted.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// isPlain reports whether a text has only characters of ASCII that control nothing, as nearly all texts do.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cleanText does the same as Clean for a text of several lines.
func cleanText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Clean(line)
	}
	return strings.Join(lines, "\n")
}

// Moment formats a time in UTC, with a precision of seconds.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// Age formats the time that has passed since t, in its two largest units.
func (o Output) Age(t time.Time) string {
	return Span(o.now().Sub(t))
}

// Span formats a time in its two largest units. A negative one is shown as none.
func Span(d time.Duration) string {
	d = max(0, d).Truncate(time.Second)
	switch {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func YesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
