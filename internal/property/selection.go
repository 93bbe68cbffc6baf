package property

import (
	"errors"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// Limits of what the traversals of one request do. Views can hold one another,
// so a short request can lead a long way.
const (
	maxVisits = 1_000_000 // objects reached and traversals tried, each from each object
	maxDeep   = 1000      // traversals made one from the end of another
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
	// seen numbers the objects that were reached; nil while one object without
	// traversals is all there is.
	seen     map[types.ManagedObjectReference]int
	reported bits // of the objects, by number
	// done has, by a traversal's number, from which objects it was made. Each is
	// made once: traversals may lead in circles.
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

// selectObjects finds the filter's objects. If must is set, one that the filter
// names and that is not there is a fault, unless the filter has it reported.
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

// visited counts one visit more, and looks whether the request is to go on.
func (r *reader) visited() error {
	if r.visits++; r.visits > maxVisits {
		return tooMany("selectSet", maxVisits)
	}
	return r.api.Work(r.ctx, r.call, 1)
}

// number is the object's number in this walk.
func (w *walk) number(ref types.ManagedObjectReference) int {
	n, ok := w.seen[ref]
	if !ok && w.seen != nil {
		n = len(w.seen)
		w.seen[ref] = n
	}
	return n
}

func (w *walk) visit(ref types.ManagedObjectReference, skip bool, steps []*traversal, deep int) error {
	if deep > maxDeep {
		return vim.InvalidArgument("selectSet", errors.New("leads too deep"))
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
		next, err := w.follow(ref, t)
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
			if err := w.visit(n, t.skip, t.next, deep+1); err != nil {
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
