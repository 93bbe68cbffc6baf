package admin

import (
	"context"
	"errors"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/access"
	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/vim"
)

// optionManager describes the managed object OptionManager, which serves the server's settings.
func (a *api) optionManager() *vim.Object {
	return &vim.Object{
		Type: "OptionManager", ID: "VpxSettings",
		Methods: []vim.Method{
			vim.NewMethod("QueryOptions", vim.View, a.queryOptions, vim.Faults("InvalidName")),
			vim.NewVoid("UpdateOptions", access.GlobalSettings, a.updateOptions, vim.Audited,
				vim.Faults("InvalidName", "InvalidArgument")),
		},
		Properties: []vim.Property{
			vim.NewProperty("setting", vim.View, a.setting, vim.Watched(a.settingsChanged)),
			vim.NewProperty("supportedOption", vim.View, a.supportedOption),
		},
		Errors: optionErrors,
	}
}

// optionErrors maps the errors of options to faults.
var optionErrors = []vim.Mapping{
	vim.MapType(func(unknown *setting.UnknownError, err error) *vim.Fault {
		return vim.NewFault(&types.InvalidName{Name: unknown.Name}, err)
	}),
	vim.MapType(func(invalid *setting.InvalidError, err error) *vim.Fault {
		return vim.BadArgument(invalid.Name, invalid.Reason, err)
	}),
}

func (a *api) settingsChanged(*vim.Call) <-chan struct{} { return a.Settings.Changed() }

func (a *api) setting(context.Context, *vim.Call) ([]types.BaseOptionValue, error) {
	return a.optionValues("")
}

func (a *api) queryOptions(
	_ context.Context, _ *vim.Call, r *types.QueryOptionsRequestType,
) ([]types.BaseOptionValue, error) {
	return a.optionValues(r.Name)
}

func (a *api) optionValues(name string) ([]types.BaseOptionValue, error) {
	options, err := a.Settings.Query(name)
	if err != nil {
		return nil, err
	}
	values := make([]types.BaseOptionValue, len(options))
	for i, o := range options {
		values[i] = &types.OptionValue{Key: o.Name, Value: o.Value}
	}
	return values, nil
}

// updateOptions sets all values or none.
func (a *api) updateOptions(ctx context.Context, c *vim.Call, r *types.UpdateOptionsRequestType) error {
	set := make([]setting.Option, len(r.ChangedValue))
	for i, v := range r.ChangedValue {
		if v == nil {
			return vim.InvalidArgument("changedValue", errors.New("unset"))
		}
		o := v.GetOptionValue()
		c.Note("option", o.Key)
		set[i] = setting.Option{Name: o.Key, Value: o.Value}
	}
	return a.Settings.Update(ctx, c.Session.Actor(), set)
}

func (a *api) supportedOption(context.Context, *vim.Call) ([]types.OptionDef, error) {
	var all []types.OptionDef
	for _, d := range a.Settings.Definitions() {
		all = append(all, types.OptionDef{
			ElementDescription: types.ElementDescription{
				Description: types.Description{Label: d.Label, Summary: d.Summary}, Key: d.Name,
			},
			OptionType: optionType(d),
		})
	}
	return all, nil
}

// optionType returns the type of an option's values. A duration whose default is not a whole number
// of its unit is an option with a text value.
func optionType(d setting.Definition) types.BaseOptionType {
	writable := types.OptionType{ValueIsReadonly: new(false)}
	if n, ok := d.Default.(int32); ok {
		return &types.IntOption{OptionType: writable, Min: d.Min, Max: d.Max, DefaultValue: n}
	}
	text, _ := d.Default.(string)
	return &types.StringOption{OptionType: writable, DefaultValue: text}
}
