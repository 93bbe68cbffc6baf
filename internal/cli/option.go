package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/cli/command"
	"github.com/vigate/vigate/internal/setting/known"
)

func (a *app) option() *cobra.Command {
	return command.Group("option", "Show and change the server's settings", a.optionList(), a.optionSet())
}

// queryOptions returns the option with the name. If the name ends in a dot, it returns all options
// below it, and if the name is empty, all options.
func (j *job) queryOptions(ctx context.Context, name string) ([]types.BaseOptionValue, error) {
	ref, err := j.options(ctx)
	if err != nil {
		return nil, err
	}
	list, err := invoke[[]types.BaseOptionValue](ctx, j, ref, "QueryOptions", &types.QueryOptions{Name: name})
	slices.SortStableFunc(list, func(a, b types.BaseOptionValue) int {
		return cmp.Compare(a.GetOptionValue().Key, b.GetOptionValue().Key)
	})
	return list, err
}

// units are the words for the units of options.
var units = map[time.Duration]string{time.Second: "seconds", time.Minute: "minutes"}

// optionTable returns the options as a table. Options that are not known have neither unit nor key.
func optionTable(list []types.BaseOptionValue) *command.Table {
	t := &command.Table{Header: []string{"NAME", "VALUE", "UNIT", "CONFIGURATION KEY"}}
	for _, o := range list {
		v := o.GetOptionValue()
		is := known.Options[v.Key]
		unit := units[is.Unit]
		if _, isText := v.Value.(string); isText {
			unit = ""
		}
		t.Add(v.Key, fmt.Sprint(v.Value), cmp.Or(unit, "-"), cmp.Or(is.Key, "-"))
	}
	return t
}

func (a *app) optionList() *cobra.Command {
	cmd := a.command("ls [NAME]", "List all settings, one setting, or the settings below a NAME that ends in a dot",
		cobra.MaximumNArgs(1),
		func(ctx context.Context, j *job) error {
			name := ""
			if len(j.Args) == 1 {
				name = j.Args[0]
			}
			list, err := j.queryOptions(ctx, name)
			if err != nil {
				return err
			}
			return j.Out.Show(list, func() *command.Table { return optionTable(list) })
		})
	cmd.Aliases = []string{"list"}
	cmd.ValidArgsFunction = a.complete(false, optionNames)
	return cmd
}

func optionNames(ctx context.Context, j *job) ([]string, error) {
	list, err := j.queryOptions(ctx, "")
	var names []string
	for _, o := range list {
		names = append(names, o.GetOptionValue().Key)
	}
	return names, err
}

func (a *app) optionSet() *cobra.Command {
	cmd := a.command("set NAME=VALUE…", "Change settings; if one change fails, none is made", cobra.MinimumNArgs(1),
		func(ctx context.Context, j *job) error {
			for _, arg := range j.Args {
				if !strings.Contains(arg, "=") {
					return command.Usage("%q is not NAME=VALUE", arg)
				}
			}
			ref, err := j.options(ctx)
			if err != nil {
				return err
			}
			req := &types.UpdateOptions{}
			for _, arg := range j.Args {
				name, text, _ := strings.Cut(arg, "=")
				now, err := j.queryOptions(ctx, name)
				if err != nil {
					return err
				}
				if len(now) != 1 || now[0].GetOptionValue().Key != name {
					return command.NotFound("there is no setting %q; 'vigate option ls' lists the settings", name)
				}
				value, err := parseValue(name, text, now[0].GetOptionValue().Value)
				if err != nil {
					return err
				}
				req.ChangedValue = append(req.ChangedValue, &types.OptionValue{Key: name, Value: value})
			}
			return j.Invoke(ctx, ref, "UpdateOptions", req, nil)
		})
	cmd.ValidArgsFunction = a.complete(true, func(ctx context.Context, j *job) ([]string, error) {
		names, err := optionNames(ctx, j)
		for i := range names {
			names[i] += "="
		}
		return names, err
	})
	return cmd
}

// parseValue parses a value of the type that the option has now. If a number is expected and the
// text is not one, the text is sent unchanged, because the server may accept a duration such as
// "90s".
func parseValue(name, text string, now any) (any, error) {
	switch now.(type) {
	case bool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return nil, command.Usage("%s must be true or false", name)
		}
		return value, nil
	case int32:
		if value, err := strconv.ParseInt(text, 10, 32); err == nil {
			return int32(value), nil
		}
	case int64:
		if value, err := strconv.ParseInt(text, 10, 64); err == nil {
			return value, nil
		}
	}
	return text, nil
}
