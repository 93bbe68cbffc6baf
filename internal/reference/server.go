package reference

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vigate/vigate/internal/locale"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/setting/known"
	"github.com/vigate/vigate/internal/vim"
)

// Operations returns the page of the managed objects: their operations and properties.
func Operations(objects []*vim.Object) string {
	var b strings.Builder
	b.WriteString(head("Operations", `The managed objects that the server has itself, with their operations and
properties. Objects whose names begin with Vigate are additions to the API. A front has the objects of its upstream as
well.`))
	b.WriteString(`Besides the faults in the tables, an operation can answer with these:

- NotAuthenticated: there is no live session, and the privilege is not System.Anonymous.
- NoPermission: the session does not have the privilege. System.View is any role, System.Read any role that may read.
- InvalidRequest, InvalidArgument: the request can't be read, or an argument is wrong.
- ManagedObjectNotFound, MethodNotFound, InvalidProperty: there is no such object, operation or property.
- LimitExceeded: a bound of the session or of its user is reached.
- RequestCanceled: the client has gone, or the server shuts down.
- SystemError: an error of the server, whose cause is in the log only.
- 503 with Retry-After: a limit of sessions is reached, the server has too much to do, or its store can't be reached.
`)
	for _, o := range objects {
		b.WriteString("\n## " + o.Type + "\n\n")
		if len(o.Methods) > 0 {
			b.WriteString("| operation | result | privilege | faults | notes |\n|--|--|--|--|--|\n")
		}
		for _, m := range o.Methods {
			fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s |\n", m.Name, result(m.Result, m.Optional), m.Privilege,
				code(m.Faults...), cell(strings.Join(notes(o, m), "; ")))
		}
		if len(o.Methods) > 0 && len(o.Properties) > 0 {
			b.WriteString("\n")
		}
		if len(o.Properties) > 0 {
			b.WriteString("| property | type | privilege |\n|--|--|--|\n")
		}
		for _, p := range o.Properties {
			fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", p.Name, result(p.Type, p.Optional), p.Privilege)
		}
	}
	return b.String()
}

// notes says what is special about an operation.
func notes(o *vim.Object, m vim.Method) (all []string) {
	for _, n := range []struct {
		is   bool
		text string
	}{
		{m.Audited, "leaves an audit line"}, {m.Waits, "waits for a change"},
		{m.OwnSession, "every live session may call it"},
	} {
		if n.is {
			all = append(all, n.text)
		}
	}
	if d := Differs[o.Type+"."+m.Name]; d != "" {
		all = append(all, "**differs from vCenter:** "+d)
	}
	return all
}

// result returns the name of a type in the API.
func result(t reflect.Type, optional bool) string {
	if t == nil {
		return ""
	}
	name := "`" + typeName(t) + "`"
	if optional {
		name += " or unset"
	}
	return name
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "dateTime"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "base64Binary"
	case t.Kind() == reflect.Slice:
		return typeName(t.Elem()) + "[]"
	case t.Kind() == reflect.Interface:
		return cmp.Or(strings.TrimPrefix(t.Name(), "Base"), "anyType")
	case t.Name() == "bool":
		return "boolean"
	case t.Name() == "int32":
		return "int"
	case t.Name() == "int64":
		return "long"
	}
	return t.Name()
}

// Options returns the page of the options that clients may set.
func Options(all []setting.Definition) string {
	var b strings.Builder
	b.WriteString(head("Options", "What users with the privilege `Global.Settings` can change while the server runs, "+
		"by `vigate option set` or by OptionManager. The bounds hold for clients. The configuration may set other "+
		"values: [Running vigate](../operations.md) §3 explains its keys."))
	b.WriteString("| option | default | from | to | key | what |\n|--|--|--|--|--|--|\n")
	for _, d := range all {
		unit := ""
		if !d.Number {
			unit = " bytes"
		}
		fmt.Fprintf(&b, "| `%s` | `%v` | %d%s | %d%s | %s | %s |\n", d.Name, d.Default, d.Min, unit, d.Max, unit,
			code(known.Options[d.Name].Key), cell(d.Summary))
	}
	b.WriteString("\n" + paragraph("A time is a number in the unit that the table names, or a text with a unit, "+
		"such as `90s`. The empty text takes a change back."))
	return strings.TrimSpace(b.String()) + "\n"
}

// Events returns the page of the events that the server posts.
func Events() string {
	var b strings.Builder
	b.WriteString(head("Events", "What `EventManager` and `vigate event ls` show. The texts are in the language of "+
		"the session. Here they are in English. An event whose name begins with `vigate` is an `EventEx` with this "+
		"`eventTypeId`."))
	b.WriteString("| event | text |\n|--|--|\n")
	var names []string
	for _, key := range locale.Keys() {
		if name, ok := strings.CutPrefix(key, "event."); ok && name != "other" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		typ, id := name, ""
		if strings.HasPrefix(name, "vigate.") {
			typ, id = "EventEx", name
		}
		key, fields := locale.EventKey(typ, id)
		args := make([]any, len(fields))
		for i, f := range fields {
			args[i] = "{" + f + "}"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, cell(locale.Text(locale.Default, key, args...)))
	}
	return b.String()
}
