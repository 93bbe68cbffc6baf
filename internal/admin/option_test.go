package admin_test

import (
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/setting"
	"github.com/vigate/vigate/internal/vim/vimtest"
)

// option returns the current value of an option.
func (f *fixture) option(name string) any {
	f.t.Helper()
	found := vimtest.Get[[]types.BaseOptionValue](
		f.As(f.Ann, "OptionManager", "QueryOptions", &types.QueryOptionsRequestType{Name: name}))
	if len(found) != 1 || found[0].GetOptionValue().Key != name {
		f.t.Fatalf("%s: %+v", name, found)
	}
	return found[0].GetOptionValue().Value
}

func TestAnOptionTakesEffectImmediately(t *testing.T) {
	f := newFixture(t)
	if got := f.option(setting.IdleTimeout); got != int32(30) {
		t.Errorf("idle timeout %v (%T)", got, got)
	}
	f.Pass(10 * time.Minute)
	vimtest.OK(f.SetOption(f.Admin, types.OptionValue{Key: setting.IdleTimeout, Value: int32(5)},
		types.OptionValue{Key: setting.InstanceName, Value: "mine"}))
	vimtest.Fails[types.NotAuthenticated](
		f.As(f.Ann, "OptionManager", "QueryOptions", &types.QueryOptionsRequestType{}))
	f.Ann = f.Login(vimtest.AnnName, vimtest.AnnPassword)
	if got := f.option(setting.IdleTimeout); got != int32(5) {
		t.Errorf("idle timeout %v", got)
	}
	vimtest.OK(f.SetOption(f.Admin, types.OptionValue{Key: setting.IdleTimeout, Value: ""}))
	if got := f.option(setting.IdleTimeout); got != int32(30) {
		t.Errorf("idle timeout %v after it was reset", got)
	}
}

func TestOptionsAreReturnedInTheirTypes(t *testing.T) {
	f := newFixture(t)
	vimtest.OK(f.SetOption(f.Admin, types.OptionValue{Key: setting.InstanceName, Value: "mine"},
		types.OptionValue{Key: setting.MaxSessions, Value: int64(500)}))
	if a, b := f.option(setting.InstanceName), f.option(setting.MaxSessions); a != "mine" || b != int32(500) {
		t.Errorf("%v (%T), %v (%T)", a, a, b, b)
	}
	all := vimtest.Get[[]types.BaseOptionValue](f.Prop(f.Ann, "OptionManager", "setting"))
	defs := vimtest.Get[[]types.OptionDef](f.Prop(f.Ann, "OptionManager", "supportedOption"))
	if len(all) != len(defs) || len(all) == 0 {
		t.Fatalf("%d options, %d defined", len(all), len(defs))
	}
	for i, d := range defs {
		if d.Key != all[i].GetOptionValue().Key || d.Label == "" || d.Summary == "" {
			t.Errorf("%+v of %+v", d, all[i])
		}
		switch o := d.OptionType.(type) {
		case *types.IntOption:
			if _, is := all[i].GetOptionValue().Value.(int32); !is || o.Min > o.DefaultValue ||
				o.DefaultValue > o.Max || *o.ValueIsReadonly {
				t.Errorf("%s: %+v", d.Key, o)
			}
		case *types.StringOption:
			if _, is := all[i].GetOptionValue().Value.(string); !is || o.DefaultValue == "" {
				t.Errorf("%s: %+v", d.Key, o)
			}
		default:
			t.Errorf("%s: %T", d.Key, o)
		}
	}
	below := vimtest.Get[[]types.BaseOptionValue](
		f.As(f.Ann, "OptionManager", "QueryOptions", &types.QueryOptionsRequestType{Name: "config.vmacore.soap."}))
	if len(below) != 2 {
		t.Errorf("below a prefix: %+v", below)
	}
}

func TestInvalidOptionsAreRefusedAndNoneIsSet(t *testing.T) {
	f := newFixture(t)
	f.Needs("Global.Settings", "OptionManager", "UpdateOptions", &types.UpdateOptionsRequestType{})
	good := types.OptionValue{Key: setting.InstanceName, Value: "mine"}
	if got := vimtest.Fails[types.InvalidName](
		f.SetOption(f.Admin, good, types.OptionValue{Key: "no.such", Value: "x"})); got.Name != "no.such" {
		t.Errorf("name %q", got.Name)
	}
	for _, v := range []any{int32(0), "soon", true, nil, 1.5} {
		vimtest.Invalid(setting.MaxSessions,
			f.SetOption(f.Admin, good, types.OptionValue{Key: setting.MaxSessions, Value: v}))
	}
	vimtest.Invalid(setting.DefaultLocale,
		f.SetOption(f.Admin, types.OptionValue{Key: setting.DefaultLocale, Value: "xx_XX"}))
	vimtest.Invalid("changedValue", f.On("OptionManager", "UpdateOptions",
		&types.UpdateOptionsRequestType{ChangedValue: []types.BaseOptionValue{nil}}))
	if got := f.option(setting.InstanceName); got != "vigate" {
		t.Errorf("set to %v", got)
	}
	vimtest.Fails[types.InvalidName](f.As(f.Ann, "OptionManager", "QueryOptions",
		&types.QueryOptionsRequestType{Name: "no.such"}))
}
