// Package settings is the section of the console that shows the options of the server and changes them. The options,
// their texts, bounds and defaults come from the properties of OptionManager; their units and their keys of the
// configuration come from package known.
//
// Each option has a form of its own. The server decides whether a value is within its bounds; if not, the page shows
// the fault beside the typed text.
package settings

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/console"
	"github.com/vigate/vigate/internal/console/page"
	"github.com/vigate/vigate/internal/setting/known"
)

//go:embed templates
var templates embed.FS

const (
	path        = console.Root + "settings"
	managerType = "OptionManager"
)

// The rows that the section uses.
var (
	listRow = console.Row{Type: managerType, Name: "supportedOption"}
	setRow  = console.Row{Type: managerType, Name: "UpdateOptions", Method: true}
)

// New returns the section.
func New() console.Section {
	return console.Section{
		Name: "settings", Title: "console.settings", Needs: listRow,
		Templates: page.Parse(templates, "templates/*.html"),
		Pages: map[string]console.Page{
			"GET settings":  func(x *console.Request) error { return show(x, nil) },
			"POST settings": set,
		},
	}
}

// option is a row of the page.
type option struct {
	Name, Label, Summary string
	Value, Default       string
	Number               bool
	Min, Max             int32
	Unit                 string // symbol of the unit of a number
	Key                  string // of the configuration
	Problem              string
}

// symbols are those of the SI, which are the same in every language.
var symbols = map[time.Duration]string{time.Second: "s", time.Minute: "min"}

// UnitOf returns the unit of a value, or "" if it has none or contains it.
func (o option) UnitOf(value string) string {
	if _, err := strconv.Atoi(value); err != nil {
		return ""
	}
	return o.Unit
}

// body is what the template shows.
type body struct {
	Options []option
	MaySet  bool
	Saved   bool
}

// show shows the options after a change that returned err.
func show(x *console.Request, err error) error {
	problem := ""
	if err != nil {
		if problem, err = x.Problem(err); err != nil {
			return err
		}
	}
	all, err := options(x)
	if err != nil {
		return err
	}
	if problem != "" {
		i := slices.IndexFunc(all, func(o option) bool { return o.Name == x.Form.Get("name") })
		if i < 0 {
			return x.Bad(fmt.Errorf("no option %q", x.Form.Get("name")))
		}
		all[i].Problem, all[i].Value = problem, x.Form.Get("value")
	}
	return x.Page("settings", x.Text("console.settings"), body{all, x.May(setRow), x.Form.Has("saved")})
}

// options returns the options, sorted by name.
func options(x *console.Request) ([]option, error) {
	defs, err := console.Get[[]types.OptionDef](x, managerType, listRow.Name)
	if err != nil {
		return nil, err
	}
	values, err := console.Get[[]types.BaseOptionValue](x, managerType, "setting")
	if err != nil {
		return nil, err
	}
	now := map[string]any{}
	for _, v := range values {
		now[v.GetOptionValue().Key] = v.GetOptionValue().Value
	}
	var all []option
	for _, d := range defs {
		is := known.Options[d.Key]
		o := option{Name: d.Key, Label: d.Label, Summary: d.Summary, Unit: symbols[is.Unit], Key: is.Key}
		if v, ok := now[d.Key]; ok {
			o.Value = fmt.Sprint(v)
		}
		switch t := d.OptionType.(type) {
		case *types.IntOption:
			o.Number, o.Min, o.Max, o.Default = true, t.Min, t.Max, strconv.Itoa(int(t.DefaultValue))
		case *types.StringOption:
			o.Default = t.DefaultValue
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b option) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// set changes one option. A text that is no number is sent as it is, because the server may accept a duration such as
// "90s"; an empty one takes the option back to the value of the configuration.
func set(x *console.Request) error {
	if err := x.Check(setRow); err != nil {
		return err
	}
	name, text := x.Form.Get("name"), strings.TrimSpace(x.Form.Get("value"))
	var value any = text
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		value = int32(n)
	}
	_, err := x.Do(managerType, setRow.Name, &types.UpdateOptionsRequestType{
		ChangedValue: []types.BaseOptionValue{&types.OptionValue{Key: name, Value: value}},
	})
	if err != nil {
		return show(x, err)
	}
	return x.Redirect(path + "?saved=1")
}
