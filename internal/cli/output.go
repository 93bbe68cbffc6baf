package cli

import (
	"bytes"
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

// output is where a command's result goes, and in which form.
type output struct {
	w    io.Writer
	json bool
	now  func() time.Time
}

// table is rows for people.
type table struct {
	header []string // nil: the first column names the second
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// show writes v as JSON or what table makes of it for people.
func (o output) show(v any, people func() *table) error {
	if o.json {
		return o.encode(v, "  ")
	}
	return o.table(people())
}

// text writes a text, which is the whole of what was asked for.
func (o output) text(s string) error {
	if o.json {
		return o.encode(s, "")
	}
	_, err := fmt.Fprintln(o.w, cleanText(s))
	return err
}

// texts writes texts, one on a line.
func (o output) texts(list []string) error {
	return o.show(list, func() *table {
		t := &table{}
		for _, s := range list {
			t.add(s)
		}
		return t
	})
}

func (o output) table(t *table) error {
	w := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', 0)
	rows := t.rows
	if t.header != nil {
		rows = append([][]string{t.header}, rows...)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean(cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// encode writes v in the API's JSON: objects of the API carry their type's name,
// lists are lists, and one that is empty is [].
func (o output) encode(v any, indent string) error {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		v = []string{}
	}
	var buf bytes.Buffer
	e := vimjson.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	e.SetDiscriminator("_typeName", "_value", vimjson.DiscriminatorEncodeTypeNameAllObjects)
	e.SetTypeToDiscriminatorFunc(func(t reflect.Type) string {
		if t.PkgPath() == reflect.TypeFor[output]().PkgPath() {
			return ""
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

// clean makes a text fit for one line of a terminal. A user agent or a user name
// is whatever its client sent, and must not steer the terminal.
func clean(s string) string {
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

// cleanText is clean for a text of several lines.
func cleanText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

// moment shows a time in UTC, to the second.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// age shows how long ago a time was, in the two largest units.
func (o output) age(t time.Time) string {
	d := max(0, o.now().Sub(t)).Truncate(time.Second)
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

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
