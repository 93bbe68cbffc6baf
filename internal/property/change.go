package property

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/types"
)

// change adds how what is at the path has changed, as shortly as the client
// wants it.
func (u *update) change(to []types.PropertyChange, p *path, old, now mark, r *result) []types.PropertyChange {
	switch r.state {
	case value:
		if old.state == value && old.parts != nil && now.parts != nil && old.parts.typ == now.parts.typ {
			if changes, ok := u.parts(p, old.parts.all, now.parts.all, r.value); ok {
				return append(to, changes...)
			}
		}
		op := types.PropertyChangeOpAssign
		if old.state == removed {
			op = types.PropertyChangeOpAdd
		}
		return append(to, types.PropertyChange{Name: p.text, Op: op, Val: u.hash.box(r.value)})
	case unset, gone, removed:
		if op, ok := loss(old.state, r.state); ok {
			return append(to, types.PropertyChange{Name: p.text, Op: op})
		}
	}
	return to
}

// loss is how it is told that there is nothing any more; not at all to whom
// nothing was told of. Something that may not be seen any longer and then is
// not there either is told of as unset.
func loss(old, now state) (types.PropertyChangeOp, bool) {
	switch {
	case old != value && old != missing:
		return "", false
	case now == removed:
		return types.PropertyChangeOpRemove, true
	case now == gone:
		return types.PropertyChangeOpIndirectRemove, true
	}
	return types.PropertyChangeOpAssign, true
}

// parts tells the changes of a value part by part. It reports false where that
// can't be done, or the value is another object altogether.
func (u *update) parts(p *path, old, now []part, v reflect.Value) ([]types.PropertyChange, bool) {
	list := isList(v.Type())
	was := make(map[string]uint64, len(old))
	for _, o := range old {
		was[o.name] = o.sum
	}
	var out []types.PropertyChange
	for _, n := range now {
		sum, had := was[n.name]
		delete(was, n.name)
		if had && sum == n.sum {
			continue
		}
		if n.name == ".key" {
			return nil, false
		}
		op := types.PropertyChangeOpAssign
		if list && !had {
			op = types.PropertyChangeOpAdd
		}
		out = append(out, types.PropertyChange{Name: p.text + n.name, Op: op, Val: u.hash.box(u.hash.at(v, n.at))})
	}
	for _, o := range old {
		if _, left := was[o.name]; !left {
			continue
		}
		op := types.PropertyChangeOpAssign // of nothing: the member is unset
		if list {
			op = types.PropertyChangeOpRemove
		}
		out = append(out, types.PropertyChange{Name: p.text + o.name, Op: op})
	}
	return out, len(out) > 0
}
