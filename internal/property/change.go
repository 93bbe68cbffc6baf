package property

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/schema"
)

// first appends the change at one path of an object that the client does not know yet. Like
// vCenter, it also names a path without a value: clients wait for the first update of a path.
func (u *update) first(to []types.PropertyChange, p *value.Path, r *result) []types.PropertyChange {
	c := types.PropertyChange{Name: p.Text, Op: types.PropertyChangeOpAssign}
	if r.state == value.Present {
		c.Val = u.values.Box(r.at)
	}
	return append(to, c)
}

// change appends the changes at one path. For a filter with partial updates, it reports only the
// parts that changed.
func (u *update) change(to []types.PropertyChange, p *value.Path, old, now mark, r *result) []types.PropertyChange {
	switch r.state {
	case value.Present:
		if old.state == value.Present && old.parts != nil && now.parts != nil && old.parts.Type == now.parts.Type {
			if changes, ok := u.parts(p, old.parts.All, now.parts.All, r.at); ok {
				return append(to, changes...)
			}
		}
		op := types.PropertyChangeOpAssign
		if old.state == value.Removed {
			op = types.PropertyChangeOpAdd
		}
		return append(to, types.PropertyChange{Name: p.Text, Op: op, Val: u.values.Box(r.at)})
	case value.Unset, value.Gone, value.Removed:
		if op, ok := loss(old.state, r.state); ok {
			return append(to, types.PropertyChange{Name: p.Text, Op: op})
		}
	}
	return to
}

// loss returns the operation that reports that a value has disappeared. It reports false if the
// client had no value. If the client had a fault because it may not read the value, and the value
// is now unset, that is reported as well.
func loss(old, now value.State) (types.PropertyChangeOp, bool) {
	switch {
	case old != value.Present && old != missing:
		return "", false
	case now == value.Removed:
		return types.PropertyChangeOpRemove, true
	case now == value.Gone:
		return types.PropertyChangeOpIndirectRemove, true
	}
	return types.PropertyChangeOpAssign, true
}

// parts returns the changes of a value part by part. It reports false if that is not possible, or
// if the value is another object with another key.
func (u *update) parts(p *value.Path, old, now []value.Part, v reflect.Value) ([]types.PropertyChange, bool) {
	list := schema.IsList(v.Type())
	was := make(map[string]uint64, len(old))
	for _, o := range old {
		was[o.Name] = o.Sum
	}
	var out []types.PropertyChange
	for _, n := range now {
		sum, had := was[n.Name]
		delete(was, n.Name)
		if had && sum == n.Sum {
			continue
		}
		if n.Name == ".key" {
			return nil, false
		}
		op := types.PropertyChangeOpAssign
		if list && !had {
			op = types.PropertyChangeOpAdd
		}
		out = append(out, types.PropertyChange{Name: p.Text + n.Name, Op: op, Val: u.values.Box(u.values.At(v, n.At))})
	}
	for _, o := range old {
		if _, left := was[o.Name]; !left {
			continue
		}
		op := types.PropertyChangeOpAssign // without a value: the member is unset
		if list {
			op = types.PropertyChangeOpRemove
		}
		out = append(out, types.PropertyChange{Name: p.Text + o.Name, Op: op})
	}
	return out, len(out) > 0
}
