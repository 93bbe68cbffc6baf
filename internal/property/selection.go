package property

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
)

// selection is what the object specs of a filter lead to at a time. It is good
// until the filter's next.
type selection struct {
	items   []item
	missing []types.ManagedObjectReference // named by the filter, and not there
}

// walk is one walk over a filter's objects.
type walk struct {
	*reader
	spec *filterSpec
	out  selection
	// seen are the objects that were selected, reported or not; nil while one
	// object without traversals is all there is.
	seen map[types.ManagedObjectReference]bool
	done map[visit]bool
}

// visit is a traversal from an object. Each is made once: traversals may lead
// in circles.
type visit struct {
	ref types.ManagedObjectReference
	by  *traversal
}

// selectObjects finds the filter's objects. Where must is set, one that the
// filter names and that is not there is a fault, unless the filter has it
// reported.
func (r *reader) selectObjects(f *filterSpec, must bool) (selection, error) {
	w := walk{reader: r, spec: f, out: selection{items: f.one.items[:0]}}
	if len(f.objects) > 1 || len(f.objects) == 1 && len(f.objects[0].steps) > 0 {
		w.seen, w.done = map[types.ManagedObjectReference]bool{}, map[visit]bool{}
	}
	for i := range f.objects {
		o := &f.objects[i]
		if fault := r.api.Exists(r.call, o.ref); fault != nil {
			if must && !f.reportMissing {
				return selection{}, fault
			}
			if f.reportMissing {
				w.out.missing = append(w.out.missing, o.ref)
			}
			continue
		}
		if err := w.visit(o.ref, o.skip, o.steps); err != nil {
			return selection{}, err
		}
	}
	return w.out, nil
}

func (w *walk) visit(ref types.ManagedObjectReference, skip bool, steps []*traversal) error {
	if !skip && !w.seen[ref] {
		if w.seen != nil {
			w.seen[ref] = true
		}
		p, err := w.spec.plan(ref.Type)
		if err != nil {
			return err
		}
		if p != nil {
			w.out.items = append(w.out.items, item{ref, p})
		}
	}
	for _, t := range steps {
		if w.done[visit{ref, t}] || !isA(ref.Type, t.typ) {
			continue
		}
		w.done[visit{ref, t}] = true
		next, err := w.follow(ref, t)
		if err != nil {
			return err
		}
		for _, n := range next {
			if w.api.Exists(w.call, n) != nil {
				continue
			}
			if err := w.visit(n, t.skip, t.next); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow is where the traversal leads from the object. What the caller may not
// see leads nowhere.
func (w *walk) follow(ref types.ManagedObjectReference, t *traversal) ([]types.ManagedObjectReference, error) {
	row, fault := w.api.Property(ref, t.path.Property)
	if fault != nil || !w.values.Leads(row.Type, t.path.Steps) {
		return nil, pathFault(t.path)
	}
	g := w.read(ref, t.path.Property)
	switch {
	case g.fault != nil && g.fault.Detail == nil:
		return nil, g.fault
	case g.fault != nil || g.value == nil:
		return nil, nil
	}
	v, st := w.values.Walk(reflect.ValueOf(g.value), t.path.Steps)
	if st != value.Present {
		return nil, nil
	}
	switch refs := v.Interface().(type) {
	case types.ManagedObjectReference:
		return []types.ManagedObjectReference{refs}, nil
	case []types.ManagedObjectReference:
		return refs, nil
	}
	return nil, pathFault(t.path)
}
