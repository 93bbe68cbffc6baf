package property

import (
	"context"
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/property/value"
	"github.com/vigate/vigate/internal/vim"
)

// reader reads objects on behalf of one call, each property once.
type reader struct {
	*service
	ctx     context.Context
	call    *vim.Call
	reading vim.Reading
	// keep has what was read kept for other filter specs of the call.
	keep map[known]got
	// watch has the channels gathered that tell of changes of what is read. A
	// channel is taken before its value, so that no change is missed.
	watch bool
	wake  []<-chan struct{}

	weight  int64    // of what is left to read, should it be kept as a page
	results []result // of the last object
	few     [1]result
}

func (s *service) newReader(ctx context.Context, c *vim.Call) *reader {
	r := &reader{service: s, ctx: ctx, call: c}
	r.reading.Begin(s.api, c)
	r.results = r.few[:0]
	return r
}

// watcher reads what a filter has told before. What changes is told of only
// where it is known to: see update.mark.
func (s *service) watcher(ctx context.Context, c *vim.Call) *reader {
	r := s.newReader(ctx, c)
	r.watch = true
	return r
}

type known struct {
	ref  types.ManagedObjectReference
	name string
}

type got struct {
	value   any // nil: unset
	fault   *vim.Fault
	watched bool
}

// result is what is at one path.
type result struct {
	state value.State
	at    reflect.Value
	fault *vim.Fault
	// watched: the property can change, and changes are told of.
	watched bool
}

// item is an object that a filter reports, and what it reads of it.
type item struct {
	ref  types.ManagedObjectReference
	plan *plan
}

func (r *reader) read(ref types.ManagedObjectReference, name string) got {
	if g, ok := r.keep[known{ref, name}]; ok {
		return g
	}
	var g got
	if r.watch {
		g.watched = r.follow(r.reading.Changed(ref, name))
		if row, fault := r.api.Property(ref, name); fault == nil && row.Privilege != vim.Anonymous && row.Privilege != vim.View {
			r.follow(r.api.AuthorityChanged())
		}
	}
	g.value, g.fault = r.reading.Read(r.ctx, ref, name)
	if r.keep != nil {
		r.keep[known{ref, name}] = g
	}
	return g
}

// follow adds a channel to those that wake the waiter. Objects share them, so
// there are few.
func (r *reader) follow(c <-chan struct{}) bool {
	if c != nil && !slices.Contains(r.wake, c) {
		r.wake = append(r.wake, c)
	}
	return c != nil
}

// evaluate reads what the plan says. It reports false where the object is gone.
// The results are good until the next object's.
func (r *reader) evaluate(it item) ([]result, bool, error) {
	r.results = slices.Grow(r.results[:0], len(it.plan.paths))
	all := r.results[:len(it.plan.paths)]
	had := make([]named, 0, 8)
	for i := range it.plan.paths {
		p := &it.plan.paths[i]
		at := slices.IndexFunc(had, func(n named) bool { return n.name == p.Property })
		if at < 0 {
			at = len(had)
			had = append(had, named{p.Property, r.read(it.ref, p.Property)})
		}
		g := &had[at].got
		switch {
		case g.fault == nil:
			all[i] = r.part(g, p.Steps)
		case g.fault.Kind() == "ManagedObjectNotFound":
			return nil, false, nil
		case g.fault.Detail == nil || r.ctx.Err() != nil:
			// Not of this property: the whole call can't be served now.
			return nil, false, g.fault
		default:
			all[i] = result{state: missing, fault: g.fault, watched: g.watched}
		}
	}
	return all, true, nil
}

type named struct {
	name string
	got  got
}

func (r *reader) part(g *got, steps []value.Step) result {
	out := result{watched: g.watched}
	switch {
	case g.value != nil:
		out.at, out.state = r.values.Walk(reflect.ValueOf(g.value), steps)
	case len(steps) > 0:
		out.state = value.Gone
	}
	return out
}
