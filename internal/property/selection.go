package property

import (
	"errors"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// Limits on the traversals of one request. Views can contain each other, so a short request can
// visit many objects.
const (
	maxVisits = 1_000_000 // objects reached, plus traversals tried from each object
	maxDepth  = 1000      // traversals in a chain
)

// selection holds the objects that a filter selects at one time. It is valid until the next
// selection of the same filter.
type selection struct {
	items   []item
	missing []types.ManagedObjectReference // named by the filter, but don't exist
}

// walk finds the objects of one filter.
type walk struct {
	*reader
	spec *filterSpec
	out  selection
	// seen numbers the visited objects. It is nil if the filter has only one object and no
	// traversals.
	seen     map[types.ManagedObjectReference]int
	reported bits // numbers of the objects that are already selected
	// done holds, by the traversal's number, the numbers of the objects from which it was followed.
	// Each traversal is followed once from each object, because traversals may form cycles.
	done []bits
}

// bits is a set of small numbers.
type bits []uint64

// add reports whether the number is new.
func (b *bits) add(n int) bool {
	word, bit := n/64, uint64(1)<<(n%64)
	for word >= len(*b) {
		*b = append(*b, 0)
	}
	if (*b)[word]&bit != 0 {
		return false
	}
	(*b)[word] |= bit
	return true
}

// selectObjects finds the filter's objects. If must is set, it returns a fault if the filter names
// an object that does not exist, unless reportMissing is set.
func (r *reader) selectObjects(f *filterSpec, must bool) (selection, error) {
	w := walk{reader: r, spec: f, out: selection{items: f.one.items[:0]}}
	if len(f.objects) > 1 || len(f.objects) == 1 && len(f.objects[0].steps) > 0 {
		w.seen = map[types.ManagedObjectReference]int{}
		w.done = make([]bits, f.traversals)
	}
	for i := range f.objects {
		o := &f.objects[i]
		if err := r.visited(); err != nil {
			return selection{}, err
		}
		if fault := r.api.Exists(r.call, o.ref); fault != nil {
			if must && !f.reportMissing {
				return selection{}, fault
			}
			if f.reportMissing {
				w.out.missing = append(w.out.missing, o.ref)
			}
			continue
		}
		if err := w.visit(o.ref, o.skip, o.steps, 0); err != nil {
			return selection{}, err
		}
	}
	return w.out, nil
}

// visited counts one visit. It returns an error if there are too many visits or if the request must
// end.
func (r *reader) visited() error {
	if r.visits++; r.visits > maxVisits {
		return tooMany("selectSet", maxVisits)
	}
	return r.api.Work(r.ctx, r.call, 1)
}

// number returns the object's number in this walk.
func (w *walk) number(ref types.ManagedObjectReference) int {
	n, ok := w.seen[ref]
	if !ok && w.seen != nil {
		n = len(w.seen)
		w.seen[ref] = n
	}
	return n
}

func (w *walk) visit(ref types.ManagedObjectReference, skip bool, steps []*traversal, depth int) error {
	if depth > maxDepth {
		return vim.InvalidArgument("selectSet", errors.New("the chain of traversals is too long"))
	}
	from := w.number(ref)
	if !skip && (w.seen == nil || w.reported.add(from)) {
		p, err := w.spec.plan(ref.Type)
		if err != nil {
			return err
		}
		if p != nil {
			w.out.items = append(w.out.items, item{ref, p})
		}
	}
	for _, t := range steps {
		if err := w.visited(); err != nil {
			return err
		}
		if !isA(ref.Type, t.typ) || !w.done[t.number].add(from) {
			continue
		}
		next, err := w.targets(ref, t)
		if err != nil {
			return err
		}
		for _, n := range next {
			if err := w.visited(); err != nil {
				return err
			}
			if w.api.Exists(w.call, n) != nil {
				continue
			}
			if err := w.visit(n, t.skip, t.next, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// targets returns the objects to which the traversal leads from ref. If the caller may not read the
// property, there are none.
func (w *walk) targets(ref types.ManagedObjectReference, t *traversal) ([]types.ManagedObjectReference, error) {
	row, fault := w.api.Property(ref, t.path.Property)
	if fault != nil || !w.values.Leads(row.Type, t.path.Steps) {
		return nil, pathFault(t.path)
	}
	g, err := w.read(ref, t.path.Property)
	switch {
	case err != nil:
		return nil, err
	case g.fault != nil && g.fault.Detail == nil:
		return nil, g.fault
	case g.fault != nil || g.value == nil:
		return nil, nil
	}
	v, st := w.values.Walk(reflect.ValueOf(g.value), t.path.Steps, nil)
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
