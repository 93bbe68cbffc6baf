package property

import (
	"context"
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vigate/vigate/internal/budget"
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
	wake  channels // of all that is read
	mine  channels // of the last object

	visits  int      // of traversals
	objects int      // read
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

// channels is a list of channels, each once.
type channels struct {
	all   []<-chan struct{}
	known map[<-chan struct{}]struct{} // if they are many
}

// fewChannels are found as fast without a map.
const fewChannels = 16

func (c *channels) add(one <-chan struct{}) {
	switch {
	case len(c.all) < fewChannels:
		if slices.Contains(c.all, one) {
			return
		}
	default:
		if c.known == nil {
			c.known = map[<-chan struct{}]struct{}{}
			for _, o := range c.all {
				c.known[o] = struct{}{}
			}
		}
		if _, ok := c.known[one]; ok {
			return
		}
		c.known[one] = struct{}{}
	}
	c.all = append(c.all, one)
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

func (r *reader) read(ref types.ManagedObjectReference, name string) (got, error) {
	if g, ok := r.keep[known{ref, name}]; ok {
		return g, nil
	}
	var g got
	if r.watch {
		g.watched = r.follow(r.reading.Changed(ref, name))
		if row, fault := r.api.Property(ref, name); fault == nil && row.Privilege != vim.Anonymous {
			r.follow(r.api.AuthorityChanged())
		}
	}
	g.value, g.fault = r.reading.Read(r.ctx, ref, name)
	if v := reflect.ValueOf(g.value); v.IsValid() && v.Kind() == reflect.Slice {
		if err := r.api.Work(r.ctx, r.call, v.Len()); err != nil {
			return got{}, err
		}
		if r.keep != nil {
			// It stays in memory, whatever of it goes into the answer.
			if fault := r.api.Answer(r.call, budget.WeightOf(v)); fault != nil {
				return got{}, fault
			}
		}
	}
	if r.keep != nil {
		r.keep[known{ref, name}] = g
	}
	return g, nil
}

// follow adds a channel to those that wake the waiter.
func (r *reader) follow(c <-chan struct{}) bool {
	if c != nil {
		r.wake.add(c)
		r.mine.add(c)
	}
	return c != nil
}

// evaluate reads what the plan says. It reports false where the object is gone.
// The results are good until the next object's.
func (r *reader) evaluate(it item) ([]result, bool, error) {
	r.results = slices.Grow(r.results[:0], len(it.plan.paths))
	r.objects++
	r.mine = channels{}
	all := r.results[:len(it.plan.paths)]
	if err := r.api.Work(r.ctx, r.call, 1+len(all)); err != nil {
		return nil, false, err
	}
	had := make([]named, 0, 8)
	for i := range it.plan.paths {
		p := &it.plan.paths[i]
		at := slices.IndexFunc(had, func(n named) bool { return n.name == p.Property })
		if at < 0 {
			g, err := r.read(it.ref, p.Property)
			if err != nil {
				return nil, false, err
			}
			at = len(had)
			had = append(had, named{name: p.Property, got: g})
		}
		g := &had[at].got
		switch {
		case g.fault == nil:
			all[i] = r.part(&had[at], p.Steps)
		case vim.IsFault[*types.ManagedObjectNotFound](g.fault):
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

// named is a property that was read.
type named struct {
	name string
	got
	index value.Index
}

func (r *reader) part(n *named, steps []value.Step) result {
	out := result{watched: n.watched}
	switch {
	case n.value != nil:
		out.at, out.state = r.values.Walk(reflect.ValueOf(n.value), steps, &n.index)
	case len(steps) > 0:
		out.state = value.Gone
	}
	return out
}

const (
	// fewResults of one call are taken to be small unless they are lists, since
	// most calls ask for no more.
	fewResults = 16
	// Bytes of an answer, about, beside the values in it.
	objectWeight  = 128
	resultWeight  = 64
	missingWeight = 512
)

// weigh is about how many bytes the results of one object take in the answer.
func (r *reader) weigh(results []result) int64 {
	n := int64(objectWeight)
	many := r.objects > fewResults || len(results) > fewResults
	for i := range results {
		switch at := results[i].at; results[i].state {
		case missing:
			n += missingWeight
		case value.Present:
			n += resultWeight
			if many || at.Kind() == reflect.Slice {
				n += budget.WeightOf(at)
			}
		}
	}
	return n
}
